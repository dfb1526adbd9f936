"""One network for all endpoints, and how it is trained: the objective of the supervised baselines."""

import copy
import hashlib
import math
import time as clock
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from ...core.errors import InputError
from ...probing.endpoints import Endpoints, losses
from ...training.objective import Batch, Objective, follow
from .backbones.backbone import Backbone

Rows = NDArray[np.intp]

AT_ONCE = 64  # pictures that are looked at together where nothing is learned
TURN_DEG, ZOOM, SHIFT = 5.0, 0.05, 0.05  # up to which a training picture is moved; shift as a share of its side
AVERAGE_DECAY = 0.98
NOISE = 0.05  # of the training pictures' SD
PATIENCE = 20  # looks without an improvement that counts, after which a training has reached its plateau
COUNTS = 1e-3  # nats of validation loss; a share of it would never be too small where all can be learned


@dataclass
class Training:
    """How far a training has come. `best_step` is that of the weights kept, `counted_loss` the least validation loss
    but for improvements that are too small to count, `idle` the looks since it was found."""

    steps: int = 0
    best_step: int = 0
    seconds: float = 0.0
    best_loss: float = math.inf
    counted_loss: float = math.inf
    idle: int = 0

    @property
    def converged(self) -> bool:
        """Whether it ended at its plateau, not because its budget was spent."""
        return self.idle >= PATIENCE

    def look(self, loss: float) -> bool:
        """A look at the validation pictures: whether the loss is the least so far."""
        self.idle += 1
        if loss < self.counted_loss - COUNTS:
            self.counted_loss, self.idle = loss, 0
        if better := loss < self.best_loss:
            self.best_loss, self.best_step = loss, self.steps
        return better


class MultiTaskNetwork(nn.Module):
    """Pictures (b, h, w) as they are given -> answers (b, k), or (b, k + 1) with a log hazard as the last.

    Args:
        backbone: of one channel.
        answers: k, or k + 1.
        mean, sd: of the training pictures' grey values.
    """

    mean: Tensor
    sd: Tensor

    def __init__(self, backbone: Backbone, answers: int, mean: float = 0.0, sd: float = 1.0) -> None:
        super().__init__()
        self.backbone = backbone
        self.heads = nn.Linear(backbone.width, answers)
        self.register_buffer("mean", torch.tensor(mean))
        self.register_buffer("sd", torch.tensor(sd))

    def forward(self, pictures: Tensor) -> Tensor:
        return self.heads(self.backbone(((pictures - self.mean) / self.sd)[:, None])).float()

    @torch.no_grad()
    def answers(self, pictures: NDArray[Any], rows: Rows | None = None) -> Tensor:
        """Answers (n, k) to pictures (n, h, w) of any kind of number, on the CPU; all rows by default."""
        training = self.training
        self.eval()
        rows = np.arange(len(pictures)) if rows is None else rows
        found = [self(some.to(self.mean.device)).cpu() for some in parts(pictures, rows)]
        self.train(training)
        return torch.cat(found)


class SupervisedObjective(Objective):
    """The mean of all endpoints' losses, each alike; validation keeps the weights at which it was least.

    The weights that are looked at, and kept, are a moving average: a few hundred labels throw single steps about.
    `PATIENCE` looks without an improvement of a thousandth of a nat are the plateau, where the training ends.

    Training pictures are turned, zoomed and moved a little, with noise; never mirrored: sides matter. `best` and
    `training_` are part of the state, so a resumed run keeps what the interrupted one had found.
    """

    stage = "supervised"

    def __init__(
        self,
        model: MultiTaskNetwork,
        pictures: NDArray[Any],
        truth: Endpoints,
        train: Rows,
        validation: Rows,
        named: Mapping[str, Any],
        seconds: float = math.inf,
        begun: float | None = None,
    ) -> None:
        """`seconds` end the training, too; they are counted from `begun` (of `time.monotonic`; by default now)."""
        super().__init__()
        self.model = model
        self.average = copy.deepcopy(model).requires_grad_(False)
        self.best = copy.deepcopy(self.average)
        self.training_ = Training()
        self._seconds, self._since = seconds, clock.monotonic() if begun is None else begun
        self._pictures, self._truth = pictures, truth
        self._train, self._validation = train, validation
        self._named = {**named, "data": _digest(truth, train, validation, model)}

    @property
    def settled(self) -> bool:
        return self.training_.converged or self.training_.seconds >= self._seconds

    def learned(self, part: str) -> nn.Module:
        return self.model

    def draw(self, size: int, progress: float, generator: torch.Generator) -> Batch:
        rows = self._train[torch.randint(len(self._train), (size,), generator=generator).numpy()]
        return {"pictures": self.varied(_read(self._pictures, rows), generator), **self._truth.tensors(rows)}

    def varied(self, pictures: Tensor, generator: torch.Generator) -> Tensor:
        """Training pictures as they might also have been taken."""
        noise = torch.randn(pictures.shape, generator=generator) * (NOISE * self.model.sd.cpu())
        return moved(pictures, generator) + noise

    def forward(self, batch: Batch, part: str, progress: float) -> tuple[Tensor, dict[str, Tensor]]:
        return losses(self.model(batch["pictures"]), batch).mean(), {}

    def after_step(self, step: int, progress: float, generator: torch.Generator) -> dict[str, float]:
        follow(self.average, self.model, step, AVERAGE_DECAY)
        now = clock.monotonic()
        self.training_.steps = step + 1
        self.training_.seconds += now - self._since
        self._since = now
        return {}

    def validate(self) -> dict[str, float]:
        """The loss of each endpoint on the validation pictures; the best weights so far are kept."""
        each = losses(self.average.answers(self._pictures, self._validation), self._truth.tensors(self._validation))
        loss = float(each.mean())
        if self.training_.look(loss):
            self.best.load_state_dict(self.average.state_dict())
        endpoints = [*self._truth.names, *(["event"] if self._truth.time is not None else [])]
        return {"loss": loss} | dict(zip(endpoints, each.tolist(), strict=True))

    def configuration(self) -> dict[str, Any]:
        return self._named

    def get_extra_state(self) -> dict[str, float]:
        return asdict(self.training_)

    def set_extra_state(self, state: Mapping[str, Any]) -> None:
        self.training_ = Training(**state)


def moved(pictures: Tensor, generator: torch.Generator) -> Tensor:
    """Pictures (b, h, w), each turned, zoomed and shifted by its own small amounts; edges are continued."""
    b, height, width = pictures.shape
    turn, zoom, down, right = torch.rand(4, b, generator=generator) * 2 - 1
    angle, scale = torch.deg2rad(TURN_DEG * turn), 1 + ZOOM * zoom
    cos, sin = scale * angle.cos(), scale * angle.sin()
    aspect = height / width
    rows = [
        cos,
        -sin * aspect,
        2 * SHIFT * right,
        sin / aspect,
        cos,
        2 * SHIFT * down,
    ]  # in half-sides, as torch has it
    grid = F.affine_grid(torch.stack(rows, dim=1).view(b, 2, 3), [b, 1, height, width], align_corners=False)
    return F.grid_sample(pictures[:, None], grid, padding_mode="border", align_corners=False)[:, 0]


def grey_values(pictures: NDArray[Any], rows: Rows) -> tuple[float, float]:
    """Mean and SD of some of the pictures (n, h, w), read a few at a time.

    Raises:
        InputError: NaN or infinite pixels, or all are alike.
    """
    sums = np.zeros(2)
    for some in parts(pictures, rows):
        sums += [float(some.double().sum()), float(some.double().square().sum())]
    mean, square = sums / (len(rows) * pictures.shape[1] * pictures.shape[2])
    if not (np.isfinite(square) and square - mean**2 > 0):
        raise InputError("pictures hold NaN or infinite numbers, or all pixels are alike")
    return float(mean), float(np.sqrt(square - mean**2))


def parts(pictures: NDArray[Any], rows: Rows) -> Iterator[Tensor]:
    """Some of the pictures (n, h, w), float32 (AT_ONCE, h, w) at a time."""
    return (_read(pictures, rows[start : start + AT_ONCE]) for start in range(0, len(rows), AT_ONCE))


def _read(pictures: NDArray[Any], rows: Rows) -> Tensor:
    return torch.from_numpy(np.asarray(pictures[rows], np.float32))


def _digest(truth: Endpoints, train: Rows, validation: Rows, model: MultiTaskNetwork) -> str:
    """The data of a run, so that none is resumed on others: the labels, the split, and the grey values' moments."""
    columns = [truth.findings, *(c for c in (truth.time, truth.event) if c is not None), train, validation]
    whole = b"".join(np.ascontiguousarray(c).tobytes() for c in columns)
    return hashlib.sha256(whole + f"{truth.names} {float(model.mean)} {float(model.sd)}".encode()).hexdigest()
