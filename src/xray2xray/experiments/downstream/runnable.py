"""What a run cannot do, and why, found before anything starts: a table that breaks off after hours is no table."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from ...core.errors import InputError, UsageError
from ...probing.number import FEWEST as FEWEST_NUMBERS
from ...probing.probe import FEWEST
from ...probing.survival import MINIMUM
from ..supervised.finetuning import VISION, VOLUMETRIC
from .cohort import Cohort
from .features import LATERAL_DEG, TABLE, Bench, feature_set, features_in, format_of, open_encoder
from .methods import FINETUNED, Lesson, Method, stopped
from .tasks import is_time


def reasons(methods: Mapping[str, Method], bench: Bench) -> dict[str, str]:
    """Method -> why it cannot run on this cohort, of those that cannot."""
    found = {}
    for name, one in methods.items():
        try:
            _try(one, bench)
        except (InputError, UsageError) as error:
            found[name] = str(error)
    return found


def unlearnable(cohort: Cohort, n: int, seeds: Sequence[int]) -> dict[str, str]:
    """Task -> why the labels of n patients are too few for it, with one of these seeds."""
    found: dict[str, str] = {}
    for seed in seeds:
        rows = Lesson.of(cohort, n, seed).rows
        for task in cohort.tasks:
            if why := _too_few(cohort, task, rows):
                found.setdefault(task, f"{why} with seed {seed}")
    return found


def unstoppable(cohort: Cohort, n: int, seeds: Sequence[int], tasks: tuple[str, ...]) -> str:
    """Why a network could not be stopped with the labels of n patients, with one of these seeds."""
    try:
        for seed in seeds:
            stopped(cohort, replace(Lesson.of(cohort, n, seed), tasks=tasks), seed)
    except InputError as error:
        return str(error)
    return ""


def _too_few(cohort: Cohort, task: str, rows: np.ndarray) -> str:
    truth = cohort.truth
    if task in cohort.numbers:
        known = rows[~np.isnan(cohort.numbers[task][rows])]
        patients = len(np.unique(cohort.patients[known]))
        return f"{patients} patients have a number, {FEWEST_NUMBERS} are needed" if patients < FEWEST_NUMBERS else ""
    if is_time(task):
        assert truth.event is not None
        had = len(np.unique(cohort.patients[rows[truth.event[rows] == 1]]))
        return f"{had} patients have the event, {MINIMUM} are needed" if had < MINIMUM else ""
    column = truth.findings[rows, truth.names.index(task)]
    counts = [len(np.unique(cohort.patients[rows[column == value]])) for value in (1, 0)]
    if min(counts) < FEWEST:
        return f"{counts[0]} patients have it and {counts[1]} do not, {FEWEST} of each are needed"
    return ""


def _try(one: Method, bench: Bench) -> None:
    """Raises InputError or UsageError for what this method could not read."""
    cohort = bench.cohort
    if not one.reads_numbers and not (cohort.findings or cohort.time_task):
        raise UsageError("it learns findings and events only, and all tasks are numbers")
    if one.kind == FINETUNED and one.sets[0] in (VISION, VOLUMETRIC) and bench.form != "direct":
        from ...models.world_model import WorldModel

        WorldModel.from_pretrained(bench.source, "direct")  # the form that has a gradient
    for name in one.sets:
        if name not in bench.encoders:
            _try_set(name, bench)
        elif format_of(bench.encoders[name]) == TABLE:
            if one.kind != "linear":
                raise UsageError("a table of features is read by a linear probe only")
            features_in(bench.encoders[name], cohort.studies)
        else:
            open_encoder(bench.encoders[name], bench.device).features(_one_view(bench))


def _try_set(name: str, bench: Bench) -> None:
    kind, depth = feature_set(name), name.partition("@")[2]
    if not kind.picture:
        bench.features(name)  # made of tables alone, and kept
    elif name == "lateral":
        lacking = [study for study in bench.cohort.studies if not bench.cohort.store.has_view(study, LATERAL_DEG)]
        if lacking:
            said = f"{len(lacking)} studies have no lateral, first {lacking[0]}"
            raise InputError(f"{bench.cohort.store.folder}: {said}; leave the method out")
    if kind.model in ("vision", "hidden", "volumetric"):
        wanted = "vision" if name == "lateral" else kind.model
        bench.model.features(_one_view(bench), wanted, depth=int(depth) if depth else None)
    elif kind.model:
        bench.features("factors")


def _one_view(bench: Bench) -> np.ndarray:
    return bench.cohort.store.read_at(bench.cohort.studies[0], 0.0)[None]
