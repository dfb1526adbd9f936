"""Whom a downstream evaluation is about: the studies of a view store with their labels, dealt to three splits."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...core.errors import InputError, UsageError
from ...core.evidence import FROM_CT, VIRTUAL
from ...core.seeds import FIRST_TEST_SEED, deal, split_of
from ...data.cohorts.rows import read_rows
from ...data.groups import check_patients, group_of
from ...data.store import ViewStore
from ...parallel.progress import progress
from ...probing.endpoints import Endpoints

FINDINGS = ("atelectasis", "cardiomegaly", "consolidation", "edema", "pleural_effusion", "cvd_prevalent")
TIME_TASK, TIME_COLUMNS = "cvd_time", ("event", "time_years")
TASKS = (*FINDINGS, TIME_TASK)
SPLITS = ("train", "validation", "test")
LABEL_STREAM = 1  # of the random numbers that choose whose labels are given
Rows = NDArray[np.intp]


@dataclass(frozen=True, eq=False)
class Cohort:
    """One study for each of n patients.

    Attributes:
        studies: (n,) names in the store.
        facts: (n,) what the store and the table say of each: labels, and whatever else, such as seed, age, sex.
        split: (n,) of `SPLITS`.
        truth: the tasks' labels; cvd_time is its event in time.
        source: the file that labels come from, for messages.
    """

    store: ViewStore
    studies: tuple[str, ...]
    facts: tuple[Mapping[str, Any], ...]
    split: NDArray[np.str_]
    tasks: tuple[str, ...]
    truth: Endpoints
    source: str

    @property
    def evidence_level(self) -> str:
        """A patient that is made by a seed is a virtual patient."""
        return VIRTUAL if all("seed" in fact for fact in self.facts) else FROM_CT

    @property
    def findings(self) -> tuple[str, ...]:
        return self.truth.names

    def rows(self, split: str) -> Rows:
        return np.flatnonzero(self.split == split)

    def labelled(self, n: int, seed: int) -> Rows:
        """The n training patients whose labels are given; of one seed those of fewer labels are among them.

        Raises:
            InputError: there are fewer.
            UsageError: less than one, or a negative seed.
        """
        if n < 1 or seed < 0:
            raise UsageError(f"labels are of 1 patient at least and seeds from 0 on, got {n} and {seed}")
        train = self.rows("train")
        if n > len(train):
            raise InputError(
                f"{self.store.folder} has {len(train)} training patients and --labels asks for {n}; render more"
            )
        return np.sort(np.random.default_rng([seed, LABEL_STREAM]).permutation(train)[:n])

    def views_at(self, yaw_deg: float) -> NDArray[np.float32]:
        """Line integrals (n, size, size) from one angle.

        Raises:
            InputError: a study lacks the angle, or one picture is in two splits.
        """
        first: dict[bytes, int] = {}
        views = np.empty((len(self.studies), *[self.store.geometry.size] * 2), np.float32)
        for i, study in enumerate(progress(self.studies, f"reading views at {yaw_deg:g} degrees")):
            views[i] = self.store.read_at(study, yaw_deg)
            other = first.setdefault(hashlib.sha256(views[i].tobytes()).digest(), i)
            if self.split[other] != self.split[i]:
                raise InputError(
                    f"{self.store.folder}: {self.studies[other]} ({self.split[other]}) and {study} ({self.split[i]}) "
                    f"have the same view at {yaw_deg:g} degrees; take one of them out of the store"
                )
        return views

    @cached_property
    def digest(self) -> str:
        """Of everything that scores follow from: the store's geometry, who is in which split, the labels."""
        said = [str(self.store.geometry), self.studies, self.split.tolist(), self.tasks]
        columns = [self.truth.findings, *(c for c in (self.truth.time, self.truth.event) if c is not None)]
        whole = json.dumps(said).encode() + b"".join(np.ascontiguousarray(c).tobytes() for c in columns)
        return hashlib.sha256(whole).hexdigest()

    def seen_in_training(self, patients: int) -> int:
        """How many test patients are among the virtual ones (seeds from 0) that a world model was trained on."""
        seeds = [self.facts[i].get("seed", FIRST_TEST_SEED) for i in self.rows("test")]
        return sum(seed < patients for seed in seeds)


def read_cohort(views: str | Path, tasks: Sequence[str] = TASKS, table: str | Path | None = None) -> Cohort:
    """The studies of a store with their labels, and their splits.

    Args:
        views: a view store; labels, seed, patient and split may stand in its studies.
        tasks: of `TASKS`.
        table: a CSV with a row a study (column study); its columns go before what the store says. Without a column
            split virtual patients have the cohort's own, others are dealt by a hash of the patient.

    Raises:
        InputError: a patient in two splits, labels that are missing for studies, a missing label column, one class
            only among the training or the test patients.
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
    facts = {study: {**store.read_labels(study), **said.get(study, {})} for study in names}
    patient = {
        study: str(fact.get("patient") or fact.get("seed", group_of(fact, study))) for study, fact in facts.items()
    }
    split = {study: _split(fact, patient[study]) for study, fact in facts.items()}
    if odd := [study for study in names if split[study] not in SPLITS]:
        raise InputError(f"{table or store.folder}: {odd[0]} is in split {split[odd[0]]!r}; say {', '.join(SPLITS)}")
    check_patients(split, patient)
    ones = tuple({patient[study]: study for study in reversed(names)}.values())[::-1]  # the first study of each
    source = str(table or store.folder)
    columns = {c: _column(c, ones, facts, store, source) for task in tasks for c in _columns(task)}
    findings = {task: columns[task] for task in tasks if task != TIME_TASK}
    time, event = (columns[c] if TIME_TASK in tasks else None for c in TIME_COLUMNS[::-1])
    truth = Endpoints.of(findings, time, event, len(ones))
    splits = np.array([split[study] for study in ones])
    cohort = Cohort(store, ones, tuple(facts[s] for s in ones), splits, tuple(tasks), truth, source)
    _check_classes(cohort)
    return cohort


def _columns(task: str) -> tuple[str, ...]:
    return TIME_COLUMNS if task == TIME_TASK else (task,)


def _split(fact: Mapping[str, Any], patient: str) -> str:
    if fact.get("split"):
        return str(fact["split"])
    return split_of(int(fact["seed"])) if "seed" in fact else deal(patient)


def _column(
    name: str, studies: Sequence[str], facts: Mapping[str, Mapping[str, Any]], store: ViewStore, source: str
) -> NDArray[np.float64]:
    """(n,) numbers; null and blank are unknown."""
    without = [study for study in studies if name not in facts[study]]
    if len(without) == len(studies):
        there = sorted(set().union(*(facts[study] for study in studies)))
        raise InputError(
            f"{source}: no label {name} (there are: {', '.join(there) or 'none'}); see --tasks and --table"
        )
    if without:
        raise InputError(
            f"{store.path(without[0])}: no label {name}, as in {len(without)} of {len(studies)} studies; render them "
            "again, take them out of the store, or give the labels in --table"
        )
    try:
        return np.array([float("nan" if facts[s][name] in (None, "") else facts[s][name]) for s in studies])
    except (TypeError, ValueError):
        raise InputError(f"{source}: column {name} holds what is no number; use 0, 1, or nothing for unknown") from None


def _check_classes(cohort: Cohort) -> None:
    """Nothing can be learned or tested of one class only."""
    for part in ("train", "test"):
        some = cohort.truth.take(cohort.rows(part))
        columns = dict(zip(some.names, some.findings.T))
        if some.event is not None:
            columns["event"] = np.where(np.isnan(some.event), np.nan, some.event == 1)
        for name, column in columns.items():
            counts = [int((column == value).sum()) for value in (0, 1)]
            if min(counts) == 0:
                raise InputError(
                    f"{cohort.source}: column {name} knows one class only among the {part} patients ({counts[0]} "
                    f"without, {counts[1]} with); add patients, or leave the task out (--tasks)"
                )
