"""Organs of a volume, also of a soft one, without a network that was trained to find them.

Labelled scans of other patients, the atlases, are laid over the volume, first by an affine map and the best few then by
a smooth deformation; their labels are fused, each weighted by how well its scan agrees with the volume around a voxel
(multi-atlas segmentation: Iglesias and Sabuncu, Med. Image Anal. 24:205, 2015; local weights: Artaechevarria et al.,
IEEE Trans. Med. Imaging 28:1266, 2009). Everything lies on the cube of `volume_rows`, in voxels of 6 mm.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from ..volume.volume import Volume

SIDE = 64  # voxels along the cube
COARSE, FINE = 16, 32  # the same of the affine registration of all atlases, and of the best ones' deformation
CONTROL = 8  # points of the deformation along the cube
RANGE_HU = (-1000.0, 200.0)  # metal, bone and contrast medium are no landmarks of a soft volume
REGION = 0.55  # SD of the weight about the isocentre, in half edges of the cube: arms and shoulders do not count
BEST = 7  # atlases that are deformed and fused
STEPS = 60  # of either registration
RATES = (0.02, 0.01)  # of the affine map and of the deformation, in half edges of the cube
STIFF = 0.05  # weight of the deformation's squared differences
AROUND = 5  # voxels along the cube over which agreement is averaged
SAME = 0.01  # mean difference of two scans, of 0 to 1; those of two patients differ by five times as much
SHARP = 2  # power of the disagreement by which a label is weighted


@dataclass(frozen=True, eq=False)
class Atlas:
    """A labelled scan on the cube. `name` of the patient; `grey` (SIDE, SIDE, SIDE) from 0 to 1; `shares` (organs,
    SIDE, SIDE, SIDE): how much of each voxel is of each organ."""

    name: str
    grey: Tensor
    shares: Tensor

    @classmethod
    def of(cls, name: str, scan: Volume, labels: NDArray[np.uint8], organs: int) -> "Atlas":
        """From a scan on the cube and label numbers (0 to `organs`) on the same voxels."""
        numbers = np.arange(1, organs + 1, dtype=np.uint8)
        masks = torch.from_numpy((labels[None] == numbers[:, None, None, None]).astype(np.float32))
        return cls(name, grey(scan), F.adaptive_avg_pool3d(masks, SIDE))


def grey(volume: Volume) -> Tensor:
    """A volume on the cube as (SIDE, SIDE, SIDE) float32 from 0 (air) to 1."""
    low, high = RANGE_HU
    hu = torch.from_numpy(np.ascontiguousarray(volume.hu, np.float32))
    return F.adaptive_avg_pool3d((hu.clamp(low, high)[None] - low) / (high - low), SIDE)[0]


def find_organs(volume: Volume, atlases: Sequence[Atlas]) -> NDArray[np.bool_]:
    """bool (organs, *volume.shape): where the atlases see each organ in a volume on the cube.

    Takes seconds of one core. The atlases' patient must not be the volume's: leave that to the caller.

    Raises:
        ValueError: no atlas.
    """
    if not atlases:
        raise ValueError("organs are found by atlases; give at least one")
    fixed = grey(volume)
    affine = torch.eye(3, 4).repeat(len(atlases), 1, 1)
    error = _register(torch.stack([atlas.grey for atlas in atlases]), fixed, COARSE, [affine])
    chosen = error.argsort(stable=True)[:BEST].tolist()
    moving, shares = (torch.stack([getattr(atlases[i], name) for i in chosen]) for name in ("grey", "shares"))
    added = torch.zeros(len(chosen), 3, CONTROL, CONTROL, CONTROL)
    maps = [affine[chosen], added]
    _register(moving, fixed, FINE, maps)
    with torch.no_grad():
        places = _places(maps, SIDE)
        found = _looked_up(moving[:, None], places)
        disagreement = F.avg_pool3d((found - fixed).square(), AROUND, 1, AROUND // 2, count_include_pad=False)
        weight = (disagreement + 1e-4) ** -SHARP
        fused = (weight * F.grid_sample(shares, places, align_corners=False)).sum(0) / weight.sum(0)
        fine = F.interpolate(fused[None], volume.shape, mode="trilinear", align_corners=False)[0]
        return np.stack([_likeliest(one) for one in fine])


def _likeliest(share: Tensor) -> NDArray[np.bool_]:
    """The voxels of the largest share, as many as the organ has volume by all shares.

    Where the share exceeds a half there would be little of a thin organ: labels that miss each other have no majority.
    """
    voxels = round(float(share.sum()))
    least = share.flatten().topk(voxels).values[-1] if voxels else torch.inf
    return np.asarray((share >= least).numpy())


def is_of(atlas: Atlas, name: str, scan: Volume) -> bool:
    """Whether an atlas is of this patient: called so, or the same scan by another name."""
    return atlas.name == name or bool((atlas.grey - grey(scan)).abs().mean() < SAME)


# ---------------------------------------------------------------- registration


def _register(moving: Tensor, fixed: Tensor, side: int, maps: list[Tensor]) -> Tensor:
    """Lay n scans over the volume, in voxels of a `side`-th of the cube; the maps (see `_places`) are changed.

    Returns:
        How far each scan is from the volume then, (n,): mean squared difference, weighted by `REGION`.
    """
    scans, target = F.adaptive_avg_pool3d(moving[:, None], side), F.adaptive_avg_pool3d(fixed[None], side)
    axis = torch.linspace(-1, 1, side).square()
    weight = torch.exp(-(axis[:, None, None] + axis[:, None] + axis) / (2 * REGION**2))
    weight /= weight.sum()

    def error() -> Tensor:
        found = _looked_up(scans, _places(maps, side))[:, 0]
        return ((found - target).square() * weight).sum(dim=(1, 2, 3))

    optimizer = torch.optim.Adam(
        [{"params": one.requires_grad_(), "lr": r} for one, r in zip(maps, RATES, strict=False)]
    )
    slower = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.05, STEPS)
    with torch.enable_grad():
        for _ in range(STEPS):
            loss = error().sum()
            for added in maps[1:]:
                loss = loss + STIFF * sum(added.diff(dim=axis).square().mean() * len(added) for axis in (2, 3, 4))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            slower.step()
    for one in maps:
        one.requires_grad_(False)
    with torch.no_grad():
        return error()


def _looked_up(scans: Tensor, places: Tensor) -> Tensor:
    """A scan is taken to go on as it ends: the cube cuts neck and abdomen."""
    return F.grid_sample(scans, places, padding_mode="border", align_corners=False)


def _places(maps: list[Tensor], side: int) -> Tensor:
    """Where in each of n scans the voxels of the cube come from, (n, side, side, side, 3).

    As `grid_sample` counts: from -1 to 1 over the cube, last axis first.

    The maps are affine (n, 3, 4), and then what is added, linear between its points (n, 3, CONTROL, CONTROL, CONTROL).
    """
    affine, *added = maps
    places = F.affine_grid(affine, [len(affine), 1, side, side, side], align_corners=False)
    for one in added:
        places = places + F.interpolate(one, [side] * 3, mode="trilinear", align_corners=False).movedim(1, -1)
    return places
