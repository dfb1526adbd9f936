"""Words and numbers of the Markdown tables, and how a result becomes files."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from ..core.evidence import VIRTUAL
from ..evaluation.results import Estimate, Failure, as_json
from ..io.files import write_json, write_text

FEW = 10  # fewer cases than this are printed one by one: an interval over them says little


def write_result(out: Path, name: str, result: Any, text: str) -> None:
    """The numbers as NAME.json and the tables as NAME.md, in a folder that is made if missing."""
    out.mkdir(parents=True, exist_ok=True)
    write_json(out / f"{name}.json", as_json(result))
    write_text(out / f"{name}.md", text)


def heading(evidence_level: str, n: int) -> str:
    """What the cases of a table are: "20 unseen virtual patients"."""
    if evidence_level == VIRTUAL:
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


def estimate(found: Estimate | None, spec: str) -> str:
    """ "mean [low, high]", or nothing for None."""
    return "" if found is None else f"{found.mean:{spec}}{interval(found.ci95, spec)}"


def number(value: float | None, spec: str) -> str:
    """The number, or nothing for None."""
    return "" if value is None else f"{value:{spec}}"


def left_out(failed: Sequence[Failure]) -> list[str]:
    """Lines that list the cases that could not be used; none where there are none."""
    return ["Left out:", "", *(f"- {one.case}: {one.reason}" for one in failed), ""] if failed else []
