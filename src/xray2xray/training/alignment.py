"""An alignment loss: of all views in the batch, a predicted view should know the one that it predicts.

Symmetric InfoNCE (van den Oord et al. 2018; Radford et al. 2021) on pooled latents, whose targets are soft among the
views of one patient, as X-WIN (arXiv 2511.14918) describes: another view of the same patient is not simply wrong.
"""

import torch
from torch import Tensor
from torch.nn import functional as F

TEMPERATURE = 0.1
OTHERS = 0.3  # share of a target that the other views of the same patient have together


def alignment_loss(predicted: Tensor, wanted: Tensor) -> Tensor:
    """Cross-entropy from predicted to true views and back, ().

    Args:
        predicted, wanted: latents (b, t, n, C) of t views of each of b patients.
    """
    (b, t), centre = wanted.shape[:2], wanted.mean(dim=(0, 1))
    pooled = [F.normalize((latents - centre).flatten(0, 1).mean(dim=1), dim=-1) for latents in (predicted, wanted)]
    likeness = pooled[0] @ pooled[1].T / TEMPERATURE
    targets = soft_targets(b, t, likeness.device)
    return (F.cross_entropy(likeness, targets) + F.cross_entropy(likeness.T, targets)) / 2


def soft_targets(patients: int, views: int, device: torch.device | None = None) -> Tensor:
    """Whose view each of b * t predictions is, (b * t, b * t), rows that sum to 1."""
    same = torch.eye(views, device=device)
    of_one = same if views == 1 else (1 - OTHERS) * same + OTHERS / (views - 1) * (1 - same)
    return torch.kron(torch.eye(patients, device=device), of_one)
