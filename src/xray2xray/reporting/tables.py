"""Words and numbers of the Markdown tables."""

from collections.abc import Iterable, Sequence

from ..core.evidence import VIRTUAL


def heading(rung: str, n: int) -> str:
    """What the cases of a table are: "20 unseen virtual patients"."""
    if rung == VIRTUAL:
        return f"{n} unseen virtual patient{'s' if n != 1 else ''}"
    return f"{n} case{'s' if n != 1 else ''} rendered from real CT"


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """Lines of a table whose first column is text and whose others are numbers."""
    lines = [list(head), *map(list, rows)]
    marked = ["| " + " | ".join(cells) + " |" for cells in lines]
    return [marked[0], "|---|" + "---:|" * (len(head) - 1), *marked[1:]]


def interval(bounds: Sequence[float] | None, spec: str) -> str:
    """ " [low, high]" behind a number, or nothing where no interval is known."""
    return "" if bounds is None else f" [{bounds[0]:{spec}}, {bounds[1]:{spec}}]"
