"""A training that is killed, for good or politely, goes on as if nothing had happened."""

import json
import shutil
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
import torch

from xray2xray.training.loop import CHECKPOINT, Journal, told_to_stop
from xray2xray.training.train import RECIPE, train

STEPS_DONE = 8  # of 12, when the signal comes; the last checkpoint is of step 6, the last line of the journal of step 8

# Trains once for each signal, in a fork, as importing torch takes longer than the trainings do.
SCRIPT = """
import os, signal, sys, torch
from xray2xray.core.errors import InputError
from xray2xray.training.train import train
from xray2xray.training.objectives.vision import VisionObjective

draw, name = VisionObjective.draw, ""

def draw_with_a_signal(self, size, progress, generator):
    if round(12 * progress) == {done}:
        os.kill(os.getpid(), signal.Signals[name])
    return draw(self, size, progress, generator)

VisionObjective.draw = draw_with_a_signal
torch.set_num_threads({threads})
for name in ("SIGKILL", "SIGTERM"):
    if not (child := os.fork()):
        try:
            train({store!r}, {out!r} + "/" + name, "vision", recipe={recipe!r}, precision="32-true")
        except InputError as error:
            sys.exit(f"error: {{error}}")
        sys.exit()
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


@pytest.fixture(scope="module")
def killed(store, trained, tmp_path_factory) -> tuple[Path, list[int], str]:
    """A folder with the remains of both trainings, their exit codes, and what they said."""
    out = tmp_path_factory.mktemp("killed")
    script = SCRIPT.format(
        done=STEPS_DONE, threads=torch.get_num_threads(), store=str(store), out=str(out), recipe=str(trained / RECIPE)
    )
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=300, check=True)
    return out, [int(code) for code in ended.stdout.split()], ended.stderr


def metrics(folder: Path) -> list[dict]:
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [{name: value for name, value in line.items() if name != "s_per_step"} for line in lines]


def test_sigterm_saves_first_and_says_so(killed):
    out, codes, said = killed
    assert codes == [-signal.SIGKILL, 1]
    checkpoint = out / "SIGTERM" / "vision" / CHECKPOINT
    assert f"asked to stop (SIGTERM) at step {STEPS_DONE + 1} of 12; all is saved in {checkpoint}" in said


@pytest.mark.parametrize(("name", "saved"), [("SIGKILL", 6), ("SIGTERM", STEPS_DONE + 1)])
def test_a_killed_training_ends_like_an_uninterrupted_one(name, saved, killed, trained, store, recipe):
    out = killed[0] / name
    checkpoint = out / "vision" / CHECKPOINT
    assert torch.load(checkpoint, weights_only=True)["step"] == saved
    assert not (out / "model" / "vision.safetensors").exists()

    train(store, out, "vision", recipe=recipe, precision="32-true", resume=True)
    assert metrics(out / "vision") == metrics(trained / "vision")
    whole = torch.load(trained / "vision" / CHECKPOINT, weights_only=True)["objective"]
    again = torch.load(checkpoint, weights_only=True)["objective"]
    assert whole.keys() == again.keys()
    assert all(torch.equal(tensor, again[name]) for name, tensor in whole.items())


def test_sigterm_does_what_it_did_after_training():
    before = signal.getsignal(signal.SIGTERM)
    with told_to_stop() as told:
        assert told == []
        signal.raise_signal(signal.SIGTERM)
        assert told == ["SIGTERM"]
    assert signal.getsignal(signal.SIGTERM) is before


def test_training_in_a_thread_does_not_touch_signals():
    seen = []

    def listen():
        with told_to_stop() as told:
            seen.append((told, signal.getsignal(signal.SIGTERM)))

    thread = threading.Thread(target=listen)
    thread.start()
    thread.join()
    assert seen == [([], signal.getsignal(signal.SIGTERM))]


def test_a_torn_line_of_the_journal_is_left_out(tmp_path, trained):
    path = tmp_path / "metrics.jsonl"
    shutil.copy(trained / "vision" / "metrics.jsonl", path)
    path.write_text(path.read_text() + '{"stage": "vision", "st')
    Journal(path, "vision", 12).begin(6)
    assert [line["step"] for line in metrics(tmp_path)] == [4, 6]
