"""One thread that works, and a queue of bounded length before it."""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Generic, Literal, TypeVar

from ..core.errors import InputError, UsageError

R = TypeVar("R")
Stage = Callable[[str], None]
MOST_LOST = 2  # threads that did not end in time and may still hold memory

log = logging.getLogger(__name__)


class Full(Exception):
    """The queue is full, or work that does not end blocks it."""


class _Abandoned(Exception):
    """Nobody waits for this work any more."""


@dataclass(eq=False)
class Job(Generic[R]):
    """What is to be done, and how far it is. `work` is called with a function that takes what is done next, in words.

    Attributes:
        clean: called in the end, also of a job that is given up before it has begun.
        message: of a job that failed, for its user.
    """

    work: Callable[[Stage], R]
    clean: Callable[[], None] = lambda: None
    state: Literal["waiting", "working", "done", "failed"] = "waiting"
    stage: str = ""
    message: str = ""
    result: R | None = None
    started: float = field(default=0.0)
    abandoned: bool = False

    def abandon(self, message: str = "") -> None:
        """Whatever comes of it is thrown away."""
        self.abandoned = True
        self.state, self.message = "failed", message


class Worker:
    """Does jobs one after the other, each for at most `seconds`; at most `waiting` of them wait."""

    def __init__(self, waiting: int, seconds: float) -> None:
        self._most, self._seconds = waiting, seconds
        self._queue: deque[Job] = deque()  # type: ignore[type-arg]
        self._running: Job | None = None  # type: ignore[type-arg]
        self._changed = threading.Condition()
        self._lost: list[threading.Thread] = []
        self._stopped = False
        self._start()

    def check(self) -> None:
        """Raise `Full` if a further job would not be taken."""
        self._lost = [thread for thread in self._lost if thread.is_alive()]
        if len(self._queue) >= self._most or len(self._lost) >= MOST_LOST:
            raise Full

    def submit(self, job: Job[R]) -> None:
        """Put a job at the end of the queue, or raise `Full`."""
        with self._changed:
            self.check()
            self._queue.append(job)
            self._changed.notify()

    def ahead(self, job: Job[R]) -> int:
        """How many jobs have to be done before this one is begun."""
        with self._changed:
            return self._queue.index(job) + (self._running is not None) if job in self._queue else 0

    def check_time(self) -> None:
        """Give up a job that takes too long: a thread cannot be ended, so another one takes its place."""
        with self._changed:
            job = self._running
            if job is None or time.monotonic() - job.started < self._seconds:
                return
            job.abandon(f"This took more than {self._seconds:g} seconds and was stopped; try a smaller file.")
            log.warning("a case took more than %g s and was given up", self._seconds)
            self._lost.append(self._thread)
            self._running = None
            self._start()

    def stop(self) -> None:
        """End when the present job has reached its next stage."""
        with self._changed:
            self._stopped = True
            for job in [*self._queue, *([self._running] if self._running else [])]:
                job.abandon()
            self._queue.clear()
            self._changed.notify_all()

    def _start(self) -> None:
        self._thread = threading.Thread(target=self._work, daemon=True)
        self._thread.start()

    def _work(self) -> None:
        me = threading.current_thread()
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._stopped or self._queue or self._thread is not me)
                if self._stopped or self._thread is not me:
                    return
                job = self._running = self._queue.popleft()
            if not job.abandoned:
                _do(job)
            job.clean()
            with self._changed:
                if self._thread is not me:
                    return
                self._running = None


def _do(job: Job[R]) -> None:
    def stage(name: str) -> None:
        if job.abandoned:
            raise _Abandoned
        job.stage = name

    job.state, job.started = "working", time.monotonic()
    try:
        result = job.work(stage)
        if not job.abandoned:
            job.result, job.state = result, "done"
    except _Abandoned:
        pass
    except (InputError, UsageError) as error:
        _failed(job, " ".join(str(error).split()))
    except MemoryError:
        _failed(job, "This needs more memory than is free; try a smaller file.")
    except Exception as error:  # its text may quote the file: only its kind is logged
        log.warning("a case failed: %s", type(error).__name__)
        _failed(job, "This file could not be worked with, for a reason that should not be; try to export it again.")


def _failed(job: Job[R], message: str) -> None:
    if not job.abandoned:
        job.state, job.message = "failed", message
