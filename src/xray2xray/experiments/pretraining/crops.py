"""Random parts of views, resized; never mirrored or turned upside down: sides matter."""

import torch
from torch import Tensor
from torch.nn import functional as F

GAIN = 0.1  # by up to this share an exposure is taken for another


def random_crops(
    views_p: Tensor, size: int, scale: tuple[float, float], generator: torch.Generator, ratio: float = 4 / 3
) -> Tensor:
    """A part of each view.

    Args:
        views_p: line integrals (b, h, w).
        size: of the part, in pixels.
        scale: between which shares of the view's area it covers.
        generator: on the CPU.
        ratio: of its sides before it is resized, at most.

    Returns:
        (b, size, size), each as if the patient were up to `GAIN` more or less dense.
    """
    share, aspect, down, right, gain = torch.rand(5, len(views_p), generator=generator)
    area = scale[0] + (scale[1] - scale[0]) * share
    stretch = ratio ** (aspect - 0.5)  # the square root of the ratio of the sides
    height, width = (area.sqrt() * stretch).clamp(max=1), (area.sqrt() / stretch).clamp(max=1)
    zero = torch.zeros_like(height)
    rows = [width, zero, (1 - width) * (2 * right - 1), zero, height, (1 - height) * (2 * down - 1)]
    grid = F.affine_grid(torch.stack(rows, dim=1).view(-1, 2, 3), [len(views_p), 1, size, size], align_corners=False)
    crops = F.grid_sample(views_p[:, None], grid, padding_mode="border", align_corners=False)[:, 0]
    return crops * (1 + GAIN * (2 * gain - 1))[:, None, None]


def random_blocks(count: int, side: int, share: tuple[float, float], generator: torch.Generator) -> Tensor:
    """Rectangles of patches to be masked, bool (count, side * side); each covers about such a share of the grid."""
    area, aspect, down, right = torch.rand(4, count, generator=generator)
    root = (share[0] + (share[1] - share[0]) * area).sqrt() * side
    stretch = 3 ** (aspect - 0.5)
    height, width = ((root * s).round().clamp(1, side) for s in (stretch, 1 / stretch))
    top, left = ((place * (side - length + 1)).floor() for place, length in ((down, height), (right, width)))
    places = torch.arange(side)
    rows, columns = (
        (places >= start[:, None]) & (places < (start + length)[:, None])
        for start, length in ((top, height), (left, width))
    )
    return (rows[:, :, None] & columns[:, None, :]).flatten(1)
