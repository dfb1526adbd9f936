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
from xray2xray.training.train import train

STEPS_DONE = 8  # of 12, when the signal comes; the last checkpoint is of step 6, the last line of the journal of step 8

CHILD = """
import os, signal, sys, torch
from xray2xray.errors import InputError
from xray2xray.training.presets import *
from xray2xray.training.train import train
from xray2xray.training.vision import VisionObjective

draw = VisionObjective.draw

def draw_with_a_signal(self, size, progress, generator):
    if round(12 * progress) == {done}:
        os.kill(os.getpid(), signal.{name})
    return draw(self, size, progress, generator)

VisionObjective.draw = draw_with_a_signal
torch.set_num_threads({threads})
try:
    train({store!r}, {out!r}, "vision", recipe={recipe!r}, precision="32-true")
except InputError as error:
    sys.exit(f"error: {{error}}")
"""


def metrics(folder: Path) -> list[dict]:
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [{name: value for name, value in line.items() if name != "s_per_step"} for line in lines]


@pytest.mark.parametrize(("name", "saved"), [("SIGKILL", 6), ("SIGTERM", STEPS_DONE + 1)])
def test_a_killed_training_ends_like_an_uninterrupted_one(name, saved, trained, store, recipe, tmp_path):
    script = CHILD.format(
        name=name, done=STEPS_DONE, threads=torch.get_num_threads(), store=str(store), out=str(tmp_path), recipe=recipe
    )
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=300)
    checkpoint = tmp_path / "vision" / CHECKPOINT
    assert torch.load(checkpoint, weights_only=True)["step"] == saved
    if name == "SIGKILL":
        assert ended.returncode == -signal.SIGKILL
    else:
        assert ended.returncode == 1
        assert f"asked to stop (SIGTERM) at step {saved} of 12; all is saved in {checkpoint}" in ended.stderr
    assert not (tmp_path / "model").exists()

    train(store, tmp_path, "vision", recipe=recipe, precision="32-true", resume=True)
    assert metrics(tmp_path / "vision") == metrics(trained / "vision")
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
