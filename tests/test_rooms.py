"""The rooms stand in one order, and a room imports only itself and the rooms before it (docs/architecture.md)."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "src" / "xray2xray"


def rooms_in_order() -> list[str]:
    """First word of every line of the block fenced as `rooms` in docs/architecture.md."""
    text = (ROOT / "docs" / "architecture.md").read_text()
    block = re.search(r"^```rooms\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    assert block is not None, "docs/architecture.md has no block fenced as ```rooms"
    return [line.split()[0] for line in block[1].splitlines()]


ROOMS = rooms_in_order()


def imported(source: str, package: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    """Dotted names inside xray2xray that `source`, a module of `package`, imports, in functions and for types too."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names = [tuple(alias.name.split(".")) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else ()
            base += tuple(node.module.split(".")) if node.module else ()
            # `from .. import io` names the room only in its list of names.
            names = [(*base, alias.name) for alias in node.names] if len(base) < 2 else [base]
        else:
            continue
        yield from (name[1:] for name in names if name[0] == "xray2xray" and len(name) > 1)


def upward(source: str, file: str) -> set[str]:
    """Imports of `source`, which stands at `file` below the package, that its room may not have: "file: module"."""
    parts = Path(file).parts
    allowed = ROOMS[: ROOMS.index(parts[0]) + 1]
    names = imported(source, ("xray2xray", *parts[:-1]))
    return {f"{file}: {'.'.join(name)}" for name in names if name[0] not in allowed}


def test_every_folder_of_the_package_is_a_room() -> None:
    folders = {path.parent.name for path in PACKAGE.glob("*/__init__.py")}
    assert folders == set(ROOMS)


def test_no_room_imports_a_later_room() -> None:
    files = [path.relative_to(PACKAGE) for path in PACKAGE.glob("*/**/*.py")]
    found = set().union(*(upward((PACKAGE / file).read_text(), file.as_posix()) for file in files))
    assert not found, "imports of a later room:\n" + "\n".join(sorted(found))


def test_the_facade_imports_nothing_of_the_experiments() -> None:
    for path in PACKAGE.glob("*.py"):
        assert not [name for name in imported(path.read_text(), ("xray2xray",)) if name[0] == "experiments"], path


def test_upward_imports_are_seen_wherever_they_stand() -> None:
    source = """
from typing import TYPE_CHECKING
from ..core import errors
from . import volume
if TYPE_CHECKING:
    from ..models.world_model import WorldModel
def late():
    from .. import evaluation
    import xray2xray.session.study
"""
    names = {"models.world_model", "evaluation", "session.study"}
    assert upward(source, "volume/read.py") == {f"volume/read.py: {name}" for name in names}
