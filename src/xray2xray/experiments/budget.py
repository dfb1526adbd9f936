"""Seconds into steps: equal time for all, but a schedule needs its end, and a resumed run must be the same run."""

import contextlib
import io
import json
import time as clock
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from ..io.files import write_json
from ..training.loop import fit
from ..training.objective import Objective
from ..training.steps import LoopConfig, Machine, Steps

PLAN = "plan.json"  # beside the checkpoint: what the seconds have bought
TRIAL, TRIAL_S = 5, 0.5  # at least so many steps are timed, and for so many seconds: a GPU's are short
LONG = 1_000_000  # steps of the recipe of which the trial takes the first
LOOKS, LEAST = 0.2, 4  # share of the seconds that looks may take, if there are more than so many


@dataclass(frozen=True)
class Plan:
    """`steps` of training, and after how many of them the held-out pictures are looked at."""

    steps: int
    check_every: int


def evenly(steps: int, checks: int) -> Plan:
    """So many looks, spread over the steps."""
    return Plan(steps, max(1, steps // checks))


def plan(
    seconds: float,
    checks: int,
    objective: Callable[[], Objective],
    loop: Callable[[Plan], LoopConfig],
    machine: Machine,
    out: Path,
    resume: bool,
) -> Plan:
    """What `seconds` buy on this machine, or bought where the run in `out` began, if it is resumed.

    Args:
        checks: looks at the held-out pictures that the seconds also pay for, fewer where they would take more than a
            fifth of them; at least as many steps are taken.
        objective: makes a new one, for the trial and for the training alike.
        loop: the recipe for a plan.
    """
    if resume and (out / PLAN).is_file():
        said = json.loads((out / PLAN).read_text(encoding="utf-8"))
        return Plan(said["steps"], said["check_every"])
    look_s = 0.0
    with TemporaryDirectory() as folder, contextlib.redirect_stderr(io.StringIO()):
        for _ in range(2):  # the first warms up
            untrained, begun = objective(), clock.perf_counter()
            fit(untrained, loop(Plan(1, 1)), machine, Path(folder))
            look_s = clock.perf_counter() - begun
    step_s = _seconds_of_a_step(Steps(objective(), loop(Plan(LONG, LONG)), machine))
    checks = max(min(checks, LEAST), min(checks, int(LOOKS * seconds / look_s)))
    steps = max(checks, int((seconds - checks * look_s) / step_s))
    bought = evenly(steps, checks)
    write_json(out / PLAN, {"seconds": seconds, **asdict(bought)})
    return bought


def _seconds_of_a_step(steps: Callable[[int], Mapping[str, Any]]) -> float:
    """The mean of many, timed by themselves: beside a look and a checkpoint a GPU's steps would drown in the noise."""
    _take(steps, 0)  # makes the optimizer's memory
    begun, done, taken = clock.perf_counter(), 0, 0.0
    while done < TRIAL or taken < TRIAL_S:
        done += 1
        _take(steps, done)
        taken = clock.perf_counter() - begun
    return taken / done


def _take(steps: Callable[[int], Mapping[str, Any]], step: int) -> None:
    """One step, and its figures read as the journal reads them: a GPU returns before it is done with them."""
    for figure in steps(step).values():
        float(figure)
