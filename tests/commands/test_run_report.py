"""What every verb offers around its work: a report of the run, patterns as inputs, completion, the doctor."""

import json
import re
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from xray2xray.commands import cli
from xray2xray.commands.options import as_angles, as_paths
from xray2xray.core.device import pick_device
from xray2xray.core.errors import UsageError


def run(*words: object) -> int:
    return cli.main([str(word) for word in words])


def test_a_report_tells_inputs_outputs_and_time(tmp_path: Path) -> None:
    report, out = tmp_path / "run.json", tmp_path / "out"
    assert run("phantom", "--out", out, "--size", "32", "--report", report) == 0
    told = json.loads(report.read_text())
    assert (told["verb"], told["done"], told["error"], told["left_out"]) == ("phantom", True, None, [])
    assert told["options"]["size"] == 32
    assert told["seconds"] > 0
    written = {Path(one["file"]).name: one["bytes"] for one in told["outputs"]}
    assert written == {path.name: path.stat().st_size for path in out.iterdir()}


def test_a_run_that_fails_is_reported_and_the_report_may_be_replaced(tmp_path: Path) -> None:
    report = tmp_path / "run.json"
    for _ in range(2):
        assert run("rotate", tmp_path / "absent.png", "--out", tmp_path / "out", "--report", report) == 1
    told = json.loads(report.read_text())
    assert not told["done"]
    assert "absent.png" in told["error"]


def test_a_report_never_replaces_another_file(tmp_path: Path) -> None:
    other = tmp_path / "mine.json"
    other.write_text('{"a": 1}')
    assert run("info", "--report", other) == 2
    assert other.read_text() == '{"a": 1}'
    assert run("info", "--report", tmp_path / "run.txt") == 2


def test_a_pattern_stands_for_its_files(tmp_path: Path) -> None:
    for name in ("b.png", "a.png", "c.txt"):
        (tmp_path / name).touch()
    assert as_paths([str(tmp_path / "*.png"), "x.png"]) == [tmp_path / "a.png", tmp_path / "b.png", Path("x.png")]
    assert as_paths(tmp_path / "*.jpg") == [tmp_path / "*.jpg"], "nothing matches: the reader names it"
    (tmp_path / "[1].png").touch()
    assert as_paths(tmp_path / "[1].png") == [tmp_path / "[1].png"], "a file that is called so"


@pytest.mark.parametrize("yaw", ["1e9", "nan", "361"])
def test_angles_that_nobody_means_are_refused(yaw: str) -> None:
    with pytest.raises(UsageError, match="-360 to 360"):
        as_angles([yaw])


def test_gpu_is_cuda() -> None:
    import torch

    if torch.cuda.is_available():
        assert pick_device("gpu") == "cuda"
    else:
        with pytest.raises(UsageError, match="--device gpu is not available"):
            pick_device("gpu")


def test_completion_offers_verbs_options_and_choices(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert run("completion", "bash") == 0
    script = tmp_path / "complete.sh"
    script.write_text(capsys.readouterr().out)

    def offered(*words: str) -> set[str]:
        typed = " ".join(f"'{word}'" for word in words)
        code = f"source {script}; COMP_WORDS=({typed}); COMP_CWORD={len(words) - 1}; _xray2xray; echo ${{COMPREPLY[@]}}"
        return set(subprocess.run(["bash", "-c", code], capture_output=True, text=True, check=True).stdout.split())

    assert offered("xray2xray", "rot") == {"rotate"}
    assert offered("xray2xray", "evaluate", "vo") == {"volume"}
    assert offered("xray2xray", "rotate", "--view", "") == {"auto", "pa", "ap"}
    assert {"--yaw-deg", "--report"} <= offered("xray2xray", "rotate", "--")
    assert "--count" not in offered("xray2xray", "rotate", "--")
    for shell in ("zsh", "fish"):
        assert run("completion", shell) == 0
        assert "rotate" in capsys.readouterr().out
    assert run("completion", "tcsh") == 2


def test_the_line_in_the_config_runs_as_printed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert run("phantom", "--out", "a b", "--size", "32") == 0
    line = (tmp_path / "a b" / "config.yaml").read_text().splitlines()[0]
    (command,) = re.findall("to run this again: (.+)", line)
    command = command.replace("xray2xray phantom", f"{sys.executable} -m xray2xray phantom")
    subprocess.run(["bash", "-c", f"cd / && {command}"], check=True, capture_output=True)
    assert (tmp_path / "a b-again" / "cohort.csv").read_bytes() == (tmp_path / "a b" / "cohort.csv").read_bytes()


def test_a_full_disk_names_what_is_not_there(tmp_path: Path) -> None:
    def no_room() -> None:  # files of at most 40 kB: the kernel answers as for a full disk
        resource.setrlimit(resource.RLIMIT_FSIZE, (40_000, 40_000))

    words = [sys.executable, "-m", "xray2xray", "phantom", "--out", str(tmp_path / "out"), "--size", "64"]
    done = subprocess.run(words, preexec_fn=no_room, capture_output=True, text=True)
    assert done.returncode == 1
    assert "the disk is full" in done.stderr
    assert "thorax-0000000.nii.gz is not written" in done.stderr
    assert not list(tmp_path.rglob("*.nii.gz"))


def test_doctor_says_what_is_broken_and_what_only_missing(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("doctor", "--json") == 0
    found = {one["name"]: one for one in json.loads(capsys.readouterr().out)}
    assert found["weights tiny"]["state"] == "ok"
    assert found["packages"]["state"] == "ok"
    assert all(one["remedy"] for one in found.values() if one["state"] in ("slow", "broken"))
