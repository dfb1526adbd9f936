"""What README and docs say is true: links resolve, commands exist, blocks run, words are plain."""

import csv
import glob
import importlib.util
import inspect
import re
import shlex
import shutil
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from PIL import Image

import xray2xray
from xray2xray.commands import cli
from xray2xray.projection import preset, render
from xray2xray.radiograph import radiograph, save_png
from xray2xray.volume import read_volume

ROOT = Path(__file__).resolve().parents[1]
DOCUMENTS = sorted(path.relative_to(ROOT).as_posix() for path in (*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")))
CURRENT = [one for one in DOCUMENTS if one not in ("CHANGELOG.md", "docs/research-log.md")]  # not history
RUN = (
    "README.md",
    *(one for one in DOCUMENTS if one.startswith("docs/howto/") and "cohorts" not in one),
)
EVERY_VERB = {"config", "help", "quiet", "report", "verbose"}  # options of all verbs
WORDS = (
    r"\b(?:told|rungs?|twins?|strangers?|dice|the house|front doors?|hears?|listens?|what M thinks|evidence ladder)\b"
)


def read(document: str) -> str:
    return (ROOT / document).read_text(encoding="utf-8")


def blocks(text: str) -> list[tuple[str, str]]:
    """Language and code of every fenced block, in order."""
    return re.findall(r"^```(\w+)\n(.*?)^```", text, flags=re.M | re.S)


def commands(text: str) -> list[str]:
    """Every xray2xray command in fenced or indented code, without comments."""
    lines = [line.strip() for line in text.replace("\\\n", " ").splitlines()]
    return [line.split(" #")[0].strip() for line in lines if line.startswith("xray2xray ")]


def anchors(text: str) -> set[str]:
    headings = re.findall(r"^#+ (.+)$", text, flags=re.M)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("document", DOCUMENTS)
def test_links_resolve(document: str) -> None:
    path = ROOT / document
    wrong = []
    for link in re.findall(
        r"\]\((?!https?:)([^)\s]+)\)", re.sub(r"^```.*?^```", "", read(document), flags=re.M | re.S)
    ):
        name, _, anchor = link.partition("#")
        target = (path.parent / name) if name else path
        if not target.exists() or (anchor and anchor not in anchors(target.read_text(encoding="utf-8"))):
            wrong.append(link)
    assert wrong == []


@pytest.mark.parametrize("document", CURRENT)
def test_commands_are_understood(document: str) -> None:
    for command in commands(read(document)):
        words = shlex.split(command)[1:]
        if words[0] in ("VERB", "--help"):
            continue
        length = 2 if words[0] == "evaluate" else 1
        verb = getattr(xray2xray, "_".join(words[:length]))
        options = {word[2:].split("=")[0].replace("-", "_") for word in words[length:] if word.startswith("--")}
        assert options <= EVERY_VERB | set(inspect.signature(verb).parameters), command


@pytest.mark.parametrize("document", CURRENT)
def test_words_are_plain(document: str) -> None:
    prose = re.sub(r"^```.*?^```|^    .*$|`[^`\n]+`|\]\([^)]*\)", "", read(document), flags=re.M | re.S)
    assert re.findall(WORDS, prose) == []


@pytest.mark.parametrize("document", CURRENT)
def test_modules_exist(document: str) -> None:
    for name in re.findall(r"python -m ((?:xray2xray\.experiments|benchmarks)\.[a-z_.]*[a-z])", read(document)):
        assert importlib.util.find_spec(name) is not None, name


def test_readme_is_short() -> None:
    assert 110 <= len(read("README.md").splitlines()) <= 130


def test_glossary_is_sorted_and_large_enough() -> None:
    terms = re.findall(r"^\| (?!term|---)([^|]+) \|", read("docs/glossary.md"), flags=re.M)
    assert len(terms) >= 40
    assert terms == sorted(terms, key=lambda term: re.sub(r"[^a-z0-9 ]", "", term.lower()))


def build_reference() -> ModuleType:
    spec = importlib.util.spec_from_file_location("build_reference", ROOT / "docs" / "build_reference.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_reference_is_current() -> None:
    module = build_reference()
    assert read("docs/reference/command-line.md") == module.command_line(), "run: make reference"
    assert read("docs/reference/python.md") == module.python(), "run: make reference"


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files that the pages name: chest.png, side.png, scan.nii.gz, cts/ and labels.csv, all of virtual patients."""
    folder = tmp_path_factory.mktemp("inputs")
    xray2xray.phantom(folder / "cts", count=2, seed=1_000_001)
    scans = sorted((folder / "cts").glob("*.nii.gz"))
    shutil.copy(scans[0], folder / "scan.nii.gz")
    for scan, name in zip(scans, ("chest", "second"), strict=True):
        save_png(folder / f"{name}.png", radiograph(render(read_volume(scan), preset("chest", 256), [0.0])[0]))
        assert Image.open(folder / f"{name}.png").size == (256, 256)
    save_png(folder / "side.png", radiograph(render(read_volume(scans[0]), preset("chest", 256), [90.0])[0]))
    with open(folder / "labels.csv", "w", newline="", encoding="utf-8") as table:
        csv.writer(table).writerows([("study", "image", "effusion"), ("a", "chest.png", 1), ("b", "second.png", 0)])
    return folder


@pytest.mark.parametrize("document", RUN)
def test_every_block_runs(document: str, inputs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    here = tmp_path / "here"
    shutil.copytree(inputs, here)
    monkeypatch.chdir(here)
    names: dict[str, Any] = {}
    for language, code in blocks(read(document)):
        if language == "python":
            exec(compile(code, document, "exec"), names)
        for command in commands(code) if language == "sh" else ():
            words = [path for word in shlex.split(command)[1:] for path in (sorted(glob.glob(word)) or [word])]
            assert cli.main(words) == 0, command


def test_the_blocks_of_geometry_run(inputs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(inputs)
    names: dict[str, Any] = {}
    for language, code in blocks(read("docs/reference/geometry.md")):
        if language == "python":
            exec(compile(code, "geometry.md", "exec"), names)
    assert names["views_p"].shape == (3, 128, 128)
