"""The fuzzer sees faults, and finds none in 200 mutated inputs."""

import json
import os
import subprocess
import sys
from pathlib import Path
from random import Random

import pytest

from benchmarks.fuzz.child import PLANTED, Ended
from benchmarks.fuzz.mutate import flipped, revalued, worded

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="it forks, and reads /proc")


@pytest.mark.parametrize(
    ("code", "said", "verdict"),
    [
        (0, "", "work"),
        (0, "xray2xray: a note\n", "work"),
        (1, "xray2xray: error: a.png: not an image; copy it again\n", "refused"),
        (2, "xray2xray: error: --size is 1\n", "refused"),
        (1, "Traceback (most recent call last):\n", "traceback"),
        (1, "xray2xray: error: KeyError: 3 (this should not happen; ...)\n", "should not happen"),
        (1, "UserWarning: odd\nxray2xray: error: a\n", "foreign lines"),
        (1, f"xray2xray: error: {PLANTED}.dcm\n", "personal data"),
        (1, "", "exit code 1, 0 error lines"),
        (3, "xray2xray: error: a\n", "exit code 3, 1 error lines"),
        (-9, "", "hang"),
        (-11, "", "crash (SIGSEGV)"),
    ],
)  # fmt: skip
def test_verdicts(code: int, said: str, verdict: str) -> None:
    ended = Ended(code, 0.1, 2**20, said)
    assert ended.verdict == verdict
    assert ended.fault == (verdict not in ("work", "refused"))


def test_memory_above_the_limit_is_a_fault() -> None:
    assert Ended(0, 0.1, 3 * 2**30, "").verdict == "over memory"


def test_a_child_is_held_to_its_limits(tmp_path: Path) -> None:
    """A command that takes too long, one that takes too much memory, and one that dies, in children of a child."""
    script = (
        "import os, sys, time\n"
        "import numpy as np\n"
        "from pathlib import Path\n"
        "from benchmarks.fuzz.child import run\n"
        "from xray2xray.commands import cli\n"
        "acts = {'sleep': lambda: time.sleep(60), 'fill': lambda: np.ones(2**28), 'die': os.abort,\n"
        "        'raise': lambda: {}[1], 'work': lambda: None}\n"
        "cli._run = lambda words: acts[words[0]]() and 0 or 0\n"
        "for name in acts:\n"
        "    print(name, run([name], Path(sys.argv[1]) / name, seconds=2, memory=2**30).verdict)\n"
    )
    one_thread = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS"), "1")
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path)],
        cwd=ROOT,
        env=os.environ | one_thread,
        capture_output=True,
        text=True,
        check=True,
    )
    said = dict(line.split(" ", 1) for line in done.stdout.splitlines())
    assert said == {
        "sleep": "hang",
        "fill": "out of memory",
        "die": "crash (SIGABRT)",
        "raise": "should not happen",
        "work": "work",
    }


def test_mutations_follow_from_the_seed() -> None:
    data = bytes(range(256)) * 4
    assert flipped(Random(3), data) == flipped(Random(3), data) != data
    assert worded(Random(3), b"a: 1\nb: 2\n") == worded(Random(3), b"a: 1\nb: 2\n") != b"a: 1\nb: 2\n"
    tree = {"a": [1, 2], "b": {"c": 3}}
    assert len({json.dumps(revalued(Random(i), json.loads(json.dumps(tree)))) for i in range(20)}) > 10


def test_200_inputs_end_in_work_or_in_one_clear_line(tmp_path: Path) -> None:
    figures = tmp_path / "figures.json"
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.fuzz", "--inputs", "200", "--seed", "1", "--out", str(figures)],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
    found = json.loads(figures.read_text())
    assert set(found["verdicts"]) == {"work", "refused"}
    assert sum(found["verdicts"].values()) == 200
    assert len(found["formats"]) > 15
