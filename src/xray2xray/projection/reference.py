"""Backend `torch`: any pose, any grid, any device, gradients to the volume and to the pose.

It is what the fast kernels are checked against. The quadrature is that of `column_kernels`: a ray is sampled once in
every plane across its dominant in-plane axis, bilinearly within the plane. Only where a tilted ray climbs more than 45
degrees along z, as in no upright view, planes of z are stepped through.
"""

from collections.abc import Sequence

import numpy as np
import torch

from ..core.errors import InputError
from .geometry import Geometry, Pose, Poses, as_poses
from .grid import axis_order

_SAMPLES_AT_ONCE = 1 << 22  # rays x planes worked on together: bounds the memory to some 200 MB


def pose_tensor(poses: Poses) -> torch.Tensor:
    """(n, 6) float64: yaw, pitch, roll in degrees and the translation in mm; a bare number is a yaw."""
    return torch.tensor([pose.parameters for pose in as_poses(poses)], dtype=torch.float64).reshape(-1, 6)


def pose_rays(geometry: Geometry, poses: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Start and end of every ray relative to the isocentre, two (n, size rows, size columns, 3) float64, RAS mm.

    At rest (yaw 0) the source stands posterior; the set is turned by Rz(yaw) Rx(-pitch) Ry(roll) and then shifted.
    """
    poses = poses.to("cpu", torch.float64)
    offsets = torch.from_numpy(geometry.offsets_mm)
    rows, columns = torch.meshgrid(-offsets, -offsets, indexing="ij")
    ends = torch.stack([columns, torch.full_like(rows, geometry.sdd_mm - geometry.sod_mm), rows], dim=-1)
    if geometry.beam == "cone":
        starts = torch.tensor([0.0, -geometry.sod_mm, 0.0], dtype=torch.float64).expand_as(ends)
    else:
        starts = ends - torch.tensor([0.0, geometry.sdd_mm, 0.0], dtype=torch.float64)
    turn = _rotation(torch.deg2rad(poses[:, :3]))[:, None, None]
    shift = poses[:, None, None, 3:]
    return (turn @ starts[..., None])[..., 0] + shift, (turn @ ends[..., None])[..., 0] + shift


def project_torch(
    mu: torch.Tensor,
    affine: np.ndarray,
    geometry: Geometry,
    poses: Poses | torch.Tensor,
    isocentre_mm: Sequence[float] | np.ndarray,
) -> torch.Tensor:
    """Line integrals p of `mu`, (n, size rows, size columns) of its dtype and device.

    Args:
        mu: (nx, ny, nz) attenuation per mm; float64 for gradient checks.
        affine: (4, 4), voxel index to RAS+ mm; may be oblique.
        geometry: the X-ray set.
        poses: `Pose` objects, yaw angles in degrees, or an (n, 6) tensor of yaw, pitch, roll (degrees) and translation
            (mm), through which gradients flow.
        isocentre_mm: (3,) RAS mm.

    Raises:
        InputError: `mu` is not three-dimensional or the affine is singular.
    """
    if mu.ndim != 3 or 0 in mu.shape:
        raise InputError(f"a volume has three axes of at least one voxel each, got shape {tuple(mu.shape)}")
    affine = np.asarray(affine, np.float64)
    order = axis_order(affine) or (0, 1, 2)
    mu = mu.permute(order)
    to_voxels = np.linalg.inv(affine)[list(order)]
    if not isinstance(poses, torch.Tensor):
        poses = pose_tensor(poses)

    padded = torch.nn.functional.pad(mu, (1, 1, 1, 1, 1, 1))
    matrix = torch.from_numpy(to_voxels[:, :3])
    centre = torch.from_numpy(to_voxels @ np.append(np.asarray(isocentre_mm, np.float64), 1.0)) + 1.0
    planes = max(padded.shape)
    views = []
    for pose in poses:
        starts, ends = (points[0].reshape(-1, 3) for points in pose_rays(geometry, pose[None]))
        direction = ends - starts
        a, b = (starts @ matrix.T + centre).to(mu), (direction @ matrix.T).to(mu)
        in_plane = (b[:, 1].abs() > b[:, 0].abs()).long()
        steep = direction[:, 2].abs() > direction[:, :2].norm(dim=1)
        main = torch.where(steep.to(mu.device), 2, in_plane)
        length = direction.norm(dim=1).to(mu)
        chunk = max(1, _SAMPLES_AT_ONCE // planes)
        sums = [
            _sample(padded, a[i : i + chunk], b[i : i + chunk], main[i : i + chunk]) for i in range(0, len(a), chunk)
        ]
        sample_mm = length / b.gather(1, main[:, None])[:, 0].abs()
        views.append((torch.cat(sums) * sample_mm).reshape(geometry.size, geometry.size))
    return torch.stack(views)


def _sample(padded: torch.Tensor, a: torch.Tensor, b: torch.Tensor, main: torch.Tensor) -> torch.Tensor:
    """Sum of the samples along the rays a + t b, (rays, 3) each, in planes of the axis `main` (rays,): (rays,)."""
    shape = torch.tensor(padded.shape, device=padded.device)
    strides = torch.tensor([padded.shape[1] * padded.shape[2], padded.shape[2], 1], device=padded.device)
    others = torch.tensor([[1, 2], [0, 2], [0, 1]], device=padded.device)[main]
    plane = torch.arange(1, int(shape.max()) - 1, device=padded.device)
    t = (plane.to(a) - a.gather(1, main[:, None])) / b.gather(1, main[:, None])
    valid = (plane < shape[main][:, None] - 1) & (t > 0)

    corner = plane * strides[main][:, None]
    fractions = []
    for axis in others.T[:, :, None]:
        position = a.gather(1, axis) + t * b.gather(1, axis)
        valid = valid & (position >= 0) & (position < shape[axis] - 1)
        low = position.detach().floor().long().clamp(torch.zeros_like(axis), shape[axis] - 2)
        corner = corner + low * strides[axis]
        fractions.append(position - low)
    corner = torch.where(valid, corner, 0)

    flat = padded.reshape(-1)
    first, second = (strides[axis] for axis in others.T[:, :, None])
    u, v = fractions
    samples = (1 - u) * ((1 - v) * flat[corner] + v * flat[corner + second]) + u * (
        (1 - v) * flat[corner + first] + v * flat[corner + first + second]
    )
    return torch.where(valid, samples, 0).sum(dim=1)


def _rotation(angles: torch.Tensor) -> torch.Tensor:
    """Rz(yaw) Rx(-pitch) Ry(roll) from (n, 3) radians: (n, 3, 3)."""
    yaw, pitch, roll = angles.unbind(1)
    zero, one = torch.zeros_like(yaw), torch.ones_like(yaw)

    def matrix(*entries: torch.Tensor) -> torch.Tensor:
        return torch.stack(entries, dim=1).reshape(-1, 3, 3)

    about_z = matrix(yaw.cos(), -yaw.sin(), zero, yaw.sin(), yaw.cos(), zero, zero, zero, one)
    about_x = matrix(one, zero, zero, zero, pitch.cos(), pitch.sin(), zero, -pitch.sin(), pitch.cos())
    about_y = matrix(roll.cos(), zero, roll.sin(), zero, one, zero, -roll.sin(), zero, roll.cos())
    return about_z @ about_x @ about_y


def unsupported(affine: np.ndarray, geometry: Geometry, poses: Sequence[Pose]) -> str | None:
    """None: this backend serves every request."""
    return None


def project(
    mu: np.ndarray,
    affine: np.ndarray,
    geometry: Geometry,
    poses: Sequence[Pose],
    isocentre_mm: np.ndarray,
    threads: int | None,
) -> np.ndarray:
    """See `forward.project`; `project_torch` on arrays, on as many threads as torch has been given."""
    with torch.no_grad():
        return project_torch(_tensor(mu), affine, geometry, poses, isocentre_mm).numpy()


def backproject(
    views: np.ndarray,
    shape: tuple[int, int, int],
    affine: np.ndarray,
    geometry: Geometry,
    poses: Sequence[Pose],
    isocentre_mm: np.ndarray,
    threads: int | None,
) -> np.ndarray:
    """See `forward.backproject`; by automatic differentiation, one view at a time."""
    total = torch.zeros(shape)
    for view, pose in zip(views, poses, strict=True):
        mu = torch.zeros(shape, requires_grad=True)
        p = project_torch(mu, affine, geometry, [pose], isocentre_mm)
        total += torch.autograd.grad(p, mu, _tensor(view)[None])[0]
    return total.numpy()


def _tensor(array: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(array, np.float32))
