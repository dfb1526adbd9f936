"""The whole table: every method at every number of labels and every seed, each done once, then the statistics."""

import hashlib
import logging
import re
import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np

from ...commands.run_folder import CONFIG
from ...core.errors import InputError, UsageError
from ...io.files import write_npz
from ...io.model_folder import folder_of, read_config
from ...models.transitions.registry import forms
from ...training.patients import known_patients
from .ceiling import leaks, read_ceiling
from .cohort import Cohort, read_cohort
from .features import Bench
from .methods import METHODS, OURS, Budget, Lesson, Method, Scores, answer, method
from .report import write_downstream
from .rows import Primary, Test, table_rows
from .runnable import reasons, unlearnable, unstoppable

log = logging.getLogger(__name__)

NETWORK_BUDGET = Budget()
ENDED = ("steps", "best_step", "seconds", "converged")  # of `Training`
LABELS = (100, 500, 2000)
PRIVILEGED_NOTE = "Privileged methods know what no frontal, age and sex can: they are levels, not competitors."


def evaluate_downstream(
    views: str | Path,
    out: Path,
    *,
    methods: Sequence[str] = METHODS,
    labels: Sequence[int | Literal["all"]] | None = None,
    seeds: Sequence[int] = (0, 1, 2),
    primary: str | None = None,
    primary_seeds: Sequence[int] | None = None,
    network_seeds: Sequence[int] | None = None,
    ours: str = OURS,
    tasks: Sequence[str] | None = None,
    table: str | Path | None = None,
    ceiling: str | Path | None = None,
    encoders: Mapping[str, Path] | None = None,
    budget: Budget = NETWORK_BUDGET,
    source: str | Path = "tiny",
    form: str = "auto",
    device: str = "cpu",
) -> dict[str, Any]:
    """Compare what methods read from the same patients; see the verb's options for the arguments.

    What cannot run is printed with its reason before anything starts, and stands in the result as left out.

    Scores of a finished (method, labels, seed) lie in out/scores under a name that ends in a hash of all they follow
    from: they are taken up, whoever asks for them again, and never for something else.

    Returns:
        the content of downstream.json.

    Raises:
        InputError: as `read_cohort` and `read_ceiling`, too few labelled patients for any task, or ours cannot run.
        UsageError: unknown methods, a primary contrast that is not part of the run.
    """
    encoders = dict(encoders or {})
    known = {name: method(name, encoders) for name in dict.fromkeys([ours, *methods])}
    cohort = read_cohort(views, tasks, table)
    counts = _counts(labels, cohort)
    named = None
    if primary is not None:
        named = Primary.parse(primary, cohort.tasks, list(known), counts, ours, len(cohort.training_patients))
    levels = None if ceiling is None else read_ceiling(ceiling, cohort.tasks)
    budget.check()
    bench = Bench(cohort, source, out / "features", device, encoders, _form(source, form))
    left_out, plan, learned = _possible(known, bench, counts, seeds, named, ours, primary_seeds, network_seeds)
    for what, why in left_out.items():
        print(f"left out: {what}: {why}", flush=True)
    scores, trainings = {}, []
    for name, n, seed in plan:
        if name in left_out:
            continue
        try:
            scores[name, n, seed], ended = _scores(known[name], bench, n, seed, learned[n], budget, out)
            if ended is not None:
                trainings.append({"method": name, "n_labels": n, "seed": seed, **ended})
        except (InputError, UsageError) as error:
            if name == ours:
                raise
            left_out[name] = f"{n} labels, seed {seed}: {error}"
            log.warning("left out %s: %s", name, left_out[name])
    scores = {key: found for key, found in scores.items() if key[0] not in left_out}
    of_test = cohort.rows("test")
    patients = cohort.patients[of_test]
    several = len(np.unique(patients)) < len(patients)
    test = Test(
        cohort.tasks,
        cohort.truth.take(of_test),
        {task: column[of_test] for task, column in cohort.numbers.items()},
        patients,
    )
    trainings = [one for one in trainings if one["method"] not in left_out]
    unranked = {(one["method"], one["n_labels"]) for one in trainings if not one["converged"]}
    rows = table_rows(scores, test, ours, named, unranked)
    known = {name: one for name, one in known.items() if name not in left_out}
    result = {
        "evidence_level": cohort.evidence_level,
        "n_test": len(of_test),
        "test_patients": len(np.unique(patients)),
        "n_train": len(cohort.training_patients),
        "compared_by": "whole patients resampled" if several else "AUROC by DeLong, else patients resampled",
        "prepared": sorted({str(fact["preparation"]) for fact in cohort.facts if "preparation" in fact}),
        "left_out": left_out,
        "positives_test": _positives(cohort),
        "delta": "the method's value minus ours, on the seeds that both have: below zero, ours is ahead",
        "p": "of the main metric; the primary contrast's as it is, all others adjusted together (Holm)",
        "settings": {
            "ours": ours, "tasks": list(cohort.tasks), "numbers": list(cohort.numbers), "labels": counts,
            "seeds": list(seeds), "form": bench.form,
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


def _counts(labels: Sequence[int | Literal["all"]] | None, cohort: Cohort) -> list[int]:
    """Numbers of labelled patients, rising; by default 100, 500 and 2,000, as far as there are so many, else all."""
    most = len(cohort.training_patients)
    if labels is None:
        return sorted({min(n, most) for n in LABELS})
    found = sorted({most if n == "all" else int(n) for n in labels})
    cohort.labelled(max(found), 0)
    return found


def _form(source: str | Path, form: str) -> str:
    """The form of M that features are of, by name."""
    if form != "auto":
        return form
    config = read_config(folder_of(source))
    return next((known for known in forms() if known in config), forms()[0])


def _possible(
    methods: Mapping[str, Method],
    bench: Bench,
    counts: Sequence[int],
    seeds: Sequence[int],
    primary: Primary | None,
    ours: str,
    primary_seeds: Sequence[int] | None,
    network_seeds: Sequence[int] | None,
) -> tuple[dict[str, str], list[tuple[str, int, int]], dict[int, tuple[str, ...]]]:
    """What cannot run and why; the plan of what can; and the tasks that can be learned, by number of labels.

    Raises:
        InputError: ours, or the primary contrast, cannot run, or nothing can be learned.
    """
    cohort = bench.cohort
    left_out = {f"task {task}": why for task, why in cohort.left_out.items()}
    cannot = reasons(methods, bench)
    for needed in [ours, *([] if primary is None else [primary.method])]:
        if needed in cannot:
            raise InputError(f"{needed} cannot run: {cannot[needed]}")
    left_out |= cannot
    able = {name: one for name, one in methods.items() if name not in cannot}
    plan = _plan(able, counts, seeds, primary, ours, primary_seeds, network_seeds)
    learned = {}
    for n in counts:
        too_few = unlearnable(cohort, n, sorted({seed for _, count, seed in plan if count == n}))
        left_out |= {f"task {task} at {n} labels": why for task, why in too_few.items()}
        learned[n] = tuple(task for task in cohort.tasks if task not in too_few)
        networks = [name for name, one in able.items() if not one.reads_numbers]
        readable = tuple(task for task in learned[n] if task not in cohort.numbers)
        seeds_of = sorted({seed for name, count, seed in plan if count == n and name in networks})
        why = unstoppable(cohort, n, seeds_of, readable) if readable else "no finding and no event can be learned"
        if seeds_of and why:
            left_out[f"{', '.join(networks)} at {n} labels"] = why
            plan = [(name, count, seed) for name, count, seed in plan if count != n or name not in networks]
    if not any(learned.values()):
        raise InputError(f"{cohort.source}: too few labels: {'; '.join(left_out.values())}; raise --labels")
    if primary is not None and primary.task not in learned[primary.n_labels]:
        raise InputError(f"--primary: {primary.task} cannot be learned from {primary.n_labels} labels; see above")
    if cohort.numbers and (readers := [name for name, one in able.items() if not one.reads_numbers]):
        left_out[f"{', '.join(cohort.numbers)} of {', '.join(readers)}"] = "these learn findings and events only"
    return left_out, [one for one in plan if learned[one[1]]], learned


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
    one: Method, bench: Bench, n: int, seed: int, tasks: tuple[str, ...], budget: Budget, out: Path
) -> tuple[Scores, Mapping[str, Any] | None]:
    """The answers for the test patients, and of what is trained `ENDED`."""
    cohort = bench.cohort
    lesson = replace(Lesson.of(cohort, n, seed), tasks=tasks)
    if not one.reads_numbers:
        lesson = replace(lesson, tasks=tuple(task for task in tasks if task not in cohort.numbers))
    depends = [
        cohort.digest,
        one.name,
        n,
        seed,
        lesson.tasks,
        len(lesson.chosen),
        *(bench.fingerprint(name) for name in one.sets),
    ]
    if len(one.sets) > 1:
        depends += ["sets weigh alike"]
    depends += budget.named(one)
    digest = hashlib.sha256(repr(depends).encode()).hexdigest()[:12]
    stem = f"{re.sub(r'[^A-Za-z0-9.]+', '_', one.name)}-{n}-{seed}-{digest}"
    kept = out / "scores" / f"{stem}.npz"
    if kept.is_file():
        with np.load(kept, allow_pickle=False) as stored:
            ended = {key: stored[key].item() for key in ENDED} if one.trained else None
            return {task: stored[task] for task in lesson.tasks}, ended
    begun, run = time.perf_counter(), out / "networks" / stem
    try:
        found, training = answer(one, bench, lesson, seed, budget, run)
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
    return found if test.event is None else {**found, str(cohort.time_task): int((test.event == 1).sum())}


def _notes(bench: Bench, methods: Mapping[str, Method]) -> list[str]:
    notes = [PRIVILEGED_NOTE] if any(map(_privileged, methods.values())) else []
    if any(one.kind != "network" for one in methods.values()):
        trained_on = bench.model.config.notes.get("patients")
        virtual = trained_on if isinstance(trained_on, int) else 0
        seen = bench.cohort.seen_in_training(virtual, known_patients(folder_of(bench.source)))
        if seen:
            notes.append(
                f"{seen} of the test patients were among those that the world model was trained on (without their "
                "labels): no claim may rest on this table; train it by the table's split, or on seeds below 1,000,000."
            )
    return notes
