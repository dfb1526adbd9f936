"""Training from any posed views (a CSV of them), also only a frontal and a lateral of each study.

    python -m xray2xray.experiments.pairs.train cohort.csv --out run

The CSV has the columns study, yaw_deg, image (and patient, split). `run` gets model/posed.safetensors, for
`read_transition`, and posed/ and rows/ with metrics.jsonl and checkpoint.pt.

Two stages. `posed` learns how much each kind of feature counts, by the error of leaving one out, which has a closed
form: no study has to be held out. `rows` trains the small networks on what those left-out predictions miss.
"""

import copy
import hashlib
import logging
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ...core.errors import InputError, UsageError
from ...training.checkpoint import CHECKPOINT
from ...training.loop import fit
from ...training.objective import Batch, Objective, TrainingStopped, follow
from ...training.steps import LoopConfig, Machine
from ..command import command, parser
from .posed import KINDS, PosedConfig, PosedTransition, standardise_rows, yaw_kernel
from .posed_file import write_posed
from .table import TRAIN, PosedStudy, read_posed, read_views

LOOP = LoopConfig(steps=80, batch=1, rate=0.1, warm_up=1, weight_decay=0.0, log_every=20, check_every=40)
ROWS_LOOP = LoopConfig(steps=100, batch=64, rate=1e-3, warm_up=10, weight_decay=0.3, log_every=20, check_every=50)
MIXED = 0.5  # at most this share of a pair is another pair's: 500 cases are few
AVERAGE_DECAY = 0.98
MOST_PAIRS = 6000  # the kernel between all pairs is held in memory, once for each kind of feature: 860 MB
YAW_TOLERANCE_DEG = 1.0

log = logging.getLogger(__name__)


class PosedObjective(Objective):
    """The error of leaving one pair out, as a share of the variance about the mean views; a batch is all pairs."""

    stage = "posed"

    def __init__(self, model: PosedTransition) -> None:
        super().__init__()
        self.model = model.weights
        near = yaw_kernel(model.yaw_deg, model.yaw_deg, model.config.yaw_scale_deg)
        rest = (model.targets - model.mean_view(model.yaw_deg)).flatten(1)
        # in a tuple: follows from the data, so no part of the state. Only products of targets enter the error.
        self._fixed = (model.distances(model.given), near, rest @ rest.T)
        self._named = {"model": asdict(model.config), "data": digest(model)}

    def learned(self, part: str) -> nn.Module:
        return self.model

    def draw(self, size: int, progress: float, generator: torch.Generator) -> Batch:
        return {}

    def forward(self, batch: Batch, part: str, progress: float) -> tuple[Tensor, dict[str, Tensor]]:
        distances, near, products = self._fixed
        inverse = self.model.inverse(self.model(distances) * near)
        # left out, pair i is missed by (inverse @ rest)_i / inverse_ii: its square needs the products of targets only
        missed = ((inverse @ products) * inverse).sum(dim=1) / inverse.diagonal().square()
        loss = missed.sum() / products.diagonal().sum()
        return loss, {"left_out_r2": 1 - loss.detach()}

    def validate(self) -> dict[str, float]:
        """The share that each kind of feature has in what tells patients apart."""
        shares = self.model.log_weights.exp()
        return dict(zip(KINDS, (shares / shares.sum()).tolist(), strict=True))

    def watch(self, step: int, figures: dict[str, float]) -> None:
        if step >= 40 and figures.get("left_out_r2", 1.0) < -1.0:
            raise TrainingStopped(
                f"{self.stage}: worse than the mean view at step {step}; are angles and images right?"
            )

    def configuration(self) -> dict[str, Any]:
        return self._named


class RowsObjective(Objective):
    """The networks learn what the kernel misses where it has left the case out. A batch counts pairs, for each member.

    Pairs are mixed with others (Zhang et al. 2018, arXiv 1710.09412), inputs and errors alike.
    """

    stage = "rows"

    def __init__(self, model: PosedTransition) -> None:
        super().__init__()
        self.model = copy.deepcopy(model.members)
        self.average = copy.deepcopy(model.members).requires_grad_(False)
        rows = model.config.rows
        left_out = model.left_out()
        inputs = model.row_inputs(model.given, left_out)
        errors = nn.functional.adaptive_avg_pool2d((model.targets - left_out)[:, None], (rows, rows))[:, 0]
        self._fixed = (standardise_rows(inputs, inputs), model.yaw_deg, errors)
        self._named = {"model": asdict(model.config), "data": digest(model)}

    def learned(self, part: str) -> nn.Module:
        return self.model

    def draw(self, size: int, progress: float, generator: torch.Generator) -> Batch:
        torch.manual_seed(int(torch.randint(2**31, (1,), generator=generator)))  # dropout knows no other source
        pairs, members = len(self._fixed[0]), len(self.model)
        return {
            "first": torch.randint(pairs, (members, size), generator=generator),
            "other": torch.randint(pairs, (members, size), generator=generator),
            "share": MIXED * torch.rand(members, size, 1, 1, generator=generator),
        }

    def forward(self, batch: Batch, part: str, progress: float) -> tuple[Tensor, dict[str, Tensor]]:
        inputs, yaw_deg, errors = self._fixed
        loss = torch.zeros(())
        for member, first, other, share in zip(self.model, batch["first"], batch["other"], batch["share"], strict=True):
            other = torch.where((yaw_deg[first] - yaw_deg[other]).abs() > 1e-3, first, other)  # only at one angle
            mixed, wanted = (torch.lerp(values[first], values[other], share) for values in (inputs, errors))
            loss = loss + (member(mixed, yaw_deg[first]) - wanted).square().mean() / len(self.model)
        return loss, {"missed": loss.detach() / errors.square().mean()}

    def after_step(self, step: int, progress: float, generator: torch.Generator) -> dict[str, float]:
        follow(self.average, self.model, step, AVERAGE_DECAY)
        return {}

    def configuration(self) -> dict[str, Any]:
        return self._named


def digest(model: PosedTransition) -> str:
    """sha256 of the remembered pairs."""
    parts = (model.given, model.yaw_deg, model.targets)
    return hashlib.sha256(b"".join(part.numpy().tobytes() for part in parts)).hexdigest()


def train_posed(
    table: str | Path,
    out: str | Path,
    given_yaw_deg: float = 0.0,
    size: int = 112,
    steps: int | None = None,
    resume: bool = False,
    seed: int = 0,
    limit: int | None = None,
) -> Path:
    """Learn, from the studies of a CSV that are marked `train`, to predict all other views from the one given.

    Args:
        table: see `data.posed.read_posed`.
        out: gets posed/ and rows/ (metrics, checkpoint) and model/ (the result, for `read_transition`).
        given_yaw_deg: the angle of the view that will be given; a study without it is left out.
        size: views are resized to this many pixels a side.
        steps: of each stage, instead of its own number.
        resume: go on exactly where an interrupted run stopped.
        seed: of the networks and of their batches.
        limit: use the first studies only.

    Raises:
        InputError: the table cannot be used, or too few or too many pairs are left.
        UsageError: `out` holds a trained stage and `resume` was not asked for.
        TrainingStopped: it does not learn.
    """
    out = Path(out)
    if (out / PosedObjective.stage / CHECKPOINT).exists() and not resume:
        raise UsageError(f"{out} was trained before; pass --resume to go on, or choose another --out")
    found = read_posed(table)
    for sentence in found.skipped:
        log.warning("left out: %s", sentence)
    given, yaw_deg, targets = pairs(found.part(TRAIN)[:limit], given_yaw_deg, size)
    if not 3 <= len(given) <= MOST_PAIRS:
        raise InputError(
            f"{table}: {len(given)} pairs of a view at {given_yaw_deg:g} degrees and another one in the part"
            f" {TRAIN!r}; between 3 and {MOST_PAIRS} can be learned from"
        )
    torch.manual_seed(seed)
    model = PosedTransition(PosedConfig(size=size))
    model.remember(*(torch.from_numpy(array) for array in (given, yaw_deg, targets)))
    machine = Machine(precision="32-true", seed=seed)

    def stage(objective: Objective, loop: LoopConfig) -> None:
        chosen = loop if steps is None else replace(loop, steps=steps)
        fit(objective, chosen, machine, out / objective.stage, resume and (out / objective.stage / CHECKPOINT).exists())

    stage(PosedObjective(model), LOOP)
    rows = RowsObjective(model)
    stage(rows, ROWS_LOOP)
    model.members.load_state_dict(rows.average.state_dict())
    write_posed(out / "model", model, given_yaw_deg)
    return out / "model"


def pairs(studies: Sequence[PosedStudy], given_yaw_deg: float, size: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(given view, target angle, target view) of every other view of every study that has the given one.

    A study without it, or with an image that cannot be used, is named and left out.

    Returns:
        float32 (n, size, size), (n,), (n, size, size).
    """
    given, yaw_deg, targets = [], [], []
    for study in studies:
        apart = [abs(yaw - given_yaw_deg) for yaw in study.yaw_deg]
        first = int(np.argmin(apart))
        if apart[first] > YAW_TOLERANCE_DEG:
            log.warning("left out: %s: no view at %g degrees", study.study, given_yaw_deg)
            continue
        try:
            views = read_views(study, size)
        except InputError as error:
            log.warning("left out: %s: %s", study.study, error)
            continue
        for other, yaw in enumerate(study.yaw_deg):
            if other != first:
                given.append(views[first])
                yaw_deg.append(yaw)
                targets.append(views[other])
    shape = (len(given), size, size)
    return (
        np.array(given, np.float32).reshape(shape),
        np.array(yaw_deg, np.float32),
        np.array(targets, np.float32).reshape(shape),
    )


def main(words: Sequence[str] | None = None) -> None:
    made = parser("pairs.train", __doc__)
    made.add_argument("table", type=Path, help="CSV of at least two views of every study")
    made.add_argument("--out", type=Path, required=True)
    made.add_argument("--given-yaw-deg", type=float, default=0.0, help="angle of the view that will be given")
    made.add_argument("--size", type=int, default=112, help="pixels a side that views are resized to")
    made.add_argument("--steps", type=int, help="of each stage, instead of its own number")
    made.add_argument("--limit", type=int, help="use the first studies only")
    made.add_argument("--seed", type=int, default=0, help="of the networks and their batches")
    made.add_argument("--resume", action="store_true")
    folder = command(made, lambda options: train_posed(**vars(options)), words)
    print(f"the transition is in {folder}; read it with xray2xray.experiments.pairs.posed_file.read_transition")


if __name__ == "__main__":
    main()
