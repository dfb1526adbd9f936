"""What is compared: a name says what a method reads and how. Each is given labels, and answers for the test patients.

vision            a linear probe of these features
age_sex+measured  of both sets side by side, which weigh alike however many numbers each has
hidden@3          of the hidden states after three blocks
attentive:vision  an attentive probe of the features as tokens
cnn64, resnet50   a network trained on the labelled pictures, from scratch or from public weights
NAME              a linear probe of what the encoder given as --encoders NAME=FOLDER says, or of NAME=FILE.npz
grid:NAME         a linear probe of its tokens, averaged over 4 x 4 cells of the picture
glori:NAME        CheXFound's head on that encoder's features and tokens
finetuned:NAME    all weights of that encoder, of the world model (volumetric), or of its V alone (vision) learn on
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...core.errors import InputError, UsageError
from ...io.model_folder import sha256
from ...probing.attentive import AttentiveProbe
from ...probing.cox import PartialLikelihood
from ...probing.endpoints import Endpoints
from ...probing.head import Array
from ...probing.number import fit_number
from ...probing.probe import block_means, fit
from ...probing.survival import MINIMUM, PENALTIES, CoxHead
from ...training.checkpoint import CHECKPOINT
from ..pretraining.glori import GloriHead
from ..supervised.backbones import build_backbone
from ..supervised.backbones.weights import load_weights
from ..supervised.finetuning import ENCODER, VISION, VOLUMETRIC, FineTunedNetwork
from ..supervised.network import Training
from ..supervised.supervised import SupervisedNetwork
from .cohort import Cohort, Rows
from .features import PRETRAINED, Bench, feature_set, format_of

Scores = dict[str, Array]
"""Task -> (n_test,): probabilities of a finding, a number, a log hazard of an event in time."""

NETWORKS = {"cnn64": "cnn64", "resnet50": "resnet", "vit": "vit", "convnext": "convnext", "bi_mamba": "bi_mamba"}
RATES = {"cnn64": 2e-3, "resnet50": 2e-3}  # where the default was worse on training patients without a given label
ATTENTIVE, GRID, GLORI, FINETUNED = KINDS = ("attentive", "grid", "glori", "finetuned")
OURS = "volumetric"
METHODS = (
    "age_sex", "age_sex+measured", "pixels", "vision", "hidden", OURS, "attentive:vision", "attentive:hidden",
    "vision+lateral", "age_sex+factors", "finetuned:vision", "finetuned:volumetric", *NETWORKS,
)  # fmt: skip
ABOUT = {
    ATTENTIVE: "attentive probe: ",
    GRID: "tokens of 4 x 4 cells: ",
    GLORI: "GLoRI head: ",
    FINETUNED: "fine-tuned: ",
}
CELLS = 4  # along a side: where a finding lies matters, and a class token may not know
HELD_OUT = 0.25  # share of the labelled patients who stop an attentive probe or a network


@dataclass(frozen=True)
class Method:
    """A method's name, taken apart.

    Attributes:
        kind: linear, network, or of `KINDS`.
        sets: names of the features it reads; empty for a network from scratch.
        about: in words.
        frontal_only: whether it sees the frontal and, of what no picture shows, age and sex at most.
        knows_age: whether it is told age and sex.
    """

    name: str
    kind: str
    sets: tuple[str, ...]
    about: str
    frontal_only: bool
    knows_age: bool

    @property
    def trained(self) -> bool:
        """Whether it takes its budget: a network, not a probe."""
        return self.kind in ("network", GLORI, FINETUNED)

    @property
    def reads_numbers(self) -> bool:
        """Whether it can learn a number, and not only findings and an event."""
        return self.kind in ("linear", GRID)


@dataclass(frozen=True)
class Budget:
    """What a network is given: its size, as `build_backbone` has it, seconds at most, and by the name of a method a
    file of public weights to begin with."""

    size: str = "paper"
    seconds: float = 900.0
    weights: Mapping[str, Path] = field(default_factory=dict)

    def check(self) -> None:
        """That every file fits its network, before anything is trained.

        Raises:
            UsageError: weights for what is no network.
            InputError: as `load_weights`.
        """
        for name, path in self.weights.items():
            if name not in NETWORKS:
                raise UsageError(f"--weights {name}: weights are for {', '.join(NETWORKS)}")
            load_weights(build_backbone(NETWORKS[name], self.size), path)

    def named(self, method: "Method") -> list[Any]:
        """What the answers of a method follow from."""
        if not method.trained:
            return []
        begun = sha256(self.weights[method.name]) if method.name in self.weights else None
        return [self.size if method.kind == "network" else "", self.seconds, begun]


def method(name: str, encoders: Mapping[str, Path] = MappingProxyType({})) -> Method:
    """A method by its name.

    Raises:
        UsageError: the name means nothing.
        InputError: the folder of an encoder holds none.
    """
    if name in NETWORKS:
        return Method(name, "network", (), f"{name}, from scratch", True, False)
    before, colon, after = name.partition(":")
    kind, sets = (before, after) if colon and before in KINDS else ("linear", name)
    parts = tuple(sets.split("+"))
    if kind in (GRID, GLORI) and (sets not in encoders or format_of(encoders[sets]) != PRETRAINED):
        raise UsageError(f"--methods {name}: this head reads one of --encoders that training.pretrain made")
    if kind == FINETUNED and sets not in (*encoders, VISION, VOLUMETRIC):
        raise UsageError(f"--methods {name}: volumetric, vision, or one of --encoders is fine-tuned")
    try:
        found = [feature_set(part) for part in parts if part not in encoders]
    except UsageError as error:
        raise UsageError(f"--methods {name}: {error}; networks are {', '.join(NETWORKS)}") from None
    if kind == ATTENTIVE and (len(parts) > 1 or not found or found[0].model not in ("vision", "hidden")):
        raise UsageError(f"--methods {name}: an attentive probe reads the tokens of vision, lateral or hidden")
    said = [part if part in encoders else feature_set(part).about for part in parts]
    sees = any(part in encoders for part in parts) or any(one.picture for one in found)
    about = ABOUT.get(kind, "") + " + ".join(said)
    return Method(name, kind, parts, about, sees and not any(one.privileged for one in found), "age_sex" in parts)


@dataclass(frozen=True, eq=False)
class Lesson:
    """What a method is given to learn from.

    Attributes:
        rows: the labelled studies of the training patients.
        chosen: studies of the validation split, which choose penalties and stop trainings; none where labels are few,
            as those would be further labels: then a quarter of the labelled patients does.
        tasks: that these labels are enough for.
    """

    rows: Rows
    chosen: Rows
    tasks: tuple[str, ...]

    @classmethod
    def of(cls, cohort: Cohort, n: int, seed: int) -> "Lesson":
        """The labels of n training patients; with those of all, the validation split."""
        everyone = n == len(cohort.training_patients)
        return cls(
            cohort.labelled(n, seed), cohort.rows("validation") if everyone else np.empty(0, np.intp), cohort.tasks
        )


def answer(
    method: Method, bench: Bench, lesson: Lesson, seed: int, budget: Budget, run: Path
) -> tuple[Scores, Training | None]:
    """Learn from the labelled patients, and answer for the test patients; and how a training ended.

    Args:
        run: folder of a network's checkpoint, from which it goes on.

    Raises:
        InputError: too few of the labelled patients are positive, or negative.
    """
    cohort, test = bench.cohort, bench.cohort.rows("test")
    if method.kind == GRID:
        x = np.asarray(cells(bench.encoded(method.sets[0])[:, 1:]), np.float64)
        return _linear(x, cohort, lesson, method.name, seed), None
    if method.kind == "linear":
        x, blocks = bench.joined(method.sets)
        return _linear(x, cohort, lesson, method.name, seed, blocks), None
    rows, held, truth = stopped(cohort, lesson, seed)
    labels = dict(zip(truth.names, truth.findings.T))
    probability: Array
    risk: Array | None
    training = None
    if method.kind == ATTENTIVE:
        (name,) = method.sets
        seen, width = bench.features(name), bench.model.width(feature_set(name).model)
        probe = AttentiveProbe(width, name, cohort.evidence_level, seed, device=bench.device)
        probe.fit(seen[rows], labels, truth.time, truth.event, validation=held)
        probability = probe.predict_proba(seen[test])
        risk = probe.predict_risk(seen[test]) if probe.event_ else None
    else:
        seen = bench.encoded(method.sets[0]) if method.kind == GLORI else bench.frontals
        network, resume = _network(method, bench, seed, budget), (run / CHECKPOINT).is_file()
        network.fit(seen[rows], labels, truth.time, truth.event, validation=held, out=run, resume=resume)
        probability, risk = network.predict(seen[test])
        training = network.training_
    scores: Scores = dict(zip(truth.names, np.asarray(probability, np.float64).T))
    return scores if risk is None or cohort.time_task is None else {**scores, cohort.time_task: risk}, training


def stopped(cohort: Cohort, lesson: Lesson, seed: int) -> tuple[Rows, NDArray[np.bool_], Endpoints]:
    """The rows that a network sees, which of them stop it, and their truth: the validation split stops it where that
    knows every task.

    Raises:
        InputError: as `held_out`.
    """
    names = [name for name in cohort.findings if name in lesson.tasks]
    truth = cohort.truth.only(names, cohort.time_task in lesson.tasks)
    if enough(truth.take(lesson.chosen)):
        rows = np.concatenate([lesson.rows, lesson.chosen])
        return rows, np.arange(len(rows)) >= len(lesson.rows), truth.take(rows)
    learned = truth.take(lesson.rows)
    return lesson.rows, held_out(learned, seed, cohort.patients[lesson.rows]), learned


def _network(method: Method, bench: Bench, seed: int, budget: Budget) -> SupervisedNetwork:
    """Untrained, or trained without labels."""
    settings: dict[str, Any] = {
        "seconds": budget.seconds, "seed": seed, "evidence_level": bench.cohort.evidence_level, "device": bench.device,
    }  # fmt: skip
    if method.kind == "network":
        settings |= {"rate": RATES.get(method.name, SupervisedNetwork.rate), "weights": budget.weights.get(method.name)}
        return SupervisedNetwork(NETWORKS[method.name], budget.size, **settings)
    (name,) = method.sets
    if method.kind == GLORI:
        return GloriHead(width=bench.encoded(name).shape[2], **settings)
    if name not in bench.encoders:
        return FineTunedNetwork(name, source=str(bench.source), **settings)
    folder = bench.encoders[name]
    begun = ENCODER if format_of(folder) == PRETRAINED else VOLUMETRIC
    return FineTunedNetwork(begun, source=str(folder), **settings)


def cells(tokens: Array) -> Array:
    """Tokens of a square grid (n, t, width), averaged over `CELLS` x `CELLS` cells: (n, width * CELLS * CELLS)."""
    n, t, width = tokens.shape
    side = math.isqrt(t)
    return block_means(tokens.swapaxes(1, 2).reshape(n * width, side, side), CELLS).reshape(n, -1)


def enough(truth: Endpoints) -> bool:
    """Whether pictures know both classes of every finding, and enough of them the event, to stop a training."""
    both = all((truth.findings == value).any(axis=0).all() for value in (0, 1))
    return len(truth.findings) > 0 and both and (truth.event is None or (truth.event == 1).sum() >= MINIMUM)


def held_out(truth: Endpoints, seed: int, patients: NDArray[np.str_] | None = None) -> NDArray[np.bool_]:
    """Who of the labelled patients stops the training: (n,), a quarter of those with the event and of the others.

    Drawn anew until both classes of every finding are on both sides.

    Args:
        patients: (n,), whose each picture is; by default all differ.

    Raises:
        InputError: no draw has them.
    """
    n = len(truth.findings)
    _, owner = np.unique(np.arange(n) if patients is None else patients, return_inverse=True)
    had = np.bincount(owner, np.zeros(n) if truth.event is None else truth.event == 1) > 0
    rng = np.random.default_rng([seed, 2])
    for _ in range(200):
        aside = np.zeros(len(had), bool)
        for group, least in ((np.flatnonzero(had), MINIMUM), (np.flatnonzero(~had), 1)):
            aside[rng.permutation(group)[: max(least, round(HELD_OUT * len(group)))]] = True
        held = aside[owner]
        sides = [truth.take(np.flatnonzero(side)) for side in (held, ~held)]
        followed = truth.event is None or bool((had & ~aside).any())
        if followed and all((side.findings == value).any(axis=0).all() for side in sides for value in (0, 1)):
            return held
    raise InputError(f"{n} labelled patients cannot be split so that both sides know both classes; raise --labels")


def _linear(x: Array, cohort: Cohort, lesson: Lesson, name: str, seed: int, blocks: Sequence[int] = ()) -> Scores:
    """A regression for each task, each with its own penalty: logistic for a finding, Cox's for the event, ridge for a
    number."""
    scores: Scores = {}
    truth, test = cohort.truth, cohort.rows("test")
    for task in lesson.tasks:
        if task == cohort.time_task and truth.time is not None and truth.event is not None:
            scores[task] = _cox(x, truth.time, truth.event, cohort, lesson, name, seed, blocks)
            continue
        is_number = task in cohort.numbers
        column = cohort.numbers[task] if is_number else truth.findings[:, truth.names.index(task)]
        rows, held, patients = _learned(column, cohort, lesson, least=3 if is_number else 2)
        given: dict[str, Any] = {"seed": seed, "held": held, "patients": patients, "blocks": blocks}
        if is_number:
            scores[task] = fit_number(x[rows], column[rows], label=task, **given).predict(x[test])
        else:
            probe = fit(x[rows], column[rows].astype(np.int64), label=task, features=name, **given)
            scores[task] = probe.probability(x[test])
    return scores


def _learned(
    column: Array, cohort: Cohort, lesson: Lesson, least: int
) -> tuple[Rows, NDArray[np.bool_] | None, NDArray[np.str_] | None]:
    """The rows whose value is known, which of them choose the penalty, and whose they are where some have several.

    The validation split chooses where it knows `least` different values; else (None) a part of the labelled patients.
    """
    rows = lesson.rows[~np.isnan(column[lesson.rows])]
    chosen = lesson.chosen[~np.isnan(column[lesson.chosen])]
    if len(np.unique(column[chosen])) >= least:
        both = np.concatenate([rows, chosen])
        return both, np.arange(len(both)) >= len(rows), None
    patients = cohort.patients[rows]
    return rows, None, None if len(np.unique(patients)) == len(rows) else patients


def _cox(
    x: Array, time: Array, event: Array, cohort: Cohort, lesson: Lesson, name: str, seed: int, blocks: Sequence[int]
) -> Array:
    """The log hazards of the test patients."""
    task, test = str(cohort.time_task), cohort.rows("test")
    rows = lesson.rows[~np.isnan(time[lesson.rows])]
    chosen = lesson.chosen[~np.isnan(time[lesson.chosen])]
    penalty = None
    if (event[chosen] == 1).sum() >= MINIMUM:
        order = PartialLikelihood.of(time[chosen], event[chosen] == 1)

        def likelihood(trial: float) -> float:
            head = CoxHead(task, name, penalty=trial).fit(x[rows], time[rows], event[rows], blocks=blocks)
            return float(order.value(head.predict_risk(x[chosen])))

        penalty = max(PENALTIES, key=likelihood)
    head = CoxHead(task, name, penalty=penalty, seed=seed)
    head.fit(x[rows], time[rows], event[rows], patients=cohort.patients[rows], blocks=blocks)
    return head.predict_risk(x[test])
