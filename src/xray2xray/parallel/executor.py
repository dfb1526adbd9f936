"""Many independent items: one after the other in this process, or on several processes, behind one interface.

Processes, not threads: making a procedural patient is numpy and holds the interpreter. Spawned, never forked: numba's
threads do not survive a fork.
"""

import os
import signal
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from multiprocessing import get_context
from typing import Protocol, TypeVar

from ..core.errors import InputError
from ..core.log import PACKAGE, to_stderr

T = TypeVar("T")
R = TypeVar("R")


class Executor(Protocol):
    """Where the work is done."""

    def map(self, work: Callable[[T], R], items: Sequence[T]) -> Iterator[R]:
        """The result of `work` for each item, in the order of the items; raises what `work` raises."""


@dataclass(frozen=True)
class InProcess:
    """One item after the other, here."""

    def map(self, work: Callable[[T], R], items: Sequence[T]) -> Iterator[R]:
        return map(work, items)


@dataclass(frozen=True)
class Processes:
    """Several items at once, each in a process of its own; `work` is a module's function or a partial of one."""

    workers: int

    def map(self, work: Callable[[T], R], items: Sequence[T]) -> Iterator[R]:
        """As `Executor.map`.

        Raises:
            InputError: a process was killed.
        """
        pool = ProcessPoolExecutor(
            min(self.workers, max(1, len(items))),
            mp_context=get_context("spawn"),
            initializer=_start_worker,
            initargs=(PACKAGE.level if PACKAGE.handlers else None,),
        )
        try:
            for future in [pool.submit(work, item) for item in items]:
                yield future.result()
        except BrokenProcessPool:
            raise InputError(
                "a process was killed, perhaps for want of memory; run the same command again with fewer --workers"
            ) from None
        finally:  # also on Ctrl-C: what waits is dropped, what runs ends its item
            pool.shutdown(wait=True, cancel_futures=True)


def executor(workers: int | None, items: int | None = None) -> Executor:
    """Processes, by default one for each core; in this process where one worker, or one item, is all there is."""
    workers = workers or os.cpu_count() or 1
    return InProcess() if workers == 1 or items == 1 else Processes(workers)


def _start_worker(level: int | None) -> None:
    """One thread, as the processes share the cores already; and Ctrl-C is the parent's to handle, or the pool hangs."""
    from threadpoolctl import threadpool_limits

    threadpool_limits(1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if level is not None:
        to_stderr(level)
