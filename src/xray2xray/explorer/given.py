"""A file from a browser becomes a study; nothing of its name or its header is shown or kept."""

import re
from dataclasses import replace
from pathlib import Path

from ..core import limits as file_limits
from ..core.errors import InputError
from ..data.inputs import kind_of
from ..radiograph.view import view_of
from ..session.session import Session
from ..session.study import Study, View
from .examples import Example
from .finished import Finished, finished
from .limits import Limits
from .worker import Stage

VOXELS = 128  # along each edge of the volume
_ENDING = re.compile(r"(\.nii\.gz|\.[a-z0-9]{1,6})$", re.IGNORECASE)
_TITLES = {True: "Your radiograph", False: "Your CT"}


def safe_name(name: str) -> str:
    """A name for a file from a browser that says what readers go by, its ending and a view, and nothing of a person."""
    ending = _ENDING.search(name)
    stem = name[: ending.start()] if ending else name
    return (view_of(stem, free_text=True) or "upload").lower() + (ending[1].lower() if ending else "")


def of_file(session: Session, path: Path, view: View, remove_couch: bool, limits: Limits, stage: Stage) -> Finished:
    """An uploaded file through the model; it is removed as soon as it is read."""
    stage("reading the file")
    film = kind_of(path) == "radiograph"
    try:
        with file_limits.at_most(voxels=limits.voxels, pixels=limits.pixels):
            study = session.study(path, view=view, remove_couch=remove_couch and not film)
    except InputError as error:
        raise InputError(in_words(str(error), path)) from None
    path.unlink()
    return analysed(session, study, _TITLES[film], stage)


def of_example(session: Session, example: Example, stage: Stage) -> Finished:
    """An example through the model."""
    stage("making the example")
    return analysed(session, example.study(session), example.title, stage)


def analysed(session: Session, study: Study, title: str, stage: Stage) -> Finished:
    """A study through the model; the scan is not kept."""
    study = replace(study, name=title, source="a file", notes=tuple(in_words(note, None) for note in study.notes))
    result = session.analyse(study, volume_size=VOXELS, stage=stage)
    stage("making the page")
    return finished(result, title)


def in_words(message: str, path: Path | None) -> str:
    """A message of the package for a reader who has a page, not a command line."""
    if path is not None:
        message = re.sub(rf"^{re.escape(str(path))}(?:/[^:]*)?: ", "", message).replace(str(path), "the file")
    message = re.sub(r"say --view (?:pa or ap|ap)", "choose PA or AP under Options", message)
    message = re.sub(r",? or pass --force if [^;.]*", "", message)
    return message[:1].upper() + message[1:]
