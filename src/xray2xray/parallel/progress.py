"""How far a long job is, on stderr."""

import logging
import sys
import time
from collections.abc import Iterable, Iterator, Sized
from typing import TypeVar

from ..core.log import PACKAGE

T = TypeVar("T")
SECONDS = 10  # between two lines

log = logging.getLogger(__name__)


def progress(items: Iterable[T], description: str, total: int | None = None) -> Iterator[T]:
    """Pass `items` on, showing a bar with the time left on a terminal and logging a line now and then elsewhere.

    No bar is shown where the package logs warnings only (`--quiet`).
    """
    if total is None and isinstance(items, Sized):
        total = len(items)
    if sys.stderr.isatty() and PACKAGE.level <= logging.INFO:
        from rich.console import Console
        from rich.progress import track

        yield from track(items, description, total=total, console=Console(stderr=True))
        return
    start = last = time.monotonic()
    for done, item in enumerate(items, start=1):
        yield item
        now = time.monotonic()
        if now - last > SECONDS or (done == total and now - start > SECONDS):
            last = now
            left = f", {(now - start) / done * (total - done):.0f} s left" if total else ""
            log.info("%s: %d/%s after %.0f s%s", description, done, total or "?", now - start, left)
