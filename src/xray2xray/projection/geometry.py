"""Where the source, the detector and the patient are: equations only, in RAS+ millimetres about the isocentre.

x grows towards the patient's right, y anterior, z superior. At yaw t the source stands at SOD (sin t, -cos t, 0); the
detector lies across the isocentre at SDD from the source, its columns run along (-cos t, -sin t, 0) and its rows
downwards, so every view is seen from the detector towards the source. Hence

    yaw    0   PA             patient's right on the left of the picture
    yaw  +90   left lateral   source on the patient's right, anterior on the left of the picture
    yaw  -90   right lateral  anterior on the right
    yaw  180   AP             patient's right on the right; flipped for display only

Positive yaw is counter-clockwise seen from above the head.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from numbers import Real
from typing import Literal

import numpy as np

from ..core.errors import InputError
from ..core.limits import MAX_SIDE

STANDARD_ARC: tuple[float, ...] = tuple(float(yaw) for yaw in range(-90, 91, 5))
"""The 37 views of the paper, from right lateral over PA (index 18) to left lateral, in degrees."""


def mirror_arc(views: np.ndarray) -> np.ndarray:
    """Views (..., 37, h, w) of the standard arc of the patient whose left and right are exchanged; nothing is copied.

    The source's orbit and the detector are their own mirror images, so a mirrored patient seen from yaw is the patient
    seen from -yaw, flipped.
    """
    return views[..., ::-1, :, ::-1]


NAMED_VIEWS: dict[str, float] = {
    "right_lateral": -90.0,
    "right_anterior_oblique": -45.0,
    "pa": 0.0,
    "left_anterior_oblique": 45.0,
    "left_lateral": 90.0,
    "ap": 180.0,
}
"""Yaw of the views a radiographer has a name for; an oblique is named after the side nearest the detector."""


@dataclass(frozen=True)
class Geometry:
    """An X-ray set: `size` x `size` square pixels on a detector of `detector_mm`, `sdd_mm` from the source.

    In a parallel beam there is no source; `sod_mm` then only says from which side the rays come.

    Raises:
        InputError: a distance or the size is not positive, or the detector stands before the isocentre.
    """

    name: str
    beam: Literal["cone", "parallel"]
    sdd_mm: float
    sod_mm: float
    detector_mm: float
    size: int

    def __post_init__(self) -> None:
        if self.beam not in ("cone", "parallel"):
            raise InputError(f"geometry {self.name}: beam is {self.beam!r}, it must be 'cone' or 'parallel'")
        finite = self.sdd_mm < math.inf and self.detector_mm < math.inf and 0 < self.size <= MAX_SIDE
        if not (self.sdd_mm >= self.sod_mm > 0 and self.detector_mm > 0 and finite):
            raise InputError(
                f"geometry {self.name}: needs finite SDD >= SOD > 0, a detector of positive size "
                f"and 1 to {MAX_SIDE} pixels, got "
                f"sdd_mm={self.sdd_mm}, sod_mm={self.sod_mm}, detector_mm={self.detector_mm}, size={self.size}"
            )

    @property
    def pixel_mm(self) -> float:
        return self.detector_mm / self.size

    @property
    def magnification(self) -> float:
        """How much larger than life the isocentre appears on the detector."""
        return self.sdd_mm / self.sod_mm if self.beam == "cone" else 1.0

    @property
    def field_mm(self) -> float:
        """Width of the plane through the isocentre that the detector sees."""
        return self.detector_mm / self.magnification

    @property
    def offsets_mm(self) -> np.ndarray:
        """Pixel centres along a row or a column of the detector, (size,) float64, zero in the middle."""
        return (np.arange(self.size) - (self.size - 1) / 2) * self.pixel_mm


@dataclass(frozen=True)
class Pose:
    """How the X-ray set stands about the patient: R = Rz(yaw) Rx(-pitch) Ry(roll), then a shift.

    Positive pitch lifts the source towards the head, roll turns the set about the beam, and `translation_mm`
    (RAS) moves source and detector together.

    Raises:
        InputError: a number is not finite.
    """

    yaw_deg: float
    pitch_deg: float = 0.0
    roll_deg: float = 0.0
    translation_mm: tuple[float, float, float] = (0.0, 0.0, 0.0)

    def __post_init__(self) -> None:
        if not np.isfinite(self.parameters).all() or len(self.parameters) != 6:
            raise InputError(
                f"{self}: a pose is three finite angles in degrees and a shift of three finite millimetres"
            )

    @property
    def parameters(self) -> tuple[float, ...]:
        """Yaw, pitch, roll in degrees and the translation in mm: six numbers."""
        return (self.yaw_deg, self.pitch_deg, self.roll_deg, *self.translation_mm)

    @property
    def upright(self) -> bool:
        """Whether the axis of rotation stands along z: neither pitch nor roll."""
        return self.pitch_deg == 0 and self.roll_deg == 0

    @property
    def rotation(self) -> np.ndarray:
        """(3, 3) float64, R = Rz(yaw) Rx(-pitch) Ry(roll)."""
        (cz, cx, cy), (sz, sx, sy) = (f(np.deg2rad(self.parameters[:3])) for f in (np.cos, np.sin))
        about_z = np.array([[cz, -sz, 0], [sz, cz, 0], [0, 0, 1]])
        about_x = np.array([[1, 0, 0], [0, cx, sx], [0, -sx, cx]])
        about_y = np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
        return about_z @ about_x @ about_y


Poses = Sequence[Pose | float] | np.ndarray | Pose | float
"""What the projectors take: poses or yaw angles in degrees, several or one."""


def as_poses(poses: Poses) -> list[Pose]:
    """Every entry as a `Pose`, one alone as a list of it; a bare number is a yaw in degrees.

    Raises:
        InputError: anything else.
    """
    try:
        if isinstance(poses, str):  # whose characters would be angles
            raise TypeError
        several = [poses] if isinstance(poses, Pose | float | Real) else poses
        return [pose if isinstance(pose, Pose) else Pose(float(pose)) for pose in several]
    except (TypeError, ValueError) as error:
        raise InputError(f"poses are a sequence of Pose objects or of yaw angles in degrees, got {poses!r}") from error


_PRESETS = {
    "chest": Geometry("chest", "cone", 1800.0, 1550.0, 430.0, 128),
    "portable_ap": Geometry("portable_ap", "cone", 1100.0, 900.0, 430.0, 128),
    # The next three see about the field that `chest` sees at the isocentre (370 mm).
    "xwin": Geometry("xwin", "cone", 1020.0, 700.0, 540.0, 128),
    "x2ct": Geometry("x2ct", "cone", 949.0, 541.0, 650.0, 128),
    "parallel": Geometry("parallel", "parallel", 1800.0, 1550.0, 370.0, 128),
}
PRESETS: tuple[str, ...] = tuple(_PRESETS)


def preset(name: str = "chest", size: int = 128) -> Geometry:
    """One of `PRESETS` with a detector of `size` x `size` pixels.

    `chest`: upright radiograph at 1.8 m; `portable_ap`: bedside, to be used at yaw 180; `xwin` and `x2ct`: the source
    distances of X-WIN (arXiv 2511.14918) and X2CT-GAN (arXiv 1905.06902); `parallel`: no magnification.

    Raises:
        InputError: no preset has that name.
    """
    if name not in _PRESETS:
        raise InputError(f"no geometry preset {name!r}; choose one of {', '.join(PRESETS)}")
    return replace(_PRESETS[name], size=size)


def source_mm(geometry: Geometry, yaw_deg: float) -> np.ndarray:
    """Source relative to the isocentre, (3,) float64 RAS mm."""
    yaw = np.deg2rad(yaw_deg)
    return geometry.sod_mm * np.array([np.sin(yaw), -np.cos(yaw), 0.0])


@dataclass(frozen=True)
class Fan:
    """All rays of an upright view, relative to the isocentre in RAS mm, float64, from source to pixel.

    Where a ray runs in x and y depends on its column only, where it runs in z on its row only; so (size, 2) points
    and (size,) heights say everything about size x size rays.
    """

    start_xy: np.ndarray
    end_xy: np.ndarray
    start_z: np.ndarray
    end_z: np.ndarray


def fan_mm(geometry: Geometry, pose: Pose) -> Fan:
    """The rays of an upright pose. In a parallel beam each starts `sdd_mm` before its own pixel."""
    yaw = np.deg2rad(pose.yaw_deg)
    shift = np.asarray(pose.translation_mm, np.float64)
    towards_source = np.array([np.sin(yaw), -np.cos(yaw)])
    along_columns = np.array([-np.cos(yaw), -np.sin(yaw)])
    offsets = geometry.offsets_mm
    end_xy = offsets[:, None] * along_columns - (geometry.sdd_mm - geometry.sod_mm) * towards_source + shift[:2]
    end_z = shift[2] - offsets
    if geometry.beam == "cone":
        start_xy = np.broadcast_to(geometry.sod_mm * towards_source + shift[:2], end_xy.shape)
        return Fan(start_xy, end_xy, np.full_like(offsets, shift[2]), end_z)
    return Fan(end_xy + geometry.sdd_mm * towards_source, end_xy, end_z, end_z)


def rays_mm(geometry: Geometry, pose: Pose | float) -> tuple[np.ndarray, np.ndarray]:
    """Start and end of every ray relative to the isocentre: two (size rows, size columns, 3) float64, RAS mm.

    At rest (yaw 0) the source stands posterior; `Pose` says how the set is turned and shifted from there.
    """
    (pose,) = as_poses([pose])
    offsets = geometry.offsets_mm
    ends = np.empty((geometry.size, geometry.size, 3))
    ends[..., 0], ends[..., 1], ends[..., 2] = -offsets, geometry.sdd_mm - geometry.sod_mm, -offsets[:, None]
    starts = np.zeros_like(ends)
    if geometry.beam == "cone":
        starts[..., 1] = -geometry.sod_mm
    else:
        starts += ends - [0.0, geometry.sdd_mm, 0.0]
    return tuple(points @ pose.rotation.T + pose.translation_mm for points in (starts, ends))
