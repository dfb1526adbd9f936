"""Work on items of which some may be damaged: each failure is named with its reason and the rest goes on."""

import logging
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import TypeVar

from ..core.errors import InputError, UsageError, is_full
from .executor import Executor, InProcess

T = TypeVar("T")
R = TypeVar("R")

log = logging.getLogger(__name__)


def usable(
    items: Sequence[T],
    work: Callable[[T], R],
    failed: dict[str, str],
    name: Callable[[T], str] = str,
    executor: Executor = InProcess(),  # noqa: B008 (it has no state)
) -> Iterator[R]:
    """The results of `work` where it succeeds, in the order of the items, one at a time.

    Args:
        failed: gets what was wrong with each of the others, by its name. A warning is logged, too, once for a reason;
            not of an only item, which is the caller's to report.
        name: of an item.
        executor: where the work is done.
    """
    for item, (result, reason) in zip(items, executor.map(partial(_attempt, work), items), strict=True):
        if reason is None:
            yield result  # type: ignore[misc] # there is a result where there is no reason
            continue
        reason = reason if name(item) in reason else f"{name(item)}: {reason}"
        if len(items) > 1 and reason not in failed.values():
            log.warning("left out %s", reason)
        failed[name(item)] = reason


def each(
    items: Sequence[T],
    work: Callable[[T], R],
    name: Callable[[T], str] = str,
    executor: Executor = InProcess(),  # noqa: B008
) -> tuple[list[R], dict[str, str]]:
    """Results and failures as lists of `usable`; an only item's error is raised as it is.

    Returns:
        the results in the order of the items, and what was wrong with the others, by name.

    Raises:
        InputError: no item could be used.
    """
    if len(items) == 1:
        return [work(items[0])], {}
    failed: dict[str, str] = {}
    results = list(usable(items, work, failed, name, executor))
    if items and not results:
        raise InputError(f"none of the {len(items)} inputs could be used; each is named above with what is wrong")
    return results, failed


def _attempt(work: Callable[[T], R], item: T) -> tuple[R | None, str | None]:
    """The result, or the reason why there is none, as text: it may come from another process."""
    try:
        return work(item), None
    except UsageError:  # the request is wrong, whatever the item
        raise
    except MemoryError:
        return None, "not enough memory; use fewer --workers"
    except Exception as error:  # a damaged file can fail in any library, and the others must not pay for it
        if is_full(error):
            raise
        text = str(error) if isinstance(error, InputError | OSError) else f"{type(error).__name__}: {error}"
        return None, " ".join(text.split())
