"""Self-distillation without labels: DINO (Caron et al. 2021, arXiv 2104.14294), with iBOT's masked patches (Zhou et al.
2022, arXiv 2111.07832) as in DINOv2 (Oquab et al. 2023, arXiv 2304.07193), the recipe of CheXFound and RAD-DINO.

A student sees parts of a view, some with patches masked; its teacher, its own moving average, sees large parts whole.
The student learns which prototypes the teacher would name. One head serves views and patches, as in iBOT.
"""

from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ...supervised.backbones.backbone import initialise
from ...supervised.backbones.vit import VisionTransformer, ViTConfig

TEMPERATURE = 0.1  # of the student


@dataclass(frozen=True)
class DINOConfig:
    encoder: ViTConfig = field(default_factory=ViTConfig)
    hidden: int = 512
    bottleneck: int = 128
    prototypes: int = 1024


class PrototypeHead(nn.Module):
    """Features (..., width) -> the cosine of each prototype's direction, (..., prototypes)."""

    def __init__(self, config: DINOConfig) -> None:
        super().__init__()
        hidden = config.hidden
        self.project = nn.Sequential(
            nn.Linear(config.encoder.width, hidden), nn.GELU(),
            nn.Linear(hidden, hidden), nn.GELU(),
            nn.Linear(hidden, config.bottleneck),
        )  # fmt: skip
        self.prototypes = nn.Linear(config.bottleneck, config.prototypes, bias=False)
        initialise(self)

    def forward(self, features: Tensor) -> Tensor:
        directions = F.normalize(self.project(features).float(), dim=-1)
        return directions @ F.normalize(self.prototypes.weight.float(), dim=-1).T


class SelfDistillation(nn.Module):
    """What student and teacher both are."""

    def __init__(self, config: DINOConfig) -> None:
        super().__init__()
        self.config = config
        self.encoder = VisionTransformer(config.encoder)
        self.mask = nn.Parameter(torch.zeros(1, 1, config.encoder.width))
        self.head = PrototypeHead(config)

    def forward(self, x: Tensor, masked: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Views (b, 1, h, w), with patches `masked`, bool (b, n) -> class tokens (b, width), patches (b, n, width)."""
        patches, grid = self.encoder.patch_embed(x)
        if masked is not None:
            patches = torch.where(masked[..., None], self.mask.to(patches.dtype), patches)
        found = self.encoder.read(patches, grid)
        return found[:, 0], found[:, 1 + self.config.encoder.registers :]


@torch.no_grad()
def sinkhorn(scores: Tensor, temperature: float, rounds: int = 3) -> Tensor:
    """What the teacher names: a distribution over the prototypes for each row, all prototypes named alike often.

    Sinkhorn-Knopp as DINOv2 has it (after Caron et al. 2020, arXiv 2006.09882) in place of DINO's centring: nothing to
    remember between batches, and no prototype can take all.

    Args:
        scores: (b, K), b >= 1.

    Returns:
        float32 (b, K); rows sum to 1.
    """
    scaled = scores.float() / temperature
    shares = (scaled - scaled.max()).exp() + 1e-30  # no prototype may end without a share
    for _ in range(rounds):
        shares = shares / shares.sum(dim=0, keepdim=True)
        shares = shares / shares.sum(dim=1, keepdim=True)
    return shares


def distillation_loss(student: Tensor, teacher: Tensor) -> Tensor:
    """Cross-entropy of the student's scores (b, K) to the teacher's distributions (b, K)."""
    return -(teacher * (student.float() / TEMPERATURE).log_softmax(dim=-1)).sum(dim=-1).mean()


def koleo(features: Tensor) -> Tensor:
    """Minus the entropy of features (b, d), as Kozachenko and Leonenko estimate it: kept small, it keeps them apart
    (Sablayrolles et al. 2019, arXiv 1806.03198)."""
    directions = F.normalize(features.float(), dim=-1)
    with torch.no_grad():
        nearest = (directions @ directions.T).fill_diagonal_(-2).argmax(dim=1)
    return -((directions - directions[nearest]).norm(dim=1) + 1e-8).log().mean()
