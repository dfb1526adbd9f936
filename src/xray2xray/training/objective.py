"""What a stage of training defines: its data, losses and settings. The training loop does the rest."""

from typing import TYPE_CHECKING, Any, Self

import numpy as np
import torch
from torch import Tensor, nn

from ..core.errors import InputError

if TYPE_CHECKING:
    from .settings import Settings, Size
    from .stage_data import StageData

Batch = dict[str, Tensor]


class TrainingStopped(InputError):
    """Training ended early: a loss that is not finite, a collapse, a dead codebook; or it was asked to stop."""


class Objective(nn.Module):
    """A stage of training: what is learned, from which batches, by which losses, and how to see that it goes well.

    The modules registered on an objective (with their buffers) are its whole state, and batches are drawn by a
    generator that is seeded by the step's number alone, so a run resumes exactly from the state and that number.
    """

    stage = "stage"
    parts: tuple[str, ...] = ("model",)
    patience = 500  # steps before `watch` judges: at first all predictions are alike

    @classmethod
    def settings(cls, size: "Size") -> "Settings":
        """The network, the length of training and the weights of the losses at a size."""
        raise NotImplementedError

    @classmethod
    def build(cls, model: Any, data: "StageData", training: Any) -> Self:
        """The objective that trains a network on the data of a run."""
        raise NotImplementedError

    def prepare(self, started: bool) -> None:
        """What is fitted before the first step; `started`: the weights are those of another model."""

    def finish(self) -> None:
        """What is fitted after the last step."""

    @property
    def result(self) -> nn.Module:
        """The trained network."""
        raise NotImplementedError

    @property
    def settled(self) -> bool:
        """Whether the last look showed that more steps will not help; then the loop ends. Part of the state."""
        return False

    def learned(self, part: str) -> nn.Module:
        """The module that this part's optimizer moves."""
        raise NotImplementedError

    def active(self, part: str, progress: float) -> bool:
        """Whether the part is trained at this share (0 to 1) of the steps."""
        return True

    def draw(self, size: int, progress: float, generator: torch.Generator) -> Batch:
        """A batch of the training data, on the CPU."""
        raise NotImplementedError

    def forward(self, batch: Batch, part: str, progress: float) -> tuple[Tensor, dict[str, Tensor]]:
        """The loss of one part, and detached figures worth logging."""
        raise NotImplementedError

    def after_step(self, step: int, progress: float, generator: torch.Generator) -> dict[str, float]:
        """What is learned otherwise than by gradients (EMA updates, the codebook)."""
        return {}

    def validate(self) -> dict[str, float]:
        """Figures on patients that were held out."""
        return {}

    def watch(self, step: int, figures: dict[str, float]) -> None:
        """Raise `TrainingStopped` where the figures show that nothing is being learned any more."""

    def picture(self) -> np.ndarray | None:
        """uint8 (h, w): rows of truth and prediction, for a person to look at."""
        return None

    def configuration(self) -> dict[str, Any]:
        """What a checkpoint must agree with to be resumed: JSON types only."""
        return {}


def require(holds: bool, otherwise: str) -> None:
    """Raise ValueError where a setting has a value that cannot be."""
    if not holds:
        raise ValueError(otherwise)


def require_shares(settings: Any, *names: str) -> None:
    """Raise ValueError where one of these settings is no number from 0 to 1."""
    for name in names:
        require(0 <= getattr(settings, name) <= 1, f"{name} must be 0 to 1, got {getattr(settings, name)}")


@torch.no_grad()
def follow(average: nn.Module, model: nn.Module, step: int, decay: float) -> None:
    """Move `average` towards `model`, in place: an exponential moving average whose memory grows in the first steps.

    Of parameters, and of what batch norms have counted.
    """
    decay = min(decay, (1 + step) / (10 + step))
    both = zip([*average.parameters(), *average.buffers()], [*model.parameters(), *model.buffers()], strict=True)
    for kept, current in both:
        if kept.is_floating_point():
            kept.lerp_(current, 1 - decay)
        else:
            kept.copy_(current)


def step_generator(seed: int, step: int, purpose: int = 0) -> torch.Generator:
    """The random source of one step: the sampler's position is the step's number, so nothing needs to be stored."""
    state = np.random.SeedSequence([seed, step, purpose]).generate_state(1, np.uint64)[0]
    return torch.Generator().manual_seed(int(state >> np.uint64(1)))


def draw_rows(weight: Tensor, size: int, generator: torch.Generator) -> Tensor:
    """Rows (size,) of studies, each as likely as its weight."""
    return torch.multinomial(weight, size, replacement=True, generator=generator)
