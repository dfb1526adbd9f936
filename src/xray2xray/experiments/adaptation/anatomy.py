"""Whether two pictures show the same anatomy: do their edges lie in the same places, whatever their grey values?"""

import torch
from torch import Tensor
from torch.nn import functional as F

SCALES = (1, 2, 4)  # pixels averaged before the gradient: fine edges, and outlines of organs


def gradient_correlation(x: Tensor, y: Tensor, weight: Tensor | None = None) -> Tensor:
    """Correlation of the gradients of pictures (b, 1, h, w), mean over `SCALES`, (b,); 1 for y = a x + c with a > 0.

    Gradient correlation is a measure of registration between X-ray pictures of different contrast (Penney et al., IEEE
    TMI 17 (1998) 586). Not centred: a curve that turns an edge round counts against it.

    Args:
        weight: (h, w) or broadcastable, how much each pixel counts.
    """
    found = []
    weight = torch.ones_like(x[:1]) if weight is None else weight.expand_as(x[:1])
    for scale in SCALES:
        small_x, small_y, small_weight = (F.avg_pool2d(image, scale) for image in (x, y, weight))
        gx, gy = _gradients(small_x), _gradients(small_y)
        w = small_weight[..., 1:-1, 1:-1]
        dot, xx, yy = ((w * product).flatten(1).sum(1) for product in (gx * gy, gx * gx, gy * gy))
        found.append(dot / (xx * yy).clamp_min(1e-12).sqrt())
    return torch.stack(found).mean(0)


def _gradients(x: Tensor) -> Tensor:
    """Central differences, (b, 2, h - 2, w - 2)."""
    down = x[..., 2:, 1:-1] - x[..., :-2, 1:-1]
    along = x[..., 1:-1, 2:] - x[..., 1:-1, :-2]
    return torch.cat([down, along], dim=1)
