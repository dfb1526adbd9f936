"""Seconds into steps: equal time for all, but a schedule needs its end, and a resumed run must be the same run."""

import contextlib
import io
import json
import time as clock
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

from ..files import write_json
from .loop import LoopConfig, Machine, fit
from .objective import Objective

PLAN = "plan.json"  # beside the checkpoint: how many steps the seconds have bought
TRIAL = 5  # steps that are timed


def planned_steps(
    seconds: float,
    checks: int,
    objective: Callable[[], Objective],
    loop: Callable[[int], LoopConfig],
    machine: Machine,
    out: Path,
    resume: bool,
) -> int:
    """Steps that `seconds` buy on this machine, or bought where the run in `out` began, if it is resumed.

    Args:
        checks: looks at the held-out pictures that the seconds also pay for; at least as many steps are taken.
        objective: makes a new one, for the trial and for the training alike.
        loop: the recipe for so many steps.
    """
    if resume and (out / PLAN).is_file():
        return int(json.loads((out / PLAN).read_text(encoding="utf-8"))["steps"])
    taken = []
    with TemporaryDirectory() as folder, contextlib.redirect_stderr(io.StringIO()):
        for steps in (1, 1, 1 + TRIAL):  # the first warms up
            begun = clock.perf_counter()
            fit(objective(), replace(loop(steps), check_every=steps), machine, Path(folder))
            taken.append(clock.perf_counter() - begun)
    step_s = max((taken[2] - taken[1]) / TRIAL, 1e-4)
    steps = max(checks, int((seconds - checks * taken[1]) / step_s))
    write_json(out / PLAN, {"seconds": seconds, "steps": steps})
    return steps
