"""The progress of a training run: metrics.jsonl, and a line of the log."""

import json
import logging
import math
import os
import time
from pathlib import Path
from typing import Any

from ..io.files import write_text

logger = logging.getLogger(__name__)


class Journal:
    """metrics.jsonl and lines of the log: averages since the last line, speed, time left.

    `pending` holds the sum and the count of each figure since that line.
    """

    def __init__(self, path: Path, stage: str, steps: int) -> None:
        self.path, self.stage, self.steps = path, stage, steps
        self.pending: dict[str, tuple[float, int]] = {}

    def begin(self, start: int) -> None:
        """Forget what an interrupted run logged after its last checkpoint; a fresh run starts an empty journal."""
        self._last_step, self._last_time = start, time.monotonic()
        lines = self.path.read_text(encoding="utf-8").splitlines() if start and self.path.exists() else []
        write_text(self.path, "".join(line + "\n" for line in lines if _step_of(line) <= start))

    def add(self, figures: dict[str, Any]) -> None:
        for name, value in figures.items():
            total, count = self.pending.get(name, (0.0, 0))
            self.pending[name] = total + float(value), count + 1

    def write(self, step: int, rate: float, batch: int) -> dict[str, float]:
        """Log the averages of the steps since the last call, and return them."""
        figures = {name: total / count for name, (total, count) in self.pending.items()}
        self.pending = {}
        now = time.monotonic()
        seconds = max(1e-9, now - self._last_time) / max(1, step - self._last_step)
        self._last_step, self._last_time = step, now
        self._append({"stage": self.stage, "step": step, "rate": rate, "s_per_step": seconds, **figures})
        shown = "  ".join(f"{name} {value:.4g}" for name, value in figures.items())
        left = seconds * (self.steps - step) / 60
        speed = batch / seconds
        logger.info("%s %d/%d  %s  %.0f/s  at most %.1f min left", self.stage, step, self.steps, shown, speed, left)
        return figures

    def note(self, step: int, figures: dict[str, float]) -> None:
        """Log figures that belong to one moment, such as those of validation."""
        if figures:
            self._append({"stage": self.stage, "step": step, **figures})
            shown = "  ".join(f"{name} {value:.4g}" for name, value in figures.items())
            logger.info("%s %d/%d  %s", self.stage, step, self.steps, shown)
        self._last_time = time.monotonic()

    def _append(self, line: dict[str, Any]) -> None:
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + os.linesep)


def _step_of(line: str) -> float:
    """The step of a line of metrics.jsonl; infinite for the torn last line of a machine that went down."""
    try:
        return float(json.loads(line)["step"])
    except (ValueError, KeyError, TypeError):
        return math.inf
