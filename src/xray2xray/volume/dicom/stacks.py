"""From the images of a folder to stacks, with every image that is in none of them accounted for."""

from collections import Counter, defaultdict
from collections.abc import Callable, Container, Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import chain, count

import numpy as np

from .images import PASS_TAGS, Aside, Image

GAP = 1.5  # in usual slice distances: more means that a slice is missing
UNEVEN = 0.45  # in slice distances, from an even spacing: a slice too few or too many moves others by half a step
ROUNDED_MM = 1.001  # two positions rounded to whole millimetres can be so much further apart
SAME_PLACE_MM = 1e-3
SAME_DIRECTION_DEG = 1.0  # about the median of a stack: de-identified headers round their directions
SAME_RANGE = 0.5  # parts that share more than this of the shorter one's range lie over each other, not beside it
OTHER_ORIENTATION, OTHER_GRID = "another orientation", "another matrix or pixel size"
LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0])

SamePixels = Callable[[Image, Image], bool]


@dataclass(frozen=True, eq=False)
class Stack:
    """Images of one series in one orientation and one pass, from low to high along their normal.

    Attributes:
        name: SeriesInstanceUID, and what distinguishes this stack in the series behind a colon.
        images: at least two.
    """

    name: str
    images: tuple[Image, ...]

    @property
    def series(self) -> str:
        return self.images[0].series

    @cached_property
    def directions(self) -> tuple[np.ndarray, np.ndarray]:
        """Along rows and along columns: the median of the images, unit length."""
        return _median([image.along_row for image in self.images]), _median([i.along_column for i in self.images])

    @cached_property
    def heights_mm(self) -> np.ndarray:
        """(n,) positions along the normal."""
        return np.array([image.position for image in self.images]) @ np.cross(*self.directions)

    @property
    def step_mm(self) -> float:
        """Median distance of neighbouring slices."""
        return float(np.median(np.diff(self.heights_mm)))

    @property
    def range_mm(self) -> float:
        return float(self.heights_mm[-1] - self.heights_mm[0]) + self.step_mm

    @cached_property
    def affine(self) -> np.ndarray:
        """Index (column, row, slice) -> RAS mm; DICOM PS3.3 C.7.6.2.1.1, then LPS to RAS."""
        first, last = self.images[0], self.images[-1]
        affine = np.eye(4)
        affine[:3, 0] = self.directions[0] * first.pixel_mm[1]
        affine[:3, 1] = self.directions[1] * first.pixel_mm[0]
        affine[:3, 2] = (last.position - first.position) / (len(self.images) - 1)
        affine[:3, 3] = first.position
        affine[:3] = LPS_TO_RAS @ affine[:3]
        return affine

    @property
    def shape(self) -> tuple[int, int, int]:
        """Columns, rows, slices."""
        rows, columns = self.images[0].matrix
        return columns, rows, len(self.images)

    @property
    def long_axis_mm(self) -> float:
        """What it covers of the patient from head to feet."""
        return float(np.abs(self.affine[2, :3]) @ self.shape)

    @cached_property
    def problem(self) -> str | None:
        """Why this is no regular grid, one clause; None where it is one."""
        return _problem(self)

    def __str__(self) -> str:
        return f"{self.name} ({len(self.images)} slices, {self.range_mm:.0f} mm in steps of {self.step_mm:.3g} mm)"


@dataclass
class Found:
    """What a folder holds: `images` = slices of the stacks + those set aside."""

    stacks: list[Stack] = field(default_factory=list)
    aside: list[Aside] = field(default_factory=list)
    images: int = 0
    notes: list[str] = field(default_factory=list)

    def set_aside(self, images: Iterable[Image], reason: str, lost: bool = False) -> None:
        self.aside += [Aside(str(image), reason, image.series, lost) for image in images]


def find_stacks(found: Iterable[Image | Aside], same_pixels: SamePixels) -> Found:
    """Sort images into stacks.

    Args:
        found: images, and those that the header rules out already.
        same_pixels: whether two images have equal HU; asked only where two stand at one place.
    """
    result, series = Found(), defaultdict(list)
    for item in found:
        result.images += 1
        if isinstance(item, Aside):
            result.aside.append(item)
        else:
            series[item.series or ":".join(["no-uid", *filter(None, item.pool)])].append(item)
    for uid, images in _pooled(series, result.notes).items():
        for part in _split(_Part(uid, images)):
            _add_stack(result, part, same_pixels)
    return result


def _pooled(series: dict[str, list[Image]], notes: list[str]) -> dict[str, list[Image]]:
    """Series by UID; images that each have one of their own are one series, held together by study and frame."""
    single = [images[0] for uid, images in series.items() if len(images) == 1 and images[0].series == uid]
    pools: dict[tuple[object, ...], list[Image]] = defaultdict(list)
    for image in single:
        pools[(*image.pool, image.matrix)].append(image)
    kept = dict(series)
    for images in pools.values():
        if len(images) > max(2, max((len(i) for i in series.values() if len(i) > 1), default=0)):
            for image in images:
                del kept[image.series]
            kept[min(image.series for image in images)] = images
            notes.append(f"{len(images)} images have a SeriesInstanceUID each; they were taken for one series")
    return dict(sorted(kept.items()))


@dataclass
class _Part:
    """Images of a series, under a name, and in what they differ from the others of the series."""

    name: str
    images: list[Image]
    differs: str = "single image"

    def divided(self, groups: dict[str, list[Image]], differs: str) -> "list[_Part]":
        if len(groups) == 1:
            return [self]
        return [_Part(f"{self.name}:{label}", images, differs) for label, images in sorted(groups.items())]


def _split(series: _Part) -> list[_Part]:
    """By orientation, matrix and pixel size, then by pass: parts that could each be a stack."""
    return [
        part
        for turned in series.divided(_by_orientation(series.images), OTHER_ORIENTATION)
        for grid in turned.divided(_by_grid(turned.images), OTHER_GRID)
        for part in _by_pass(grid, PASS_TAGS)
    ]


def _by_orientation(images: list[Image]) -> dict[str, list[Image]]:
    """Groups within a tolerance about their median direction."""
    groups: dict[str, list[Image]] = {}
    left = images
    while left:
        seed = left[0]
        near = [image for image in left if _turned_deg(image, seed.along_row, seed.along_column) < 3]
        row, column = _median([i.along_row for i in near]), _median([i.along_column for i in near])
        near = [image for image in left if _turned_deg(image, row, column) <= SAME_DIRECTION_DEG] or [seed]
        groups[_unlike(groups, _plane(seed))] = near
        chosen = {id(image) for image in near}
        left = [image for image in left if id(image) not in chosen]
    return groups


def _unlike(names: Container[str], name: str) -> str:
    """The name, with a number where it is taken."""
    return next(one for one in chain([name], (f"{name}-{n}" for n in count(2))) if one not in names)


def _turned_deg(image: Image, row: np.ndarray, column: np.ndarray) -> float:
    cosine = min(float(image.along_row @ row), float(image.along_column @ column))
    return float(np.degrees(np.arccos(np.clip(cosine, -1, 1))))


def _plane(image: Image) -> str:
    normal = np.abs(np.cross(image.along_row, image.along_column))
    return ("sagittal", "coronal", "axial")[int(normal.argmax())]


def _by_grid(images: list[Image]) -> dict[str, list[Image]]:
    groups: list[list[Image]] = []
    for image in images:
        for group in groups:
            if image.matrix == group[0].matrix and np.allclose(image.pixel_mm, group[0].pixel_mm, rtol=1e-3):
                group.append(image)
                break
        else:
            groups.append([image])
    named: dict[str, list[Image]] = {}
    for group in groups:
        (rows, columns), (mm, _) = group[0].matrix, group[0].pixel_mm
        named[_unlike(named, f"{columns}x{rows}x{mm:.4g}mm")] = group
    return named


def _by_pass(part: _Part, tags: Sequence[str]) -> list[_Part]:
    """Split by the first of the tags whose values lie over each other along the stack, then by the next.

    A scanner that moves the table from slab to slab counts an acquisition for each: those lie beside each other and
    are one stack.
    """
    whole = _regular(part.images)
    for at, tag in enumerate(tags):
        groups: dict[str, list[Image]] = defaultdict(list)
        for image in part.images:
            groups[_label(image.passes.get(tag, ""))].append(image)
        if len(groups) == 1 or len(groups) == len(part.images):
            continue
        regular = [part for part in groups.values() if _regular(part)]
        if regular and (over_each_other(groups.values()) or (not whole and _covered(regular, part.images))):
            pieces = part.divided(groups, f"another {tag}")
            return [one for piece in pieces for one in _by_pass(piece, tags[at + 1 :])]
    return [part]


def _label(value: str) -> str:
    return "".join(c if c.isalnum() or c in ".-/+" else "-" for c in value)[:40] or "none"


def _covered(parts: list[list[Image]], images: list[Image]) -> bool:
    """Whether one of the parts reaches as far as all images do."""
    lengths = [high - low for low, high in _ranges([*parts, images])]
    return max(lengths[:-1]) >= 0.9 * lengths[-1]


def _ranges(parts: Iterable[Iterable[Image]]) -> list[tuple[float, float]]:
    """Lowest and highest position of each part, along the normal of the first."""
    lists = [list(part) for part in parts]
    normal = np.cross(lists[0][0].along_row, lists[0][0].along_column)
    heights = [[float(image.position @ normal) for image in part] for part in lists]
    return [(min(h), max(h)) for h in heights]


def over_each_other(parts: Iterable[Iterable[Image]]) -> bool:
    """Whether two parts, of two images at least, share most of the shorter one's range."""
    ranges = sorted((low, high) for low, high in _ranges(parts) if high - low > SAME_PLACE_MM)
    return any(
        min(a[1], b[1]) - max(a[0], b[0]) > SAME_RANGE * min(a[1] - a[0], b[1] - b[0])
        for n, a in enumerate(ranges)
        for b in ranges[n + 1 :]
        if b[0] < a[1]
    )


def _regular(images: list[Image]) -> bool:
    return len(images) > 2 and (stack := _ordered("", images)) is not None and stack.problem is None


def _ordered(name: str, images: list[Image]) -> Stack | None:
    """The images from low to high; None where they do not make a stack."""
    if len(images) < 2:
        return None
    normal = np.cross(images[0].along_row, images[0].along_column)
    stack = Stack(name, tuple(sorted(images, key=lambda image: (float(image.position @ normal), str(image)))))
    return stack if stack.heights_mm[-1] - stack.heights_mm[0] > SAME_PLACE_MM else None


def _add_stack(result: Found, part: _Part, same_pixels: SamePixels) -> None:
    stack = _ordered(part.name, part.images)
    if stack is None:
        if len(part.images) > 1:
            result.set_aside(part.images, "all at one position (ImagePositionPatient)", lost=True)
        else:
            result.set_aside(part.images, part.differs, lost=part.differs == OTHER_GRID)
        return
    doubled = np.flatnonzero(np.diff(stack.heights_mm) < SAME_PLACE_MM)
    if len(doubled):
        copies = _copies(stack, same_pixels)
        result.set_aside(copies, "duplicate")
        left = {id(image) for image in stack.images} - {id(image) for image in copies}
        again = _ordered(part.name, [image for image in stack.images if id(image) in left])
        assert again is not None
        stack = again
    result.stacks.append(stack)


def _copies(stack: Stack, same_pixels: SamePixels) -> list[Image]:
    """Images with the same position, orientation and pixels as an earlier one."""
    copies, kept = [], [stack.images[0]]
    for image in stack.images[1:]:
        near = [k for k in kept[-4:] if np.abs(k.position - image.position).max() < SAME_PLACE_MM]
        if any(same_pixels(one, image) for one in near):
            copies.append(image)
        else:
            kept.append(image)
    return copies


def _median(directions: list[np.ndarray]) -> np.ndarray:
    middle = np.median(directions, axis=0)
    length = np.linalg.norm(middle)
    return middle if abs(length - 1) < 1e-6 else middle / length


def _problem(stack: Stack) -> str | None:
    heights, images = stack.heights_mm, stack.images
    steps = np.diff(heights)
    doubled = np.flatnonzero(steps < SAME_PLACE_MM)
    if len(doubled):
        return (
            f"{len(doubled)} slice positions occur twice with other pixels (several acquisitions or phases that no "
            f"header field tells apart), first in {images[doubled[0]]} and {images[doubled[0] + 1]}; export one of them"
        )
    usual, mean = _usual_step(steps), float(heights[-1] - heights[0]) / len(steps)
    even = np.abs(heights - heights[0] - mean * np.arange(len(heights))).max() <= UNEVEN * mean
    gaps = np.flatnonzero((steps > GAP * usual) & ((steps > usual + ROUNDED_MM) | (not even)))
    if len(gaps):
        where = ", ".join(f"{heights[g]:.1f} and {heights[g + 1]:.1f} mm" for g in gaps[:4])
        names = f"{images[gaps[0]]} and {images[gaps[0] + 1]}"
        return (
            f"slices are missing between {where} along the stack (first gap: {names}; usual step {usual:.3g} mm), or "
            "thinner slices lie among thick ones; export one complete, regular series"
        )
    positions = np.array([image.position for image in images])
    straight = positions[0] + np.outer(np.arange(len(heights)), positions[-1] - positions[0]) / len(steps)
    drift = np.linalg.norm(positions - straight, axis=1)
    if not even or drift.max() > max(1.0, usual / 2):
        worst = images[int(drift.argmax())]
        return f"slices are not evenly spaced ({worst} is {drift.max():.1f} mm off); export one regular series"
    return None


def _usual_step(steps: np.ndarray) -> float:
    """The lower median, unless a quarter of the steps are as short as half of it: then most are gaps."""
    middle = np.sort(steps)[(len(steps) - 1) // 2]
    short = steps[steps < 0.6 * middle]
    return float(np.median(short) if len(short) > 0.25 * len(steps) else middle)


def words(aside: Sequence[Aside], names: int = 3) -> str:
    """How many were set aside for each reason, with the names of the first few."""
    parts = []
    for reason, many in Counter(one.reason for one in aside).most_common():
        first = [one.name for one in aside if one.reason == reason][:names]
        parts.append(f"{many} {reason} ({', '.join(first)}{', ...' if many > len(first) else ''})")
    return "; ".join(parts)
