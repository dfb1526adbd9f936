"""The output folder of a run: its options are kept, nothing is emptied by accident, a failed run leaves nothing."""

from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from xray2xray.commands.run_folder import check_inputs, run_folder
from xray2xray.core.errors import InputError, UsageError


@dataclass(frozen=True)
class Options:
    inputs: tuple[str, ...]
    out: Path
    yaw_deg: tuple[float, ...] = ()
    overwrite: bool = False


def test_the_options_are_kept(tmp_path: Path) -> None:
    with run_folder(Options((), tmp_path / "out", (0.0, 5.0))):
        pass
    text = (tmp_path / "out" / "config.yaml").read_text()
    assert "to run this again: cd " in text
    wanted = {"inputs": [], "out": str(tmp_path / "out"), "yaw_deg": [0.0, 5.0], "overwrite": False}
    assert yaml.safe_load(text) == wanted


@pytest.mark.parametrize("error", [InputError("bad"), KeyboardInterrupt()])
def test_a_run_that_has_written_nothing_leaves_no_folder(tmp_path: Path, error: BaseException) -> None:
    with pytest.raises(type(error)), run_folder(Options((), tmp_path / "out")):
        raise error
    assert not (tmp_path / "out").exists()


def test_results_of_a_failed_run_are_kept(tmp_path: Path) -> None:
    def run() -> None:
        with run_folder(Options((), tmp_path / "out")) as folder:
            (folder / "views.npz").write_text("x")
            raise InputError("bad")

    with pytest.raises(InputError):
        run()
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["config.yaml", "views.npz"]


def test_inputs_are_checked_before_anything_is_removed(tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "config.yaml").write_text("{}\n")
    (out / "volume.nii.gz").write_text("precious")
    missing = Options((str(tmp_path / "missing.png"),), out, overwrite=True)
    with pytest.raises(InputError, match="no such file"), run_folder(missing):
        pass
    with pytest.raises(UsageError, match="inside the output folder"):
        check_inputs([out / "volume.nii.gz"], out)
    assert (out / "volume.nii.gz").exists()
