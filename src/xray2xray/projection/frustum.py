"""A grid that follows the rays of one view: depth planes across its central ray, rows and columns along its pixels.

The map from the patient to the grid is projective: with s = (distance from the source along the central ray) / SDD, a
point lies at column -x / s, row -z / s and depth 1 / s. Such a map sends straight rays to straight rays. Hence the rays
of any other pose are straight lines of the grid too, along which a plain ray marcher can walk, and the rays of the
view itself are the grid's own lines along depth: rendering the given view gives back exactly what it measured.

Along a ray A + l (B - A) with homogeneous images (a, h_A) and (b, h_B) in the grid the image moves by
|b h_A - a h_B| dl / h^2. So the integral of mu dl is a constant of the ray times that of mu h^2 over the image: grids
hold mu h^2, and the constant is applied afterwards (see `march`).
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from ..core.errors import InputError
from ..parallel.threads import on_threads
from . import ray_kernels as kernels
from .geometry import Geometry, Pose, rays_mm

REACH_MM = 450.0  # rays are followed this far before and behind the point nearest to the isocentre


FRONTAL = Pose(0.0)


@dataclass(frozen=True)
class Frustum:
    """The grid of a view: (depth, rows, columns), planes evenly spaced in 1 / s, cells as large as the view's pixels.

    It reaches an eighth of the detector beyond its upper and lower side and a quarter beyond the left and right one:
    arms, shoulders and flanks that the view does not show, and that others do.

    Attributes:
        geometry: of the view; `geometry.size` is its number of pixels along a side, a multiple of eight.
        pose: of the view.
        depth: number of planes; plane 0 is nearest to the source.
        half_depth_mm: planes fill the isocentre plus and minus this, along the central ray.

    Raises:
        InputError: a size that eight does not divide, no planes, or a source inside the grid.
    """

    geometry: Geometry
    pose: Pose = FRONTAL
    depth: int = 64
    half_depth_mm: float = 190.0

    def __post_init__(self) -> None:
        if self.geometry.size % 8 or self.depth < 1:
            raise InputError(
                f"a lifted state needs a view whose size is a multiple of 8 and at least one plane, got "
                f"{self.geometry.size} pixels and {self.depth} planes"
            )
        if self.geometry.beam == "cone" and self.half_depth_mm >= self.geometry.sod_mm:
            raise InputError(f"geometry {self.geometry.name}: its source lies within the chest; give a larger sod_mm")

    @property
    def beyond(self) -> tuple[int, int]:
        """Rows above and below, and columns on either side, that lie beyond the detector."""
        return self.geometry.size // 8, self.geometry.size // 4

    @property
    def shape(self) -> tuple[int, int, int]:
        """(depth, rows, columns)."""
        rows, columns = self.beyond
        return self.depth, self.geometry.size + 2 * rows, self.geometry.size + 2 * columns

    @property
    def detector(self) -> tuple[slice, slice]:
        """Rows and columns of the grid that the detector has measured."""
        size, (rows, columns) = self.geometry.size, self.beyond
        return slice(rows, rows + size), slice(columns, columns + size)

    def at(self, size: int, depth: int | None = None) -> "Frustum":
        """The same space in cells of another size: `size` of them along the detector's side."""
        return replace(self, geometry=replace(self.geometry, size=size), depth=depth or self.depth)

    @property
    def matrix(self) -> np.ndarray:
        """(4, 4) float64: homogeneous RAS mm about the isocentre -> (depth, row, column, 1) indices times h."""
        g = self.geometry
        (near, far), (_, rows, columns) = self._depths, self.shape
        if g.beam == "cone":
            h = np.array([0.0, 1.0, 0.0, g.sod_mm]) / g.sdd_mm
            depth = np.array([0.0, 0.0, 0.0, 1.0])  # 1 / s, times s
        else:
            h = np.array([0.0, 0.0, 0.0, 1.0])
            depth = np.array([0.0, 1.0, 0.0, 0.0])
        at_rest = np.stack(
            [
                (depth - near * h) * self.depth / (far - near) - h / 2,
                np.array([0.0, 0.0, -1.0, 0.0]) / g.pixel_mm + (rows - 1) / 2 * h,
                np.array([-1.0, 0.0, 0.0, 0.0]) / g.pixel_mm + (columns - 1) / 2 * h,
                h,
            ]
        )
        to_rest = np.eye(4)
        to_rest[:3, :3] = self.pose.rotation.T
        to_rest[:3, 3] = -self.pose.rotation.T @ np.asarray(self.pose.translation_mm)
        return at_rest @ to_rest

    @property
    def _depths(self) -> tuple[float, float]:
        """Where the first plane begins and the last one ends: 1 / s, or mm in a parallel beam."""
        if self.geometry.beam == "parallel":
            return -self.half_depth_mm, self.half_depth_mm
        sod, sdd = self.geometry.sod_mm, self.geometry.sdd_mm
        return sdd / (sod - self.half_depth_mm), sdd / (sod + self.half_depth_mm)

    @property
    def sample_mm(self) -> np.ndarray:
        """(rows, columns) float64: the ray's constant c of the view itself; a plane of a ray is c h^2 mm long."""
        near, far = self._depths
        if self.geometry.beam == "parallel":
            return np.full(self.shape[1:], (far - near) / self.depth)
        down, across = ((np.arange(n) - (n - 1) / 2) * self.geometry.pixel_mm for n in self.shape[1:])
        slant = np.sqrt(down[:, None] ** 2 + across[None] ** 2 + self.geometry.sdd_mm**2)
        return slant * (near - far) / self.depth

    @property
    def h(self) -> np.ndarray:
        """(depth,) float64: s in the middle of each plane; one in a parallel beam."""
        if self.geometry.beam == "parallel":
            return np.ones(self.depth)
        near, far = self._depths
        return 1 / (near + (np.arange(self.depth) + 0.5) / self.depth * (far - near))

    def points_mm(self) -> np.ndarray:
        """(3, depth, rows, columns) float32: where the cells' centres are, RAS mm about the isocentre."""
        inverse = np.linalg.inv(self.matrix)
        k, i, j = (np.arange(n, dtype=np.float64) for n in self.shape)
        # affine in the indices: three outer sums are cheaper than a product with every cell
        homogeneous = (
            inverse[:, 0, None, None, None] * k[:, None, None]
            + inverse[:, 1, None, None, None] * i[None, :, None]
            + inverse[:, 2, None, None, None] * j
            + inverse[:, 3, None, None, None]
        )
        return (homogeneous[:3] / homogeneous[3]).astype(np.float32)


def march(
    grid: np.ndarray, frustum: Frustum, geometry: Geometry, poses: Sequence[Pose], threads: int | None = None
) -> np.ndarray:
    """Line integrals p, (n, size, size) float32, of a grid of mu h^2 (depth, rows, columns) in any geometry and pose.

    Each ray is sampled where it crosses the planes of the grid's axis of which it crosses most, with bilinear
    interpolation between the cells of a plane: the quadrature of `projection.rays`.
    """
    padded = kernels.pad(np.ascontiguousarray(grid.transpose(0, 2, 1), dtype=np.float32))  # rows innermost
    views = np.empty((len(poses), geometry.size, geometry.size), np.float32)

    def view(number: int) -> None:
        start, run, axes, sample_mm = _paths(frustum, geometry, poses[number])
        sums = np.zeros((geometry.size, geometry.size), np.float32)
        kernels.forward_rays(padded, grid.shape[1], sums, start, run, axes)
        views[number] = (sums * sample_mm).T

    on_threads(view, range(len(poses)), threads)
    return views


def smear(view: np.ndarray, frustum: Frustum, geometry: Geometry, pose: Pose) -> np.ndarray:
    """The transpose of `march`: a view (size, size) spread along its rays, float32 (depth, rows, columns)."""
    depth, rows, columns = frustum.shape
    start, run, axes, sample_mm = _paths(frustum, geometry, pose)
    padded = np.zeros(kernels.padded_shape((depth, columns, rows)), np.float32)
    values = np.ascontiguousarray(view.T * sample_mm, dtype=np.float32)
    kernels.adjoint_rays(padded, rows, values, start, run, axes)
    return np.ascontiguousarray(kernels.unpad(padded, (depth, columns, rows)).transpose(0, 2, 1))


def _paths(frustum: Frustum, geometry: Geometry, pose: Pose) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Rays of a view in the padded grid, as the kernels take them, and mm that a sample of mu h^2 stands for."""
    matrix = frustum.matrix[[0, 2, 1, 3]]
    begin, end = (points.swapaxes(0, 1) for points in rays_mm(geometry, pose))
    along = (end - begin) / np.linalg.norm(end - begin, axis=-1, keepdims=True)
    nearest = begin - (begin * along).sum(-1, keepdims=True) * along
    a, b = (
        (nearest + side * REACH_MM * along) @ matrix[:, :3].T + matrix[:, 3] for side in (-1, 1)
    )  # homogeneous images of two points of each ray
    run = b[..., :3] * a[..., 3:] - a[..., :3] * b[..., 3:]
    axes = np.abs(run).argmax(axis=-1)
    crossed = np.abs(np.take_along_axis(run, axes[..., None], axis=-1)[..., 0])
    start = np.ascontiguousarray(a[..., :3] / a[..., 3:] + kernels.PAD)
    return start, np.ascontiguousarray(run), axes.astype(np.int8), 2 * REACH_MM / crossed
