"""What the README and the docs say is true: commands exist, the Python runs, files are where they are said to be."""

import re
import shlex
from pathlib import Path
from typing import Any

import pytest

from xray2xray.commands import api, cli
from xray2xray.io.model_folder import folder_of

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(language: str, text: str = README) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", text, flags=re.M | re.S)


def commands() -> list[str]:
    """Every xray2xray command line in the README, in its code blocks and in its comments on results."""
    lines = [line.strip() for line in README.splitlines()]
    return [line.removesuffix("-->").split("#")[0].strip() for line in lines if line.startswith("xray2xray ")]


@pytest.mark.parametrize("command", commands())
def test_commands_are_understood(command: str) -> None:
    verb, words = cli._split_verb(shlex.split(command.replace("CT...", "ct.nii.gz"))[1:])
    assert cli._parse(verb, words) is not None


def test_every_verb_is_in_the_table() -> None:
    assert all(re.search(rf"^\| `{verb}( \[--json\])?` \|", README, flags=re.M) for verb in cli.VERBS)


def test_every_module_is_in_the_tree() -> None:
    tree = README.split("<!-- TREE -->")[1].split("<!-- /TREE -->")[0]
    modules = [path for path in (ROOT / "src" / "xray2xray").rglob("*.py") if not path.name.startswith("__")]
    assert [path.name for path in modules if path.name not in tree] == []
    named = set(re.findall(r"\b\w+\.py\b", tree))
    assert named <= {path.name for path in modules}, "the tree names a file that is gone"


DOCUMENTS = ["README.md", *sorted(f"docs/{path.name}" for path in (ROOT / "docs").glob("*.md"))]


@pytest.mark.parametrize("document", DOCUMENTS)
def test_links_and_paths_exist(document: str) -> None:
    path = ROOT / document
    text = path.read_text(encoding="utf-8")
    linked = re.findall(r"\]\((?!http)([^)#]+)\)", text)
    assert [link for link in linked if not (path.parent / link).exists()] == []
    if document == "docs/method.md":
        modules = re.findall(r"`((?:\w+/)*\w+\.py)`", text)
        assert modules
        assert [module for module in modules if not (ROOT / "src" / "xray2xray" / module).exists()] == []


def test_python_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder_of("tiny")  # the packaged model
    api.phantom(tmp_path / "phantom", seed=1_000_001)
    (tmp_path / "phantom" / "thorax-1000001.nii.gz").rename(tmp_path / "scan.nii.gz")
    monkeypatch.chdir(tmp_path)
    first, projection = blocks("python")
    names: dict[str, Any] = {}
    exec(compile(first, "README.md", "exec"), names)
    assert names["views"].shape == (37, 128, 128)
    assert names["lateral"].shape == (128, 128)
    assert names["vectors"].ndim == 2
    assert (tmp_path / "volume" / "volume.nii.gz").exists()

    exec(compile(projection, "README.md", "exec"), names)
    assert names["views_p"].shape == (38, 128, 128)
    assert names["gradient"].shape == names["mu"].shape
    assert names["again"].volume.shape == (128, 128, 128)
    assert (tmp_path / "lateral.png").exists()
    for code in blocks("python", (ROOT / "docs" / "geometry.md").read_text(encoding="utf-8")):
        exec(compile(code, "geometry.md", "exec"), names)
    assert names["views_p"].shape == (3, 128, 128)
