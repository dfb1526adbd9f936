"""The one training loop. Every stage brings its `Objective`; everything else is here and beside it.

Steps, metrics, pictures, checkpoints, monitors; an interrupted run goes on exactly where it was.
"""

import json
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from PIL import Image

from ..core.errors import InputError
from ..io.files import atomic_path
from .checkpoint import CHECKPOINT, load_checkpoint, save_checkpoint
from .journal import Journal
from .objective import Objective, TrainingStopped
from .steps import LoopConfig, Machine, Steps, learning_rate


def fit(
    objective: Objective,
    config: LoopConfig,
    machine: Machine,
    out: Path,
    resume: bool = False,
    stop_at: int | None = None,
) -> None:
    """Train `objective` in place, writing metrics.jsonl, pictures and checkpoint.pt to `out`.

    Args:
        resume: go on from out/checkpoint.pt; the result is the same, number for number, as without the interruption.
        stop_at: leave early after this many steps, as an interruption would (the schedule is still that of all steps).

    Raises:
        InputError: the checkpoint is truncated, or belongs to another recipe.
        TrainingStopped: the monitors saw a collapse, or SIGTERM came and all is saved.
    """
    out.mkdir(parents=True, exist_ok=True)
    steps = Steps(objective, config, machine)
    configuration = objective.configuration() | {"steps": config.steps, "batch": config.batch, "seed": machine.seed}
    journal = Journal(out / "metrics.jsonl", objective.stage, config.steps)
    saved_at = time.monotonic()
    start = _restore(objective, steps.optimizers, journal, configuration, out) if resume else 0
    journal.begin(start)

    end = min(config.steps, stop_at or config.steps)
    with told_to_stop() as told:
        for step in range(start, end):
            journal.add(steps(step))
            done = step + 1
            if done % config.log_every == 0 or done == end:
                objective.watch(done, journal.write(done, learning_rate(config, step), config.batch))
            due = done % config.check_every == 0 or done == end
            if due:
                _look(objective, done, journal, out)
            if told or done == end or (due and time.monotonic() - saved_at >= config.save_after_s):
                _save(objective, steps.optimizers, journal, configuration, done, out)
                saved_at = time.monotonic()
            if told:
                raise TrainingStopped(
                    f"{objective.stage}: asked to stop ({told[0]}) at step {done} of {config.steps}; all is saved in"
                    f" {out / CHECKPOINT}, and --resume goes on from there"
                )


@contextmanager
def told_to_stop() -> Iterator[list[str]]:
    """A list that is empty until the process gets SIGTERM, as clusters send it some seconds before they kill.

    Only the main thread can listen; elsewhere the list stays empty, and SIGTERM does what it did.
    """
    told: list[str] = []
    if threading.current_thread() is not threading.main_thread():
        yield told
        return
    before = signal.signal(signal.SIGTERM, lambda number, frame: told.append(signal.Signals(number).name))
    try:
        yield told
    finally:
        signal.signal(signal.SIGTERM, before)


def _look(objective: Objective, step: int, journal: Journal, out: Path) -> None:
    """Look at held-out patients, and draw them."""
    objective.eval()
    with torch.no_grad():
        figures = objective.validate()
        picture = objective.picture()
    objective.train()
    journal.note(step, {f"validation_{name}": value for name, value in figures.items()})
    if picture is not None:
        (out / "pictures").mkdir(exist_ok=True)
        with atomic_path(out / "pictures" / f"{step:07d}.png") as temporary:
            Image.fromarray(picture).save(temporary)


def _save(
    objective: Objective,
    optimizers: dict[str, torch.optim.AdamW],
    journal: Journal,
    configuration: dict[str, Any],
    step: int,
    out: Path,
) -> None:
    state = {
        "step": step,
        "objective": objective.state_dict(),
        "optimizers": {part: optimizer.state_dict() for part, optimizer in optimizers.items()},
        "journal": journal.pending,
        "configuration": json.dumps(configuration, sort_keys=True),
    }
    save_checkpoint(out / CHECKPOINT, state)


def _restore(
    objective: Objective,
    optimizers: dict[str, torch.optim.AdamW],
    journal: Journal,
    configuration: dict[str, Any],
    out: Path,
) -> int:
    state = load_checkpoint(out / CHECKPOINT)
    saved, wanted = json.loads(state["configuration"]), json.loads(json.dumps(configuration))
    if saved != wanted:
        different = sorted(key for key in saved.keys() | wanted.keys() if saved.get(key) != wanted.get(key))
        raise InputError(
            f"{out / CHECKPOINT} is of another recipe ({', '.join(different)} differ); train to another --out"
        )
    try:
        objective.load_state_dict(state["objective"])
        for part, optimizer in optimizers.items():
            optimizer.load_state_dict(state["optimizers"][part])
    except (RuntimeError, KeyError, ValueError):
        raise InputError(f"{out / CHECKPOINT} does not fit this model; train again without --resume") from None
    journal.pending = state.get("journal", {})  # checkpoints of earlier versions have none
    return int(state["step"])
