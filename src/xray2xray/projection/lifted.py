"""The lifted state of a chest: what each ray of a view has measured, and how it is distributed along the ray."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
import torch.nn.functional as F
from scipy.ndimage import map_coordinates
from torch import Tensor

from ..core.errors import InputError
from ..volume.attenuation import hu_to_mu
from ..volume.chest import body_mask, isocentre_mm
from ..volume.volume import Volume
from .differentiable import march_tensor
from .forward import project
from .frustum import Frustum, march
from .geometry import Geometry, Pose, as_poses

BODY_MU = 0.01  # per mm: half of water


@dataclass(frozen=True, eq=False)
class Lifted:
    """A chest as seen from one view: attenuation is p w along each of its rays.

    Attributes:
        frustum: the grid, at the view's own resolution.
        p: (rows, columns) float32, line integrals: measured on the detector, predicted beyond it.
        w: (depth, rows', columns') float32 >= 0, the share of p in each plane, on a grid that is coarser by a whole
            number; a column of zeros (air) stays one. See `shares`.

    Raises:
        InputError: shapes that do not fit the frustum.
    """

    frustum: Frustum
    p: np.ndarray
    w: np.ndarray

    def __post_init__(self) -> None:
        depth, rows, columns = self.frustum.shape
        coarse = self.w.shape[1:]
        fits = self.w.shape[0] == depth and rows % coarse[0] == 0 and rows * coarse[1] == columns * coarse[0]
        if self.p.shape != (rows, columns) or not fits:
            raise InputError(
                f"a lifted state of {depth} planes of {rows} x {columns} cells cannot have line integrals "
                f"{self.p.shape} and a depth distribution {self.w.shape}"
            )

    def __repr__(self) -> str:
        planes, rows, columns = self.frustum.shape
        return f"Lifted({planes} planes of {rows} x {columns} cells, from yaw {self.frustum.pose.yaw_deg:g})"

    def shares(self) -> np.ndarray:
        """(depth, rows, columns) float32 at full resolution: `w` bilinear between its cells, sum over depth one."""
        w = torch.from_numpy(np.ascontiguousarray(self.w, np.float32))[None]
        return shares_of(w, self.frustum.shape[1:])[0].numpy()

    def portions(self) -> np.ndarray:
        """(depth, rows, columns) float32, p w: the part of each ray's line integral that comes from each plane."""
        shares = self.shares()
        shares *= self.p
        return shares

    def mu_per_mm(self) -> np.ndarray:
        """(depth, rows, columns) float32: attenuation in the frustum's cells."""
        plane_mm = self.frustum.sample_mm * self.frustum.h[:, None, None] ** 2
        return (self.portions() / plane_mm).astype(np.float32)

    def views(
        self, poses: Sequence[Pose | float], geometry: Geometry | None = None, threads: int | None = None
    ) -> np.ndarray:
        """Line integrals (n, size, size) float32 at any poses, in the view's own geometry unless another is given.

        At the view's own pose these are the measured ones, to float32 rounding.
        """
        grid = self.portions()
        grid /= self.frustum.sample_mm.astype(np.float32)
        return march(grid, self.frustum, geometry or self.frustum.geometry, as_poses(poses), threads)

    def sampled_mu(self, shape: tuple[int, int, int], affine: np.ndarray) -> np.ndarray:
        """Attenuation per mm, float32 of `shape`, on a Cartesian grid; zero outside the frustum.

        Args:
            affine: (4, 4), voxel index -> RAS mm about the isocentre.
        """
        matrix = self.frustum.matrix @ affine
        i, j, k = (np.arange(n, dtype=np.float64) for n in shape)
        homogeneous = (
            matrix[:, 0, None, None, None] * i[:, None, None]
            + matrix[:, 1, None, None, None] * j[None, :, None]
            + matrix[:, 2, None, None, None] * k
            + matrix[:, 3, None, None, None]
        )
        indices = (homogeneous[:3] / homogeneous[3]).astype(np.float32)
        return map_coordinates(self.mu_per_mm(), indices, order=1, mode="constant")


def extended(view_p: np.ndarray, frustum: Frustum, beyond_p: np.ndarray | None = None) -> np.ndarray:
    """(rows, columns) float32 of the frustum: the view on the detector, `beyond_p` (coarser, or none) around it."""
    beyond = np.zeros(frustum.shape[1:], np.float32) if beyond_p is None else np.ascontiguousarray(beyond_p, np.float32)
    view = torch.from_numpy(np.ascontiguousarray(view_p, np.float32))
    return extended_batch(view[None], frustum, torch.from_numpy(beyond)[None])[0].numpy()


def extended_batch(views_p: Tensor, frustum: Frustum, beyond_p: Tensor) -> Tensor:
    """`extended` of views (b, size, size) and what lies around them (b, rows', columns')."""
    canvas = F.interpolate(beyond_p[:, None], size=frustum.shape[1:], mode="bilinear", align_corners=False)[:, 0]
    canvas = canvas.clone()  # of a size that already fits, it is the given one
    rows, columns = frustum.detector
    canvas[:, rows, columns] = views_p
    return canvas


def shares_of(w: Tensor, shape: tuple[int, int]) -> Tensor:
    """Depth distributions (b, depth, rows', columns') at full resolution: bilinear, sum over depth one."""
    if w.shape[2:] != shape:
        w = F.interpolate(w, size=shape, mode="bilinear", align_corners=False)
    total = w.sum(dim=1, keepdim=True)
    return torch.where(total > 0, w / total.clamp(min=1e-12), 1 / w.shape[1])


def lifted_views(p: Tensor, w: Tensor, frustum: Frustum, poses: Sequence[Pose | float]) -> Tensor:
    """`Lifted.views` of a batch with gradients to p and w, which are as in `Lifted`: (b, n, size, size).

    The ray marcher runs in float32 on the CPU; its gradient is its exact transpose.
    """
    sample_mm = torch.from_numpy(frustum.sample_mm.astype(np.float32)).to(p)
    grid = shares_of(w, frustum.shape[1:]) * p[:, None] / sample_mm
    return march_tensor(grid, frustum, frustum.geometry, as_poses(poses))


def portions_of(
    mu: np.ndarray, affine: np.ndarray, centre_mm: np.ndarray, frustum: Frustum, oversampling: int = 2
) -> np.ndarray:
    """(depth, rows, columns) float32: the part of each ray's line integral that a volume has in each plane.

    Cells are averages of `oversampling`^3 trilinear samples.

    Args:
        mu: attenuation per mm, on the grid of `affine` (voxel index -> RAS mm).
        centre_mm: (3,) RAS mm of the isocentre.
    """
    fine = frustum.at(frustum.geometry.size * oversampling, frustum.depth * oversampling)
    to_voxels = np.linalg.inv(affine)
    offset = to_voxels[:3, :3] @ centre_mm + to_voxels[:3, 3]
    points = fine.points_mm().reshape(3, -1)
    indices = to_voxels[:3, :3].astype(np.float32) @ points + offset[:, None].astype(np.float32)
    found = map_coordinates(mu, indices, order=1, mode="constant").reshape(fine.shape)
    found *= (fine.h**2).astype(np.float32)[:, None, None]
    depth, rows, columns = frustum.shape
    n = oversampling
    cells = found.reshape(depth, n, rows, n, columns, n).mean(axis=(1, 3, 5))
    return (cells * frustum.sample_mm).astype(np.float32)


def true_portions(volume: Volume, frustum: Frustum, oversampling: int = 2) -> np.ndarray:
    """`portions_of` a scan about its own isocentre."""
    mu = hu_to_mu(volume.hu, body_mask(volume))
    return portions_of(mu, volume.affine, isocentre_mm(volume), frustum, oversampling)


def line_integrals(volume: Volume, frustum: Frustum) -> np.ndarray:
    """(rows, columns) float32 of a scan in the frustum, beyond the detector too; NaN where the scan does not tell.

    A scan that ends in the middle of a body says nothing of what lies beyond. Where it ends within the view, the view
    shows it; a ray beyond the detector that passes such an end is not known.
    """
    _, rows, columns = frustum.shape
    wide = replace(frustum.geometry, size=columns, detector_mm=frustum.geometry.pixel_mm * columns)
    mu, centre = hu_to_mu(volume.hu, body_mask(volume)), isocentre_mm(volume)
    (p,) = project(mu, volume.affine, wide, [frustum.pose], centre, threads=1)
    p = p[(columns - rows) // 2 : (columns + rows) // 2]
    x_mm, z_mm = frustum.at(frustum.geometry.size, 1).points_mm()[[0, 2], 0]
    beyond = np.ones(p.shape, bool)
    beyond[frustum.detector] = False
    first = volume.affine[:3, 3] - centre  # canonical axes: the first voxel lies lowest
    last = first + volume.affine[:3, :3].diagonal() * (np.array(volume.shape) - 1)
    for axis, at_mm in ((0, x_mm), (2, z_mm)):
        planes = np.moveaxis(mu, axis, 0)
        for end, outside in ((planes[1], at_mm < first[axis]), (planes[-2], at_mm > last[axis])):
            if (end > BODY_MU).mean() > 0.01:
                p[beyond & outside] = np.nan
    return p
