"""Ellipsoids: the bodies whose X-ray views are known exactly, to check every projector against."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from .geometry import Geometry, Poses, as_poses, rays_mm


@dataclass(frozen=True)
class Ellipsoid:
    """A uniform ellipsoid. Overlapping ones add up, so a cavity is an ellipsoid of negative `mu`.

    Attributes:
        centre_mm: (3,) RAS mm.
        radii_mm: (3,) half axes in mm.
        mu: attenuation per mm.
        rotation: (3, 3), columns are the directions of the half axes.
    """

    centre_mm: Sequence[float]
    radii_mm: Sequence[float]
    mu: float
    rotation: np.ndarray = field(default_factory=lambda: np.eye(3))

    @property
    def to_ball(self) -> np.ndarray:
        """(3, 3) matrix that maps an offset from the centre in mm into the unit ball."""
        return np.asarray(self.rotation, np.float64).T / np.asarray(self.radii_mm, np.float64)[:, None]


def exact_views(
    ellipsoids: Sequence[Ellipsoid],
    geometry: Geometry,
    poses: Poses,
    isocentre_mm: Sequence[float] | np.ndarray = (0.0, 0.0, 0.0),
) -> np.ndarray:
    """Exact line integrals through pixel centres, (n, size, size) float64, for a detector beyond the ellipsoids."""
    wanted = as_poses(poses)
    views = np.zeros((len(wanted), geometry.size, geometry.size))
    for view, pose in zip(views, wanted, strict=True):
        starts, ends = rays_mm(geometry, pose)
        run = ends - starts
        length_mm = np.linalg.norm(run, axis=-1)
        for ellipsoid in ellipsoids:
            offset = starts + np.asarray(isocentre_mm) - np.asarray(ellipsoid.centre_mm)
            low, high = _crossing(offset @ ellipsoid.to_ball.T, run @ ellipsoid.to_ball.T)
            view += ellipsoid.mu * (high - low) * length_mm
    return views


def voxelise(
    ellipsoids: Sequence[Ellipsoid], shape: tuple[int, int, int], affine: np.ndarray, samples: int = 4
) -> np.ndarray:
    """Mean attenuation of every voxel, float32 of `shape`, edges antialiased.

    Exact along the last axis of the array, averaged over `samples` x `samples` lines through each voxel across it.
    """
    affine = np.asarray(affine, np.float64)
    volume = np.zeros(shape)
    edges = np.arange(shape[2] + 1) - 0.5
    sub = (np.arange(samples) + 0.5) / samples - 0.5
    along = affine[:3, 2]
    for ellipsoid in ellipsoids:
        inverse = np.linalg.inv(affine[:3, :3])
        centre = inverse @ (np.asarray(ellipsoid.centre_mm) - affine[:3, 3])
        # Half the width of the ellipsoid's box in voxels: row norms of the map from the unit ball to voxels.
        half = np.linalg.norm(inverse @ np.linalg.inv(ellipsoid.to_ball), axis=1)
        first = np.clip(np.floor(centre - half), 0, shape).astype(int)
        last = np.clip(np.ceil(centre + half) + 1, 0, shape).astype(int)
        box = volume[first[0] : last[0], first[1] : last[1]]
        for di in sub:
            for dj in sub:
                i, j = np.meshgrid(np.arange(first[0], last[0]) + di, np.arange(first[1], last[1]) + dj, indexing="ij")
                lines = np.stack([i, j, np.zeros_like(i)], axis=-1) @ affine[:3, :3].T + affine[:3, 3]
                offset = lines - np.asarray(ellipsoid.centre_mm)
                low, high = _crossing(
                    offset @ ellipsoid.to_ball.T, np.broadcast_to(ellipsoid.to_ball @ along, (*i.shape, 3))
                )
                filled = np.clip(edges, low[..., None], high[..., None])
                box += ellipsoid.mu / samples**2 * np.diff(filled, axis=-1)
    return volume.astype(np.float32)


def _crossing(start: np.ndarray, run: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The t between which start + t run, (..., 3), is inside the unit ball; equal where it misses."""
    a = np.sum(run * run, axis=-1)
    half_b = np.sum(start * run, axis=-1)
    c = np.sum(start * start, axis=-1) - 1
    root = np.sqrt(np.maximum(half_b**2 - a * c, 0)) / a
    return -half_b / a - root, -half_b / a + root
