"""Files are written whole or not at all, folders are not emptied by accident, and messages are one line."""

import json
import os
import stat
from pathlib import Path

import numpy as np
import pytest

from xray2xray.core.errors import InputError, UsageError
from xray2xray.io.files import atomic_path, check_place, prepare_out, progress, write_json, write_npz
from xray2xray.io.runs import check_inputs, each, run_folder


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


def test_progress_passes_everything_on(capsys: pytest.CaptureFixture[str]) -> None:
    assert list(progress(range(5), "counting")) == [0, 1, 2, 3, 4]
    assert list(progress((i for i in "ab"), "unknown length")) == ["a", "b"]
    assert capsys.readouterr().out == "", "progress goes to stderr"


def test_run_folder_keeps_the_settings(tmp_path: Path) -> None:
    import yaml

    with run_folder(tmp_path / "out", False, "rotate", {"inputs": [], "out": tmp_path / "out", "yaw_deg": (0.0, 5.0)}):
        pass
    text = (tmp_path / "out" / "config.yaml").read_text()
    assert "xray2xray rotate --config" in text
    assert yaml.safe_load(text) == {"inputs": [], "out": str(tmp_path / "out"), "yaw_deg": [0.0, 5.0]}


def test_run_folder_of_a_failed_run_is_gone_unless_it_holds_results(tmp_path: Path) -> None:
    def run(result: str | None) -> None:
        with run_folder(tmp_path / "out", False, "rotate", {}) as folder:
            if result:
                (folder / result).write_text("x")
            raise InputError("bad")

    with pytest.raises(InputError):
        run(None)
    assert not (tmp_path / "out").exists()
    with pytest.raises(InputError):
        run("views.npz")
    assert leftovers(tmp_path / "out") == ["config.yaml", "views.npz"]


def test_run_folder_of_an_interrupted_run_is_gone(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), run_folder(tmp_path / "out", False, "rotate", {}):
        raise KeyboardInterrupt
    assert not (tmp_path / "out").exists()


def test_inputs_are_checked_before_anything_is_removed(tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "config.yaml").write_text("{}\n")
    (out / "volume.nii.gz").write_text("precious")
    with (
        pytest.raises(InputError, match="no such file"),
        run_folder(out, True, "rotate", {"inputs": [str(tmp_path / "missing.png")]}),
    ):
        pass
    with pytest.raises(UsageError, match="inside the output folder"):
        check_inputs([out / "volume.nii.gz"], out)
    assert (out / "volume.nii.gz").exists()


def test_each_goes_on_after_a_bad_item(capsys: pytest.CaptureFixture[str]) -> None:
    def work(item: str) -> str:
        if item.startswith("bad"):
            raise InputError(f"{item} is no image")
        return item.upper()

    assert each(["a", "bad", "b"], work) == (["A", "B"], {"bad": "bad is no image"})
    assert "left out bad is no image" in capsys.readouterr().err
    with pytest.raises(InputError, match="none of the 2 inputs"):
        each(["bad1", "bad2"], work)
    with pytest.raises(InputError, match="bad1 is no image"):
        each(["bad1"], work)


def test_errors_know_their_exit_codes() -> None:
    assert (InputError.exit_code, UsageError.exit_code) == (1, 2)
    assert issubclass(InputError, ValueError)
    assert issubclass(UsageError, ValueError)
