"""Files are written whole or not at all, folders are not emptied by accident, and messages are one line."""

import json
import os
import stat
from pathlib import Path

import numpy as np
import pytest

from xray2xray.core.errors import InputError, UsageError
from xray2xray.io.files import atomic_path, check_place, prepare_out, write_json, write_npz


def leftovers(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_atomic_path_appears_only_at_the_end(tmp_path: Path) -> None:
    target = tmp_path / "new" / "scan.nii.gz"
    with atomic_path(target) as temporary:
        assert temporary.parent == target.parent, "a rename is atomic only inside one file system"
        assert temporary.name.endswith(".nii.gz"), "writers choose the format by the suffix"
        temporary.write_bytes(b"whole")
        assert not target.exists()
    assert target.read_bytes() == b"whole"
    assert leftovers(target.parent) == ["scan.nii.gz"]


def test_atomic_path_keeps_the_old_file_when_writing_fails(tmp_path: Path) -> None:
    target = tmp_path / "a.json"
    target.write_text("old")

    def fail() -> None:
        with atomic_path(target) as temporary:
            temporary.write_text("half")
            raise RuntimeError("disk full")

    with pytest.raises(RuntimeError, match="disk full"):
        fail()
    assert target.read_text() == "old"
    assert leftovers(tmp_path) == ["a.json"]


@pytest.mark.skipif(os.name != "posix", reason="permissions are POSIX here")
def test_atomic_path_makes_an_ordinary_file(tmp_path: Path) -> None:
    old = os.umask(0o022)
    try:
        with atomic_path(tmp_path / "a.txt") as temporary:
            temporary.write_text("x")
    finally:
        os.umask(old)
    assert stat.S_IMODE((tmp_path / "a.txt").stat().st_mode) == 0o644


def test_write_json_is_strict(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    write_json(path, {"yaw_deg": [0, 5.5], "name": "é"})
    assert json.loads(path.read_text(encoding="utf-8")) == {"yaw_deg": [0, 5.5], "name": "é"}
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(path, {"psnr": float("inf")})
    assert json.loads(path.read_text(encoding="utf-8"))["name"] == "é", "the old file survives a refused one"


@pytest.mark.parametrize("name", ["a.npz", "a.NPZ", "a", "a.b"])
def test_write_npz_keeps_the_name(name: str, tmp_path: Path) -> None:
    write_npz(tmp_path / name, {"x": np.arange(3), "kind": "text"})
    assert leftovers(tmp_path) == [name], "numpy would append .npz and leave an empty file"
    with np.load(tmp_path / name, allow_pickle=False) as stored:
        assert stored["x"].tolist() == [0, 1, 2]
        assert str(stored["kind"]) == "text"


def test_check_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("x")
    check_place(tmp_path / "new" / "out.csv")
    for out in (tmp_path / "file" / "out.csv", tmp_path / "file" / "new" / "out.csv"):
        with pytest.raises(UsageError, match="file is a file, not a folder"):
            check_place(out)
        with pytest.raises(UsageError, match="file is a file, not a folder"):
            prepare_out(out)
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    with pytest.raises(UsageError, match="no permission to write into"):
        check_place(tmp_path / "new" / "out.csv")


def test_prepare_out_makes_folders_and_takes_empty_ones(tmp_path: Path) -> None:
    assert prepare_out(tmp_path / "a" / "b").is_dir()
    assert prepare_out(tmp_path / "a" / "b").is_dir()


def test_prepare_out_refuses_what_it_might_spoil(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(UsageError, match="is a file"):
        prepare_out(tmp_path / "file")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.tex").write_text("x")
    with pytest.raises(UsageError, match="not empty"):
        prepare_out(tmp_path / "full")
    with pytest.raises(UsageError, match="not written by xray2xray"):
        prepare_out(tmp_path / "full", overwrite=True)
    assert (tmp_path / "full" / "thesis.tex").exists()


def test_prepare_out_empties_its_own_folder_when_asked(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text("seed: 1\n")
    (tmp_path / "old").mkdir()
    prepare_out(tmp_path, overwrite=True)
    assert leftovers(tmp_path) == []


def test_errors_know_their_exit_codes() -> None:
    assert (InputError.exit_code, UsageError.exit_code) == (1, 2)
    assert issubclass(InputError, ValueError)
    assert issubclass(UsageError, ValueError)
