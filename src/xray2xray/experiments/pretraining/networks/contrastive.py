"""Same patient or not? InfoNCE between views of one patient (van den Oord et al. 2018, Chen et al. 2020), no action.

A control: it sees the pairs of views that the world model sees, but is not told how the source moved between them.
"""

from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ...supervised.backbones.backbone import initialise
from ...supervised.backbones.vit import VisionTransformer, ViTConfig


@dataclass(frozen=True)
class ContrastiveConfig:
    """`views`: of each patient in a batch, of any angles; `temperature`: of the similarities."""

    encoder: ViTConfig = field(default_factory=ViTConfig)
    hidden: int = 512
    embedding: int = 128
    views: int = 2
    temperature: float = 0.1

    def __post_init__(self) -> None:
        if self.views < 2:
            raise ValueError(f"{self.views} views of a patient make no pair")


class ContrastiveNetwork(nn.Module):
    """Views (b, 1, h, w) -> class tokens (b, width) and embeddings (b, embedding) of length 1."""

    def __init__(self, config: ContrastiveConfig) -> None:
        super().__init__()
        self.config = config
        self.encoder = VisionTransformer(config.encoder)
        self.project = nn.Sequential(
            nn.Linear(config.encoder.width, config.hidden), nn.GELU(), nn.Linear(config.hidden, config.embedding)
        )
        initialise(self.project)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        features = self.encoder(x)
        return features, F.normalize(self.project(features).float(), dim=-1)


def info_nce(embeddings: Tensor, patients: Tensor, temperature: float) -> Tensor:
    """Cross-entropy of finding the same patient's other views among all other views.

    With two views it is SimCLR's loss; with more, each other view is one answer (Khosla et al. 2020, equation 2).

    Args:
        embeddings: (b, d) of length 1.
        patients: (b,) whose each is; every patient has the same number of views.
    """
    itself = torch.eye(len(patients), dtype=torch.bool, device=patients.device)
    likely = (embeddings @ embeddings.T / temperature).masked_fill(itself, -torch.inf).log_softmax(dim=1)
    same = (patients[:, None] == patients[None]) & ~itself
    return -likely[same].mean()
