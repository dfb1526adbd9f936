"""Whom a downstream evaluation is about: the studies of a view store with their labels, dealt to three splits."""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...core.errors import InputError, UsageError
from ...core.seeds import FIRST_TEST_SEED, deal, split_of
from ...data.cohorts.rows import read_rows
from ...data.groups import SPLITS, check_patients, evidence_of, group_of
from ...data.store import ViewStore
from ...parallel.progress import progress
from ...probing.endpoints import Endpoints
from .tasks import FINDINGS, TASKS, TIME_COLUMNS, TIME_TASK, columns_of, is_time, tasks_in

__all__ = ["FINDINGS", "SPLITS", "TASKS", "TIME_COLUMNS", "TIME_TASK", "Cohort", "Rows", "read_cohort"]

LABEL_STREAM = 1  # of the random numbers that choose whose labels are given
BATCH = 64  # views read at once
Rows = NDArray[np.intp]


@dataclass(frozen=True, eq=False)
class Cohort:
    """All n studies of some patients.

    Attributes:
        studies: (n,) names in the store.
        facts: (n,) what the store and the table say of each: labels, and whatever else, such as seed, age, sex.
        patients: (n,) whose each study is.
        split: (n,) of `SPLITS`.
        tasks: those that can be learned and judged, in their order.
        truth: findings, and the event in time if one is asked for.
        numbers: the tasks that are neither, (n,) each, NaN where unknown.
        source: the file that labels come from, for messages.
        left_out: task -> why it is not among them.
    """

    store: ViewStore
    studies: tuple[str, ...]
    facts: tuple[Mapping[str, Any], ...]
    patients: NDArray[np.str_]
    split: NDArray[np.str_]
    tasks: tuple[str, ...]
    truth: Endpoints
    numbers: Mapping[str, NDArray[np.float64]]
    source: str
    left_out: Mapping[str, str] = field(default_factory=dict)

    @property
    def evidence_level(self) -> str:
        """Of all studies, which have one."""
        return evidence_of(self.facts[0])

    @property
    def findings(self) -> tuple[str, ...]:
        return self.truth.names

    @property
    def time_task(self) -> str | None:
        return next((task for task in self.tasks if is_time(task)), None)

    def rows(self, split: str) -> Rows:
        return np.flatnonzero(self.split == split)

    @cached_property
    def training_patients(self) -> NDArray[np.str_]:
        """In the order of their first studies."""
        train = self.patients[self.rows("train")]
        return train[np.sort(np.unique(train, return_index=True)[1])]

    def labelled(self, n: int, seed: int) -> Rows:
        """All studies of the n training patients whose labels are given; of one seed fewer are among more of them.

        Raises:
            InputError: there are fewer.
            UsageError: less than one, or a negative seed.
        """
        if n < 1 or seed < 0:
            raise UsageError(f"labels are of 1 patient at least and seeds from 0 on, got {n} and {seed}")
        train = self.training_patients
        if n > len(train):
            raise InputError(
                f"{self.store.folder} has {len(train)} training patients and --labels asks for {n}; render more, or "
                "--labels all"
            )
        chosen = train[np.random.default_rng([seed, LABEL_STREAM]).permutation(len(train))[:n]]
        return np.flatnonzero((self.split == "train") & np.isin(self.patients, chosen))

    def views_at(self, yaw_deg: float) -> Iterator[NDArray[np.float32]]:
        """Line integrals (b, size, size) from one angle, some studies at a time.

        Raises:
            InputError: a study lacks the angle, or one picture is in two splits.
        """
        first: dict[bytes, int] = {}
        for start in progress(range(0, len(self.studies), BATCH), f"reading views at {yaw_deg:g} degrees"):
            views = []
            for i, study in enumerate(self.studies[start : start + BATCH], start):
                views.append(self.store.read_at(study, yaw_deg))
                other = first.setdefault(hashlib.sha256(views[-1].tobytes()).digest(), i)
                if self.split[other] != self.split[i]:
                    raise InputError(
                        f"{self.store.folder}: {self.studies[other]} ({self.split[other]}) and {study} "
                        f"({self.split[i]}) have the same view at {yaw_deg:g} degrees; take one out of the store"
                    )
            yield np.stack(views)

    @cached_property
    def digest(self) -> str:
        """Of everything that scores follow from: the store's geometry, who is in which split, the labels."""
        said = [str(self.store.geometry), self.studies, self.patients.tolist(), self.split.tolist(), self.tasks]
        columns = [self.truth.findings, *(c for c in (self.truth.time, self.truth.event) if c is not None)]
        columns += self.numbers.values()
        whole = json.dumps(said).encode() + b"".join(np.ascontiguousarray(c).tobytes() for c in columns)
        return hashlib.sha256(whole).hexdigest()

    def seen_in_training(self, patients: int, fingerprints: set[str]) -> int:
        """How many test patients a world model was trained on: virtual ones (seeds from 0), and real ones by name."""
        from ...training.patients import fingerprint

        rows = self.rows("test")
        seen = {self.patients[i] for i in rows if self.facts[i].get("seed", FIRST_TEST_SEED) < patients}
        return len(seen | {who for who in self.patients[rows] if fingerprint(who) in fingerprints})


def read_cohort(views: str | Path, tasks: Sequence[str] | None = TASKS, table: str | Path | None = None) -> Cohort:
    """The studies of a store with their labels, and their splits.

    Args:
        views: a view store; labels, seed, patient, split and evidence level may stand in its studies.
        tasks: findings, numbers and at most one event in time, see `columns_of`; None takes what the store has, and
            lists as left out what cannot be learned or judged.
        table: a CSV with a row a study (column study); its columns go before what the store says. Without a column
            split virtual patients have the cohort's own, others are dealt by a hash of the patient.

    Raises:
        InputError: a patient in two splits, studies of several evidence levels, a missing label column, or a task that
            is asked for and cannot be learned or judged.
        UsageError: two events in time.
    """
    store = ViewStore.open(views)
    names = store.studies()
    if not names:
        raise InputError(f"{store.folder} holds no studies; make them with `xray2xray render`")
    said = {} if table is None else {row["study"]: row for row in read_rows(table, ["study"])}
    there = set(names)
    if unknown := [study for study in said if study not in there]:
        raise InputError(
            f"{table}: {len(unknown)} studies are not in {store.folder}, first {unknown[0]}; take them out"
        )
    facts = [{**store.read_labels(study), **said.get(study, {})} for study in names]
    patients = [str(f.get("patient") or f.get("seed", group_of(f, s))) for s, f in zip(names, facts, strict=True)]
    split = [_split(fact, patient) for fact, patient in zip(facts, patients, strict=True)]
    source = str(table or store.folder)
    if odd := [i for i, part in enumerate(split) if part not in SPLITS]:
        raise InputError(f"{source}: {names[odd[0]]} is in split {split[odd[0]]!r}; say {', '.join(SPLITS)}")
    check_patients(dict(zip(names, split, strict=True)), dict(zip(names, patients, strict=True)))
    if len(levels := sorted({evidence_of(fact) for fact in facts})) > 1:
        raise InputError(f"{store.folder} holds {' and '.join(levels)} studies; render each kind to a store of its own")
    wanted = tasks_in(facts) if tasks is None else tuple(tasks)
    if len([task for task in wanted if is_time(task)]) > 1:
        raise UsageError("--tasks: one event in time a run")
    columns = {name: _column(name, facts, source) for task in wanted for name in columns_of(task)}
    left_out = {task: why for task in wanted if (why := _unfit(task, columns, np.array(split)))}
    if tasks is not None and left_out:
        task, why = next(iter(left_out.items()))
        raise InputError(f"{source}: {task} {why}; add patients, or leave the task out (--tasks)")
    kept = tuple(task for task in wanted if task not in left_out)
    if not kept:
        raise InputError(f"{source}: no task: {'; '.join(f'{task} {why}' for task, why in left_out.items()) or 'none'}")
    findings = {task: columns[task] for task in kept if not is_time(task) and _is_finding(columns[task])}
    numbers = {task: columns[task] for task in kept if not is_time(task) and task not in findings}
    followed = next((columns_of(task) for task in kept if is_time(task)), None)
    event, time = (None, None) if followed is None else (columns[name] for name in followed)
    truth = Endpoints((), np.zeros((len(names), 0)))
    if findings or followed:
        truth = Endpoints.of(findings, time, event, len(names))
    people, parts = np.array(patients), np.array(split)
    return Cohort(store, tuple(names), tuple(facts), people, parts, kept, truth, numbers, source, left_out)


def _split(fact: Mapping[str, Any], patient: str) -> str:
    if fact.get("split"):
        return str(fact["split"])
    return split_of(int(fact["seed"])) if "seed" in fact else deal(patient)


def _column(name: str, facts: Sequence[Mapping[str, Any]], source: str) -> NDArray[np.float64]:
    """(n,) numbers; null, blank, and what a study does not say are unknown."""
    if all(name not in fact for fact in facts):
        there = sorted(set().union(*facts))
        raise InputError(
            f"{source}: no label {name} (there are: {', '.join(there) or 'none'}); see --tasks and --table"
        )
    try:
        return np.array([float("nan" if fact.get(name) in (None, "") else fact[name]) for fact in facts])
    except (TypeError, ValueError):
        raise InputError(f"{source}: column {name} holds what is no number; use 0, 1, or nothing for unknown") from None


def _is_finding(column: NDArray[np.float64]) -> bool:
    return bool(np.isin(column[~np.isnan(column)], (0, 1, -1)).all())


def _unfit(task: str, columns: Mapping[str, NDArray[np.float64]], split: NDArray[np.str_]) -> str:
    """Why nothing can be learned or tested: one class only, or one value, among the training or the test patients."""
    of_task = [columns[name] for name in columns_of(task)]
    known = ~np.isnan(of_task).any(axis=0)
    for part in ("train", "test"):
        values = of_task[0][known & (split == part)]
        if is_time(task) or _is_finding(of_task[0]):
            counts = [int((values != 1).sum() if is_time(task) else (values == 0).sum()), int((values == 1).sum())]
            if min(counts) == 0:
                return f"knows one class only among the {part} patients ({counts[0]} without, {counts[1]} with)"
        elif len(np.unique(values)) < 3:
            return f"has fewer than three values among the {part} patients"
    return ""
