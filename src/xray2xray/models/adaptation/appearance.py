"""Appearance randomisation: what exposure, processing and framing may do to a radiograph, and anatomy does not know of.

Pure functions on views (b, 1, h, w) in network values, with a generator for what is drawn: the same seed is the same
picture, so training resumes exactly. Used on inputs only; targets stay on the fixed scale. The idea is domain
randomisation (Tobin et al. 2017, arXiv 1703.06907): a network that has seen every look takes a real one for one more.
"""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

AIR = -1.0  # network value of p = 0


@dataclass(frozen=True)
class Appearance:
    """How far each change may go; 0 (for `zoom` and `ap_zoom` 1) leaves it out.

    Attributes:
        curve: SD of the logarithm of the slopes of the intensity curve.
        contrast: local contrast is changed by up to this factor, either way.
        blur: largest SD in pixels.
        noise: largest SD in network values.
        collimation: chance that the frame is cut to a rectangle, air beyond.
        shift: crop: largest shift, as a share of the side.
        zoom: crop: largest magnification, and its inverse the smallest.
        ap: chance that a view is taken for AP: magnified by up to `ap_zoom`, as all shadows are larger in `portable_ap`
            than in `chest`; that the heart's grows more cannot be had from one view, so it is left out.
    """

    curve: float = 0.4
    contrast: float = 0.6
    blur: float = 1.0
    noise: float = 0.02
    collimation: float = 0.3
    shift: float = 0.05
    zoom: float = 1.1
    ap: float = 0.3
    ap_zoom: float = 1.1


def randomise(x: Tensor, appearance: Appearance, generator: torch.Generator) -> Tensor:
    """Views (b, 1, h, w) as another X-ray set, another detector and other hands would have left them; in [-1, 1]."""
    x = frame(x, appearance, generator)
    x = local_contrast(x, appearance.contrast * _symmetric(len(x), generator))
    x = monotone_curve(x, appearance.curve, generator)
    x = blur(x, appearance.blur * _uniform(len(x), generator))
    x = x + appearance.noise * _uniform(len(x), generator)[:, None, None, None] * torch.randn(
        x.shape, generator=generator
    )
    return collimate(x.clamp(-1, 1), appearance.collimation, generator)


def monotone_curve(x: Tensor, strength: float, generator: torch.Generator, knots: int = 8) -> Tensor:
    """Each view through its own rising, piecewise linear curve of [-1, 1] onto itself; slopes are log-normal."""
    slopes = torch.exp(strength * torch.randn(len(x), knots, generator=generator))
    heights = F.pad((slopes / slopes.sum(1, keepdim=True)).cumsum(1), (1, 0))
    place = ((x.clamp(-1, 1) + 1) / 2 * knots).flatten(1)
    left = place.floor().clamp(0, knots - 1)
    low, high = (heights.gather(1, (left + step).long()) for step in (0, 1))
    return ((low + (place - left) * (high - low)) * 2 - 1).view_as(x)


def local_contrast(x: Tensor, amount: Tensor, share: float = 0.05) -> Tensor:
    """x + amount (x - its neighbourhood), a box of `share` of the side; amount (b,), -1 leaves no detail."""
    side = max(3, round(share * x.shape[-1]) | 1)
    around = F.avg_pool2d(F.pad(x, (side // 2,) * 4, mode="replicate"), side, stride=1)
    return x + amount[:, None, None, None] * (x - around)


def blur(x: Tensor, sigma: Tensor, radius: int = 3) -> Tensor:
    """Each view by its own Gaussian of `sigma` (b,) pixels; 0 is exactly the identity."""
    steps = torch.arange(-radius, radius + 1)
    kernel = torch.exp(-(steps**2) / (2 * sigma.clamp_min(1e-3)[:, None] ** 2))
    kernel = kernel / kernel.sum(1, keepdim=True)
    stacked = F.pad(x.transpose(0, 1), (radius,) * 4, mode="replicate")
    stacked = F.conv2d(stacked, kernel[:, None, :, None], groups=len(x))
    return F.conv2d(stacked, kernel[:, None, None, :], groups=len(x)).transpose(0, 1)


def collimate(x: Tensor, chance: float, generator: torch.Generator) -> Tensor:
    """By chance, nothing but air beyond a rectangle that leaves at least 80 % of each side."""
    edges = 0.1 * torch.rand(len(x), 4, generator=generator)
    edges = edges * (_uniform(len(x), generator) < chance)[:, None]
    rows, columns = (torch.linspace(0, 1, n) for n in x.shape[-2:])
    top, bottom, left, right = (edge[:, None] for edge in edges.T)
    inside = ((rows >= top) & (rows <= 1 - bottom))[:, None, :, None] & ((columns >= left) & (columns <= 1 - right))[
        :, None, None, :
    ]
    return torch.where(inside, x, torch.full_like(x, AIR))


def frame(x: Tensor, appearance: Appearance, generator: torch.Generator) -> Tensor:
    """Each view shifted and magnified; what comes in from beyond the edge repeats the edge."""
    shift = 2 * appearance.shift * torch.stack([_symmetric(len(x), generator) for _ in range(2)], dim=1)
    zoom = appearance.zoom ** _symmetric(len(x), generator)
    is_ap = _uniform(len(x), generator) < appearance.ap
    zoom = zoom * torch.where(is_ap, appearance.ap_zoom ** _uniform(len(x), generator), torch.ones(len(x)))
    theta = torch.zeros(len(x), 2, 3)
    theta[:, 0, 0] = theta[:, 1, 1] = 1 / zoom
    theta[:, :, 2] = shift
    grid = F.affine_grid(theta, list(x.shape), align_corners=False)
    return F.grid_sample(x, grid, padding_mode="border", align_corners=False)


def _uniform(n: int, generator: torch.Generator) -> Tensor:
    return torch.rand(n, generator=generator)


def _symmetric(n: int, generator: torch.Generator) -> Tensor:
    return 2 * torch.rand(n, generator=generator) - 1
