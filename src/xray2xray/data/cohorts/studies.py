"""The CT studies and radiographs among images, by their headers, and for each CT a path that the CT reader takes."""

import math
import os
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from .headers import RADIOGRAPHS, Image, Study, read_images

_SAME_RANGE = 0.9  # as in `volume.dicom`
_DERIVED = ("MIP", "MPR", "PROJECTION", "REFORMATTED", "AVERAGE", "SECONDARY")


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

    A CT study is a folder, of which the CT reader chooses the series. Where it lies among other studies one series is
    named: original axial images before others, then the largest range, the most slices, the smallest UID.

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
    stacks: dict[str, list[Image]] = defaultdict(list)
    for image in slices:
        if "LOCALIZER" not in image.kinds:
            stacks[image.series].append(image)
    if not stacks:
        return "localizers only, no CT images"
    first = slices[0]
    folder = _common(image.path.parent for image in slices)
    if {key for key, _ in owners[folder]} == {first.key}:
        return CtStudy(first.patient, first.date, folder)
    chosen = _best(list(stacks.values()))
    uid, folder = chosen[0].series, _common(_folders(chosen))
    sharing = owners[folder] - {(first.key, uid)}
    if not sharing:
        return CtStudy(first.patient, first.date, folder)
    if not uid or any(series == uid for _, series in sharing):
        return f"{folder} holds another CT of the same SeriesInstanceUID {uid!r}; move the two apart"
    return CtStudy(first.patient, first.date, folder, uid)


def _best(stacks: Sequence[Sequence[Image]]) -> Sequence[Image]:
    """The stack to take: a header tells less than the pixels do, so only what is sure is asked."""

    def original(stack: Sequence[Image]) -> bool:
        return "ORIGINAL" in stack[0].kinds and not any(kind in _DERIVED for kind in stack[0].kinds)

    def range_mm(stack: Sequence[Image]) -> float:
        heights = [image.height_mm for image in stack if not math.isnan(image.height_mm)]
        return max(heights) - min(heights) if heights else 0.0

    kept = [stack for stack in stacks if original(stack)] or list(stacks)
    least = _SAME_RANGE * max(map(range_mm, kept))
    return min((stack for stack in kept if range_mm(stack) >= least), key=lambda stack: (-len(stack), stack[0].series))


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
