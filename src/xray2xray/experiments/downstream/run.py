"""The whole table: every method at every number of labels and every seed, each done once, then the statistics."""

import hashlib
import logging
import re
import shutil
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ...commands.run_folder import CONFIG
from ...core.errors import InputError, UsageError
from ...io.files import write_npz
from .ceiling import leaks, read_ceiling
from .cohort import TASKS, Cohort, read_cohort
from .features import Bench
from .methods import METHODS, OURS, Budget, Method, Scores, answer, method
from .report import write_downstream
from .rows import Primary, table_rows

log = logging.getLogger(__name__)

NETWORK_BUDGET = Budget()
ENDED = ("steps", "best_step", "seconds", "converged")  # of `Training`
PRIVILEGED_NOTE = "Privileged methods know what no frontal, age and sex can: they are levels, not competitors."


def evaluate_downstream(
    views: str | Path,
    out: Path,
    *,
    methods: Sequence[str] = METHODS,
    labels: Sequence[int] = (100, 500, 2000),
    seeds: Sequence[int] = (0, 1, 2),
    primary: str | None = None,
    primary_seeds: Sequence[int] | None = None,
    network_seeds: Sequence[int] | None = None,
    ours: str = OURS,
    tasks: Sequence[str] = TASKS,
    table: str | Path | None = None,
    ceiling: str | Path | None = None,
    encoders: Mapping[str, Path] | None = None,
    budget: Budget = NETWORK_BUDGET,
    source: str | Path = "tiny",
    device: str = "cpu",
) -> dict[str, Any]:
    """Compare what methods read from the same patients; see the verb's options for the arguments.

    Scores of a finished (method, labels, seed) lie in out/scores under a name that ends in a hash of all they follow
    from: they are taken up, whoever asks for them again, and never for something else.

    Returns:
        the content of downstream.json.

    Raises:
        InputError: as `read_cohort` and `read_ceiling`, or too few labelled patients of a class.
        UsageError: unknown methods or tasks, a primary contrast that is not part of the run.
    """
    encoders = dict(encoders or {})
    if unknown := [task for task in tasks if task not in TASKS]:
        raise UsageError(f"--tasks {unknown[0]}: choose of {', '.join(TASKS)}")
    known = {name: method(name, encoders) for name in dict.fromkeys([ours, *methods])}
    named = None if primary is None else Primary.parse(primary, tasks, list(known), labels, ours)
    levels = None if ceiling is None else read_ceiling(ceiling, tasks)
    cohort = read_cohort(views, tasks, table)
    cohort.labelled(max(labels), 0)
    budget.check()
    bench = Bench(cohort, source, out / "features", device, encoders)
    scores, trainings = {}, []
    for name, n, seed in _plan(known, labels, seeds, named, ours, primary_seeds, network_seeds):
        scores[name, n, seed], ended = _scores(known[name], bench, n, seed, budget, out)
        if ended is not None:
            trainings.append({"method": name, "n_labels": n, "seed": seed, **ended})
    test = cohort.truth.take(cohort.rows("test"))
    unranked = {(one["method"], one["n_labels"]) for one in trainings if not one["converged"]}
    rows = table_rows(scores, test, ours, named, unranked)
    result = {
        "evidence_level": cohort.evidence_level,
        "n_test": len(cohort.rows("test")),
        "n_train": len(cohort.rows("train")),
        "positives_test": _positives(cohort),
        "delta": "the method's value minus ours, on the seeds that both have: below zero, ours is ahead",
        "p": "of the main metric; the primary contrast's as it is, all others adjusted together (Holm)",
        "settings": {
            "ours": ours, "tasks": list(tasks), "labels": sorted(labels), "seeds": list(seeds),
            "network_seeds": list(network_seeds or seeds), "primary": primary,
            "source": str(source), "network_size": budget.size, "network_seconds": budget.seconds,
            "weights": {name: str(path) for name, path in budget.weights.items()},
        },
        "methods": {
            name: {"about": one.about, "frontal_only": one.frontal_only, "privileged": _privileged(one)}
            for name, one in known.items()
        },
        "rows": rows,
        "trainings": trainings,
        "ceiling": None if levels is None else levels.readers,
        "leaks": [] if levels is None else leaks(rows, known, levels),
        "notes": _notes(bench, known),
    }  # fmt: skip
    write_downstream(out, result)
    return result


def check_primary(out: Path, primary: str | None) -> None:
    """Raise UsageError where the run to be resumed was begun with another primary contrast, or none."""
    import yaml

    path = out / CONFIG
    if not path.is_file():
        raise UsageError(f"{out} holds no run to resume; leave --resume out")
    before = (yaml.safe_load(path.read_text(encoding="utf-8")) or {}).get("primary")
    if before != primary:
        raise UsageError(
            f"{path} names the primary contrast {before or '(none)'}, not {primary or '(none)'}; it is named before "
            "a run, so another one needs another --out"
        )


def _plan(
    methods: Mapping[str, Method],
    labels: Sequence[int],
    seeds: Sequence[int],
    primary: Primary | None,
    ours: str,
    primary_seeds: Sequence[int] | None,
    network_seeds: Sequence[int] | None,
) -> list[tuple[str, int, int]]:
    """What is to be done: probes before what is trained, and the further seeds of the primary contrast."""
    seeds_of = {name: network_seeds or seeds if one.trained else seeds for name, one in methods.items()}
    plan = [(name, n, seed) for name in methods for n in sorted(labels) for seed in seeds_of[name]]
    if primary is not None:
        plan += [(name, primary.n_labels, seed) for name in (ours, primary.method) for seed in primary_seeds or ()]
    return sorted(dict.fromkeys(plan), key=lambda one: methods[one[0]].trained)


def _scores(
    one: Method, bench: Bench, n: int, seed: int, budget: Budget, out: Path
) -> tuple[Scores, Mapping[str, Any] | None]:
    """The answers for the test patients, and of what is trained `ENDED`."""
    cohort = bench.cohort
    depends = [cohort.digest, one.name, n, seed, *(bench.fingerprint(name) for name in one.sets)]
    if len(one.sets) > 1:
        depends += ["sets weigh alike"]
    depends += budget.named(one)
    digest = hashlib.sha256(repr(depends).encode()).hexdigest()[:12]
    stem = f"{re.sub(r'[^A-Za-z0-9.]+', '_', one.name)}-{n}-{seed}-{digest}"
    kept = out / "scores" / f"{stem}.npz"
    if kept.is_file():
        with np.load(kept, allow_pickle=False) as stored:
            ended = {key: stored[key].item() for key in ENDED} if one.trained else None
            return {task: stored[task] for task in cohort.tasks}, ended
    begun, run = time.perf_counter(), out / "networks" / stem
    try:
        found, training = answer(one, bench, cohort.labelled(n, seed), seed, budget, run)
    except InputError as error:
        raise InputError(f"{one.name} at {n} labels, seed {seed}: {error}") from None
    seconds = time.perf_counter() - begun
    ended = None if training is None else {key: getattr(training, key) for key in ENDED} | {"seconds": seconds}
    write_npz(kept, {**found, **{key: np.array(value) for key, value in (ended or {"seconds": seconds}).items()}})
    shutil.rmtree(run, ignore_errors=True)  # the checkpoint of a network that is done
    log.info("%s, %d labels, seed %d: %.0f s", one.name, n, seed, seconds)
    return found, ended


def _privileged(one: Method) -> bool:
    return not one.frontal_only and one.name != "age_sex"


def _positives(cohort: Cohort) -> dict[str, int]:
    test = cohort.truth.take(cohort.rows("test"))
    found = {name: int((column == 1).sum()) for name, column in zip(test.names, test.findings.T)}
    return found if test.event is None else {**found, "cvd_time": int((test.event == 1).sum())}


def _notes(bench: Bench, methods: Mapping[str, Method]) -> list[str]:
    notes = [PRIVILEGED_NOTE] if any(map(_privileged, methods.values())) else []
    if any(one.kind != "network" for one in methods.values()):
        trained_on = bench.model.config.notes.get("patients")
        seen = bench.cohort.seen_in_training(trained_on) if isinstance(trained_on, int) else 0
        if seen:
            notes.append(
                f"{seen} of the test patients were among the {trained_on} that the world model was trained on (without "
                "their labels): no claim may rest on this table; test on seeds from 1,000,000."
            )
    return notes
