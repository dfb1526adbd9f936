"""Backend `torch`: any pose, any grid, any device, batches, gradients to the volume and to the pose.

It is what the fast kernels are checked against. The quadrature is that of `column_kernels`: a ray is sampled once in
every plane across its dominant in-plane axis, bilinearly within the plane. Only where a tilted ray climbs more than 45
degrees along z, as in no upright view, planes of z are stepped through.
"""

import numpy as np
import torch
from torch.utils.checkpoint import checkpoint

from .geometry import Geometry, Poses, as_poses
from .request import Request

# Batch x channels x rays x planes worked on together; about 210 bytes each with gradients, so at most 0.9 GB.
_SAMPLES_AT_ONCE = 1 << 22


def pose_tensor(poses: Poses) -> torch.Tensor:
    """(n, 6) float64: yaw, pitch, roll in degrees and the translation in mm; a bare number is a yaw."""
    return torch.tensor([pose.parameters for pose in as_poses(poses)], dtype=torch.float64).reshape(-1, 6)


def pose_rays(geometry: Geometry, poses: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Start and end of every ray relative to the isocentre, two (n, size rows, size columns, 3) float64, RAS mm."""
    starts, ends = _rays(geometry, poses[None].to(torch.float64), torch.arange(len(poses) * geometry.size**2))
    shape = (len(poses), geometry.size, geometry.size, 3)
    return starts.reshape(shape), ends.reshape(shape)


def _rays(geometry: Geometry, poses: torch.Tensor, which: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Start and end of some rays of poses (b, n, 6), two (b, rays, 3); `which` (rays,) indexes (n, rows, columns).

    At rest (yaw 0) the source stands posterior; the set is turned by Rz(yaw) Rx(-pitch) Ry(roll) and then shifted.
    """
    size = geometry.size
    offsets = torch.from_numpy(geometry.offsets_mm).to(poses)
    columns, rows = -offsets[which % size], -offsets[which // size % size]
    ends = torch.stack([columns, torch.full_like(rows, geometry.sdd_mm - geometry.sod_mm), rows], dim=-1)
    if geometry.beam == "cone":
        starts = ends.new_tensor([0.0, -geometry.sod_mm, 0.0]).expand_as(ends)
    else:
        starts = ends - ends.new_tensor([0.0, geometry.sdd_mm, 0.0])
    view = which // size**2
    turn, shift = _rotation(torch.deg2rad(poses[..., :3]))[:, view], poses[:, view, 3:]
    return (turn @ starts[..., None])[..., 0] + shift, (turn @ ends[..., None])[..., 0] + shift


def project_batch(mu: torch.Tensor, request: Request, poses: torch.Tensor) -> torch.Tensor:
    """Line integrals p of a batch, (b, c, n, size rows, size columns) of the dtype of `mu` and on its device.

    Rays are followed in float64 where the device has it; samples are added up in float32, of a float64 volume in
    float64. Memory is bounded, for the gradients too: they work out again what the views took.

    Args:
        mu: (b, c, nx, ny, nz) attenuation per mm.
        request: the grid and the X-ray set; its own poses are not used.
        poses: (b, n, 6), or (1, n, 6) for all of the batch, see `pose_tensor`; gradients flow to them.
    """
    batch, channels = mu.shape[:2]
    exact = torch.float32 if mu.device.type == "mps" else torch.float64
    poses = poses.to(mu.device, exact)
    volume = mu.to(torch.promote_types(mu.dtype, torch.float32)).permute(0, 1, *(axis + 2 for axis in request.order))
    padded = torch.nn.functional.pad(volume, (1, 1, 1, 1, 1, 1))
    matrix, centre = (torch.from_numpy(part).to(poses) for part in request.to_voxels)

    def sums(padded: torch.Tensor, poses: torch.Tensor, which: torch.Tensor) -> torch.Tensor:
        starts, ends = _rays(request.geometry, poses, which)
        direction = ends - starts
        a, b = (starts @ matrix.T + (centre + 1)).to(padded), (direction @ matrix.T).to(padded)
        in_plane = (b[..., 1].abs() > b[..., 0].abs()).long()
        steep = direction[..., 2].abs() > direction[..., :2].norm(dim=-1)
        main = torch.where(steep, 2, in_plane)[..., None]
        sample_mm = direction.norm(dim=-1).to(padded) / b.gather(-1, main)[..., 0].abs()
        return _sample(padded, a, b, main) * sample_mm[:, None]

    rays = torch.arange(poses.shape[1] * request.geometry.size**2, device=mu.device)
    parts = rays.split(max(1, _SAMPLES_AT_ONCE // (max(1, batch * channels) * max(padded.shape[2:]))))
    # without gradients this is a plain call
    views = [checkpoint(sums, padded, poses, part, use_reentrant=False) for part in parts]
    shape = (batch, channels, poses.shape[1], request.geometry.size, request.geometry.size)
    return (torch.cat(views, dim=-1) if views else padded.new_zeros(shape)).reshape(shape).to(mu.dtype)


def backproject_batch(views: torch.Tensor, request: Request, poses: torch.Tensor) -> torch.Tensor:
    """The transpose of `project_batch`: views (b, c, n, size, size) to (b, c, nx, ny, nz).

    By automatic differentiation, hence with the very weights; gradients flow to the views and the poses.
    """
    with torch.enable_grad():
        mu = views.new_zeros((*views.shape[:2], *request.shape)).requires_grad_(True)
        p = project_batch(mu, request, poses)
    return torch.autograd.grad(p, mu, views, create_graph=views.requires_grad or poses.requires_grad)[0]


def _sample(padded: torch.Tensor, a: torch.Tensor, b: torch.Tensor, main: torch.Tensor) -> torch.Tensor:
    """Sum of the samples along rays a + t b in planes of the axis `main`.

    Args:
        padded: (batch, channels, x, y, z) with a margin of zeros.
        a, b: (1 or batch, rays, 3) in voxels of `padded`.
        main: (1 or batch, rays, 1).

    Returns:
        (batch, channels, rays).
    """
    batch, channels = padded.shape[:2]
    shape = torch.tensor(padded.shape[2:], device=padded.device)
    strides = torch.stack([shape[1] * shape[2], shape[2], torch.ones_like(shape[2])])
    others = torch.tensor([[1, 2], [0, 2], [0, 1]], device=padded.device)[main[..., 0]]
    plane = torch.arange(1, max(padded.shape[2:]) - 1, device=padded.device)
    t = (plane.to(a) - a.gather(-1, main)) / b.gather(-1, main)
    valid = (plane < shape[main] - 1) & (t > 0)

    corner = plane * strides[main]
    fractions = []
    for axis in others.split(1, dim=-1):
        position = a.gather(-1, axis) + t * b.gather(-1, axis)
        valid = valid & (position >= 0) & (position < shape[axis] - 1)
        low = position.detach().floor().long().clamp(torch.zeros_like(axis), shape[axis] - 2)
        corner = corner + low * strides[axis]
        fractions.append((position - low)[:, None])
    corner = torch.where(valid, corner, 0)

    flat = padded.flatten(2)
    first, second = (strides[axis] for axis in others.split(1, dim=-1))

    def at(voxel: torch.Tensor) -> torch.Tensor:
        index = voxel.flatten(1)[:, None].expand(batch, channels, -1)
        return flat.gather(2, index).reshape(batch, channels, *voxel.shape[1:])

    u, v = fractions
    samples = (1 - u) * ((1 - v) * at(corner) + v * at(corner + second)) + u * (
        (1 - v) * at(corner + first) + v * at(corner + first + second)
    )
    return torch.where(valid[:, None], samples, 0).sum(dim=-1)


def _rotation(angles: torch.Tensor) -> torch.Tensor:
    """Rz(yaw) Rx(-pitch) Ry(roll) from (..., 3) radians: (..., 3, 3)."""
    yaw, pitch, roll = angles.unbind(-1)
    zero, one = torch.zeros_like(yaw), torch.ones_like(yaw)

    def matrix(*entries: torch.Tensor) -> torch.Tensor:
        return torch.stack(entries, dim=-1).unflatten(-1, (3, 3))

    about_z = matrix(yaw.cos(), -yaw.sin(), zero, yaw.sin(), yaw.cos(), zero, zero, zero, one)
    about_x = matrix(one, zero, zero, zero, pitch.cos(), pitch.sin(), zero, -pitch.sin(), pitch.cos())
    about_y = matrix(roll.cos(), zero, roll.sin(), zero, one, zero, -roll.sin(), zero, roll.cos())
    return about_z @ about_x @ about_y


def unsupported(request: Request) -> str | None:
    """None: this backend serves every request."""
    return None


def project(mu: np.ndarray, request: Request) -> np.ndarray:
    """See `forward.project`; on as many threads as torch has been given."""
    with torch.no_grad():
        return project_batch(_tensor(mu), request, pose_tensor(request.poses)[None])[0, 0].numpy()


def backproject(views: np.ndarray, request: Request) -> np.ndarray:
    """See `forward.backproject`."""
    return backproject_batch(_tensor(views), request, pose_tensor(request.poses)[None])[0, 0].numpy()


def _tensor(array: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(array, np.float32))[None, None]
