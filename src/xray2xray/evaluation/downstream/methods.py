"""What is compared: a name says what a method reads and how. Each is given labels, and answers for the test patients.

vision            a linear probe of these features
age_sex+measured  of both sets side by side
hidden@3          of the hidden states after three blocks
attentive:vision  an attentive probe of the features as tokens
resnet50          a network trained from scratch on the labelled pictures
NAME              a linear probe of what the encoder given as --encoders NAME=FOLDER says
"""

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ...downstream.attentive import AttentiveProbe
from ...downstream.cox import CoxHead
from ...downstream.endpoints import Endpoints
from ...downstream.head import Array
from ...downstream.probe import fit
from ...downstream.supervised import SupervisedNetwork
from ...downstream.survival import MINIMUM
from ...errors import InputError, UsageError
from ...training.checkpoint import CHECKPOINT
from .cohort import TIME_TASK, Rows
from .features import Bench, feature_set

Scores = dict[str, Array]
"""Task -> (n_test,): probabilities of a finding, a log hazard of `cvd_time`."""

NETWORKS = {"resnet50": "resnet", "vit": "vit", "convnext": "convnext", "bi_mamba": "bi_mamba"}
ATTENTIVE = "attentive:"
OURS = "volumetric"
METHODS = (
    "age_sex", "age_sex+measured", "pixels", "vision", "hidden", OURS, "attentive:vision", "attentive:hidden",
    "vision+lateral", "age_sex+factors", *NETWORKS,
)  # fmt: skip
HELD_OUT = 0.25  # share of the labelled patients who stop an attentive probe or a network


@dataclass(frozen=True)
class Method:
    """A method's name, taken apart.

    Attributes:
        kind: linear, attentive or network.
        sets: names of the features it reads; empty for a network.
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


@dataclass(frozen=True)
class Budget:
    """What a network may take: its size, as `build_backbone` has it, and seconds of training."""

    size: str = "paper"
    seconds: float = 900.0


def method(name: str, encoders: Collection[str] = ()) -> Method:
    """Raises UsageError where a name means nothing."""
    if name in NETWORKS:
        return Method(name, "network", (), f"{name}, from scratch", True, False)
    kind, sets = ("attentive", name.removeprefix(ATTENTIVE)) if name.startswith(ATTENTIVE) else ("linear", name)
    parts = tuple(sets.split("+"))
    try:
        found = [feature_set(part) for part in parts if part not in encoders]
    except UsageError as error:
        raise UsageError(f"--methods {name}: {error}; networks are {', '.join(NETWORKS)}") from None
    if kind == "attentive" and (len(parts) > 1 or not found or found[0].model not in ("vision", "hidden")):
        raise UsageError(f"--methods {name}: an attentive probe reads the tokens of vision, lateral or hidden")
    said = [part if part in encoders else feature_set(part).about for part in parts]
    sees = any(part in encoders for part in parts) or any(one.picture for one in found)
    about = ("attentive probe: " if kind == "attentive" else "") + " + ".join(said)
    return Method(name, kind, parts, about, sees and not any(one.privileged for one in found), "age_sex" in parts)


def answer(method: Method, bench: Bench, rows: Rows, seed: int, budget: Budget, run: Path) -> Scores:
    """Learn from the labelled patients `rows`, and answer for the test patients.

    Args:
        run: folder of a network's checkpoint, from which it goes on.

    Raises:
        InputError: too few of the labelled patients are positive, or negative.
    """
    cohort = bench.cohort
    truth, test = cohort.truth.take(rows), cohort.rows("test")
    if method.kind == "linear":
        x = np.concatenate([np.asarray(bench.features(name), np.float64) for name in method.sets], axis=1)
        return _linear(x[rows], truth, x[test], method.name, seed)
    labels, held = dict(zip(truth.names, truth.findings.T)), held_out(truth, seed)
    if method.kind == "attentive":
        (name,) = method.sets
        x = bench.features(name)
        width = bench.model.width(feature_set(name).model)
        probe = AttentiveProbe(width, name, cohort.rung, seed, device=bench.device)
        probe.fit(x[rows], labels, truth.time, truth.event, validation=held)
        return _named(
            cohort.findings, probe.predict_proba(x[test]), probe.predict_risk(x[test]) if probe.event_ else None
        )
    network = SupervisedNetwork(
        NETWORKS[method.name], budget.size, seconds=budget.seconds, seed=seed, rung=cohort.rung, device=bench.device
    )
    resume = (run / CHECKPOINT).is_file()
    views = bench.frontals
    network.fit(views[rows], labels, truth.time, truth.event, validation=held, out=run, resume=resume)
    risk = network.predict_risk(views[test]) if truth.time is not None else None
    return _named(cohort.findings, network.predict_proba(views[test]), risk)


def held_out(truth: Endpoints, seed: int) -> NDArray[np.bool_]:
    """Who of the labelled patients stops the training: (n,), a quarter of those with the event and of the others.

    Drawn anew until both classes of every finding are on both sides.

    Raises:
        InputError: no draw has them.
    """
    n = len(truth.findings)
    had = np.zeros(n, bool) if truth.event is None else truth.event == 1
    rng = np.random.default_rng([seed, 2])
    for _ in range(200):
        held = np.zeros(n, bool)
        for group, least in ((np.flatnonzero(had), MINIMUM), (np.flatnonzero(~had), 1)):
            held[rng.permutation(group)[: max(least, round(HELD_OUT * len(group)))]] = True
        sides = [truth.take(np.flatnonzero(side)) for side in (held, ~held)]
        followed = truth.event is None or bool((had & ~held).any())
        if followed and all((side.findings == value).any(axis=0).all() for side in sides for value in (0, 1)):
            return held
    raise InputError(f"{n} labelled patients cannot be split so that both sides know both classes; raise --labels")


def _linear(x: Array, truth: Endpoints, x_test: Array, name: str, seed: int) -> Scores:
    """A logistic regression for each finding and a Cox regression for the event, each with its own penalty."""
    scores: Scores = {}
    for task, column in zip(truth.names, truth.findings.T):
        known = ~np.isnan(column)
        probe = fit(x[known], column[known].astype(np.int64), label=task, features=name, seed=seed)
        scores[task] = probe.probability(x_test)
    if truth.time is not None and truth.event is not None:
        followed = ~np.isnan(truth.time)
        head = CoxHead(TIME_TASK, name, seed=seed).fit(x[followed], truth.time[followed], truth.event[followed])
        scores[TIME_TASK] = head.predict_risk(x_test)
    return scores


def _named(findings: tuple[str, ...], probability: Array, risk: Array | None) -> Scores:
    scores = dict(zip(findings, np.asarray(probability, np.float64).T))
    return scores if risk is None else {**scores, TIME_TASK: np.asarray(risk, np.float64)}
