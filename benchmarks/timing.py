"""Timing on a machine that others use too."""

import time
from collections.abc import Callable

import numpy as np
import torch


def taking_turns(runs: dict[str, Callable[[], object]], rounds: int, device: str = "cpu") -> dict[str, float]:
    """Median seconds of each run over rounds in which they take turns; the first round is not counted.

    With one thread these are seconds of the processor, so that waiting for a shared core does not count; else of the
    clock.
    """
    waits = device != "cpu"
    now = time.process_time if torch.get_num_threads() == 1 and not waits else time.perf_counter
    times: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(rounds + 1):
        for name, run in runs.items():
            started = now()
            run()
            if waits:
                torch.cuda.synchronize()
            times[name].append(now() - started)
    return {name: float(np.median(spent[1:])) for name, spent in times.items()}
