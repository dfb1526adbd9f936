"""The CT studies and radiographs among images, by their headers, and for each CT a path that the CT reader takes."""

import os
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from ...core.errors import InputError
from ...volume.dicom.choice import choose
from ...volume.dicom.files import ListedFiles
from ...volume.dicom.images import images_in
from ...volume.dicom.stacks import find_stacks
from .headers import RADIOGRAPHS, Image, Study, read_images


@dataclass(frozen=True)
class CtStudy:
    """A CT study: a folder for the CT reader, and the series where other studies lie in that folder, too."""

    patient: str
    date: str
    path: Path
    series: str = ""


@dataclass(frozen=True)
class Studies:
    """What is below a folder; `failed`: what cannot be used, by its first file, with the reason."""

    ct: tuple[CtStudy, ...]
    radiographs: tuple[Image, ...]
    failed: Mapping[str, str]


def studies_below(folder: str | Path, workers: int | None = 1) -> Studies:
    """Every CT study and every radiograph below a folder. Each study in the headers is there or in `failed`.

    A CT study is a folder, of which the CT reader chooses the series. Where it lies among other studies the series is
    named that the reader would choose.

    Raises:
        InputError: as `read_images`.
    """
    images, failed = read_images(folder, workers)
    by_study: dict[Study, list[Image]] = defaultdict(list)
    for image in images:
        by_study[image.key].append(image)
    owners = _owners(Path(folder), (image for image in images if image.modality == "CT"))
    ct: list[CtStudy] = []
    radiographs: list[Image] = []
    for key, members in by_study.items():
        slices = [image for image in members if image.modality == "CT"]
        films = _without_copies([image for image in members if image.modality in RADIOGRAPHS], failed)
        radiographs += films
        if slices:
            placed = _placed(slices, owners)
            if isinstance(placed, CtStudy):
                ct.append(placed)
            else:
                failed[str(slices[0].path)] = f"study {key[1]}: {placed}"
        elif not films:
            kinds = ", ".join(sorted({image.modality for image in members}))
            failed[str(members[0].path)] = f"study {key[1]} holds {kinds} only, no CT and no radiograph"
    return Studies(tuple(ct), tuple(radiographs), failed)


_Owners = Mapping[Path, set[tuple[Study, str]]]
"""Of each folder, whose CT series lie in it or below it."""


def _owners(root: Path, images: Iterable[Image]) -> _Owners:
    owners: dict[Path, set[tuple[Study, str]]] = defaultdict(set)
    for folder, key, series in {(image.path.parent, image.key, image.series) for image in images}:
        for place in (folder, *folder.parents):
            owners[place].add((key, series))
            if place == root:
                break
    return owners


def _placed(slices: Sequence[Image], owners: _Owners) -> CtStudy | str:
    """Where the reader finds a study, or why it cannot."""
    first = slices[0]
    if all(image.localizer for image in slices):
        return "localizers only, no CT images"
    folder = _common(image.path.parent for image in slices)
    if {key for key, _ in owners[folder]} == {first.key}:
        return CtStudy(first.patient, first.date, folder)
    try:
        uid = _chosen(slices)
    except InputError as error:
        return str(error)
    folder = _common(_folders([image for image in slices if image.series == uid]))
    sharing = owners[folder] - {(first.key, uid)}
    if not sharing:
        return CtStudy(first.patient, first.date, folder)
    if not uid or any(series == uid for _, series in sharing):
        return f"{folder} holds another CT of the same SeriesInstanceUID {uid!r}; move the two apart"
    return CtStudy(first.patient, first.date, folder, uid)


def _chosen(slices: Sequence[Image]) -> str:
    """The series of a study that the CT reader would take; where it sees no stack, the one of the most images.

    Raises:
        InputError: nothing but projections and maps.
    """
    count = Counter(image.series for image in slices if not image.localizer)
    if len(count) > 1:
        files = ListedFiles(image.path for image in slices)
        stacks = find_stacks(images_in(files, {}), same_pixels=lambda one, other: True).stacks
        if stacks:
            return choose(stacks, None, "the study")[0].series
    return min(count, key=lambda uid: (-count[uid], uid))


def _folders(stack: Sequence[Image]) -> list[Path]:
    """The folders of a series; of whole copies of it the first."""
    held: dict[Path, set[str]] = defaultdict(set)
    for image in stack:
        held[image.path.parent].add(image.instance)
    everything = set().union(*held.values())
    whole = [folder for folder, instances in held.items() if instances == everything]
    return whole[:1] or list(held)


def _common(folders: Iterable[Path]) -> Path:
    return Path(os.path.commonpath([str(folder) for folder in folders]))


def _without_copies(films: Sequence[Image], failed: dict[str, str]) -> list[Image]:
    """The radiographs, each once: one UID and the same bytes are one image, which a UID alone does not show."""
    kept: dict[str, list[Image]] = defaultdict(list)
    for image in films:
        same = (one for one in kept[image.instance] if one.path.read_bytes() == image.path.read_bytes())
        if (other := next(same, None)) is None:
            kept[image.instance].append(image)
        else:
            failed[str(image.path)] = f"a copy of {other.path}"
    return [image for images in kept.values() for image in images]


@lru_cache(maxsize=1)
def first_files(folder: Path) -> Mapping[str, Path]:
    """The first file of each series below a folder."""
    first: dict[str, Path] = {}
    for image in read_images(folder)[0]:
        first.setdefault(image.series, image.path)
    return first
