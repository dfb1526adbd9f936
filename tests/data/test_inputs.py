"""What paths and tables stand for, and how radiographs in tables were taken."""

from pathlib import Path

import numpy as np
import pytest

from xray2xray.core.errors import InputError
from xray2xray.data.inputs import Input, list_inputs, scans

from .cohorts.conftest import save, save_dicom


@pytest.mark.parametrize(
    ("words", "asked", "taken"),
    [
        ("", "auto", "auto"),
        ("PA", "auto", "pa"),
        ("AP Supine", "auto", "ap"),
        ("frontal", "auto", "auto"),
        ("PA", "ap", "ap"),
        ("CT", "auto", "auto"),
    ],
)
def test_the_user_says_how_it_was_taken_else_the_table(words: str, asked: str, taken: str) -> None:
    assert Input("a", Path("a.png"), words).taken(asked) == taken  # type: ignore[arg-type]


@pytest.mark.parametrize("words", ["lateral", "L", "LL", "LAT", "LA", "Lateral (L)", "RAO", "LLD", "AP AXIAL"])
def test_other_views_are_refused_whatever_the_user_says(words: str) -> None:
    for asked in ("auto", "pa"):
        with pytest.raises(InputError, match="the model takes frontals"):
            Input("a", Path("a.png"), words).taken(asked)  # type: ignore[arg-type]


def test_an_unknown_view_is_said() -> None:
    with pytest.raises(InputError, match="unknown view 'xyz'"):
        Input("a", Path("a.png"), "xyz").taken("auto")


def test_a_table_keeps_its_own_words(tmp_path: Path) -> None:
    save(tmp_path / "a.png", 0)
    (tmp_path / "t.csv").write_text("study,path,view\none,a.png,AP Supine\n")
    assert [item.view for item in list_inputs([tmp_path / "t.csv"])] == ["AP Supine"]


def test_a_folder_of_radiographs_stands_for_them(tmp_path: Path) -> None:
    films, ct, mixed = (tmp_path / name for name in ("films", "ct", "mixed"))
    save(films / "b.png", 0)
    save(films / "c.tif", 1)
    save_dicom(films / "a", "P", "20000101", "DX")
    (films / "notes.txt").write_text("read me")
    (films / ".DS_Store").write_bytes(bytes(200))
    assert [path.name for path in scans([films])] == ["b.png", "c.tif", "a"]
    save_dicom(ct / "1.dcm", "P", "20000101", "CT")
    save(ct / "preview.png", 2)
    save(mixed / "preview.png", 3)
    save_dicom(mixed / "series" / "1.dcm", "P", "20000101", "CT")
    empty = tmp_path / "empty"
    empty.mkdir()
    assert scans([ct, mixed, empty]) == [ct, mixed, empty]
    names = [item.study for item in list_inputs([films])]
    assert names == ["b", "c", "a"]
    assert np.unique(names).size == 3
