"""Work on many processes: spawned, never forked, because numba's threads do not survive a fork.

Processes, not threads: making a procedural patient is numpy and holds the interpreter.
"""

import signal
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from typing import TypeVar

from ..core.errors import InputError

T = TypeVar("T")
R = TypeVar("R")


def on_processes(work: Callable[[T], R], items: Sequence[T], workers: int) -> Iterator[tuple[T, R]]:
    """Items with the result of `work`, in the order in which they are done; with one worker, in this process.

    Args:
        work: a function of a module, or a `functools.partial` of one: it has to be pickled.

    Raises:
        InputError: a process was killed.
    """
    if workers <= 1 or len(items) <= 1:
        for item in items:
            yield item, work(item)
        return
    pool = ProcessPoolExecutor(min(workers, len(items)), mp_context=get_context("spawn"), initializer=_start_worker)
    try:
        futures = {pool.submit(work, item): item for item in items}
        for future in as_completed(futures):
            yield futures[future], future.result()
    except BrokenProcessPool:
        raise InputError(
            "a process was killed, perhaps for want of memory; run the same command again with fewer --workers"
        ) from None
    finally:  # also on Ctrl-C: what waits is dropped, what runs ends its item
        pool.shutdown(wait=True, cancel_futures=True)


def _start_worker() -> None:
    """One thread, as the processes share the cores already; and Ctrl-C is the parent's to handle, or the pool hangs."""
    from threadpoolctl import threadpool_limits

    threadpool_limits(1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
