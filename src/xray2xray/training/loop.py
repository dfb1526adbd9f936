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

from ..core.errors import InputError, reading
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
            if objective.settled:
                break
            journal.add(steps(step))
            done = step + 1
            if done % config.log_every == 0 or done == end:
                objective.watch(done, journal.write(done, learning_rate(config, step), config.batch))
            due = done % config.check_every == 0 or done == end
            if due:
                _look(objective, done, journal, out)
            if told or done == end or objective.settled or (due and time.monotonic() - saved_at >= config.save_after_s):
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
    path = out / CHECKPOINT
    state = load_checkpoint(path)
    with reading(path, "does not fit this model", "train again without --resume"):
        saved, wanted = json.loads(state["configuration"]), json.loads(json.dumps(configuration))
        if saved != wanted:
            different = sorted(key for key in saved.keys() | wanted.keys() if saved.get(key) != wanted.get(key))
            raise InputError(f"{path} is of another recipe ({', '.join(different)} differ); train to another --out")
        objective.load_state_dict(state["objective"])
        for part, optimizer in optimizers.items():
            _load_optimizer(optimizer, state["optimizers"][part])
        sums = state.get("journal", {})  # checkpoints of earlier versions have none
        journal.pending = {str(name): (float(total), int(count)) for name, (total, count) in sums.items()}
        step = int(state["step"])
        if not 0 <= step <= wanted["steps"]:
            raise ValueError(f"it is of step {step} of {wanted['steps']}")
        return step


def _load_optimizer(optimizer: torch.optim.Optimizer, state: dict[str, Any]) -> None:
    """Restore moments; what torch takes without a look, and would fail on in the first step, raises ValueError here."""
    wanted = [{key: type(value) for key, value in group.items()} for group in optimizer.state_dict()["param_groups"]]
    given = [{key: type(value) for key, value in group.items()} for group in state["param_groups"]]
    if given != wanted:
        raise ValueError("other settings of the optimizer")
    optimizer.load_state_dict(state)
    for parameter, moments in optimizer.state.items():
        for name, value in moments.items():
            if not torch.is_tensor(value) or value.shape not in ((), parameter.shape):
                raise ValueError(f"{name} does not fit its parameter")
