"""A newcomer's path, literally: an empty folder, a shell, and what the quick start says, from top to bottom."""

import csv
import os
import re
import subprocess
import sys
from pathlib import Path

import nibabel as nib
import pytest

PAGE = Path(__file__).resolve().parents[1] / "docs" / "quick-start.md"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where every block of the page was run."""
    here = tmp_path_factory.mktemp("newcomer")
    where = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    source = os.pathsep.join(filter(None, [str(PAGE.parents[1] / "src"), os.environ.get("PYTHONPATH")]))
    for language, code in re.findall(r"^```(sh|python)\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.M | re.S):
        command = ["sh", "-e", "-c", code] if language == "sh" else [sys.executable, "-c", code]
        done = subprocess.run(
            command, cwd=here, env={**os.environ, "PATH": where, "PYTHONPATH": source}, capture_output=True, text=True
        )
        assert done.returncode == 0, f"{code}\n{done.stderr}"
    return here


def test_everything_the_page_names_is_there(folder: Path) -> None:
    named = re.findall(r"^\| (`[^|]+`) \|", PAGE.read_text(encoding="utf-8"), flags=re.M)
    files = [name for cell in named for name in re.findall(r"`([^`]+)`", cell)]
    assert len(files) == 6
    for path in (*(f"demo/{name}" for name in files), "demo/report.html", "turned/report.html"):
        assert (folder / path).stat().st_size > 100, path
    assert len(list((folder / "volumes").rglob("volume.nii.gz"))) == 2
    assert nib.load(folder / "demo" / "volume.nii.gz").shape == (128, 128, 128)
    with open(folder / "features.csv", newline="", encoding="utf-8") as table:
        assert len(list(csv.DictReader(table))) == 2
