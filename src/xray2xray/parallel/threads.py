"""Serial kernels that release the interpreter lock, on several threads (numba's own would break forked processes)."""

import os
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

Job = TypeVar("Job")


def workers(threads: int | None) -> int:
    """How many threads `threads` means; None is one for every core that this process may use."""
    if threads is not None:
        return max(1, threads)
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def on_threads(work: Callable[[Job], None], jobs: Iterable[Job], threads: int | None) -> None:
    """`work` on every job; raises what a job raised."""
    jobs = list(jobs)
    count = min(workers(threads), len(jobs))
    if count <= 1:
        for job in jobs:
            work(job)
        return
    with ThreadPoolExecutor(count) as pool:
        list(pool.map(work, jobs))
