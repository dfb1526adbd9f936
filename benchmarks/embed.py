"""`xray2xray embed` of a store of radiographs, killed twice: is it whole in the end, how fast, how much memory?

    python -m benchmarks.embed [--studies 10000] [--kind volumetric] [--threads 1] [--json FILE]

The store is synthetic: smooth random frontals of 128 pixels, one view a study. Each run is a process of its own; the
first two are killed (SIGKILL) after a third and two thirds of the studies. Seconds are of the processor, so that a busy
machine does not count, and without the start of the program (the time to the first batch). Memory is the resident set
at a quarter of the last run and at its end, less what the interpreter and the weights take anyway.
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from xray2xray.core.evidence import RADIOGRAPH
from xray2xray.data.store import ViewStore
from xray2xray.io.files import write_json
from xray2xray.projection.geometry import preset

SIZE = 128
_PAGE = os.sysconf("SC_PAGE_SIZE") if hasattr(os, "sysconf") else 4096
_TICK = os.sysconf("SC_CLK_TCK") if hasattr(os, "sysconf") else 100


def synthetic(folder: Path, studies: int) -> None:
    """A store of smooth random frontals."""
    store, rng = ViewStore.create(folder, preset("chest", SIZE), resume=True), np.random.default_rng(0)
    for number in range(studies):
        small = Image.fromarray(rng.uniform(1, 6, (12, 12)).astype(np.float32))
        view_p = np.asarray(small.resize((SIZE, SIZE), Image.Resampling.BICUBIC)).clip(0, 10)
        store.write(f"film-{number:06d}", view_p[None], [0.0], {"evidence_level": RADIOGRAPH})


def rows(out: Path) -> int:
    """How many studies an unfinished table holds."""
    names = out.with_name(f"{out.name}.partial") / "studies.txt"
    return names.read_bytes().count(b"\n") if names.is_file() else 0


def memory_mib(process: int) -> float:
    """The resident set of a process."""
    return int(Path(f"/proc/{process}/statm").read_text().split()[1]) * _PAGE / 2**20


def seconds(process: int) -> float:
    """What a process has had of the processors."""
    user, system = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[11:13]
    return (int(user) + int(system)) / _TICK


def run(store: Path, out: Path, kind: str, threads: int, stop_at: int | None) -> dict[str, float]:
    """One run, killed once the table holds `stop_at` studies: what it did, and with how much."""
    words = ["embed", str(store), "--out", str(out), "--kind", kind, "--device", "cpu", "--quiet"]
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads), "MKL_NUM_THREADS": str(threads)}
    begun = rows(out)
    child = subprocess.Popen([sys.executable, "-m", "xray2xray", *words], env=environment, stdout=subprocess.DEVNULL)
    first, seen = None, []
    while child.poll() is None:
        try:
            done, spent, memory = rows(out), seconds(child.pid), memory_mib(child.pid)
        except (OSError, ValueError):  # it has just ended
            break
        if done > begun:
            first = first or (done, spent)
            seen.append((done, spent, memory))
        if stop_at is not None and done >= stop_at:
            child.send_signal(signal.SIGKILL)
            break
        time.sleep(0.05)
    child.wait()
    if stop_at is None and child.returncode:
        raise SystemExit(f"embed ended with {child.returncode}")
    assert first is not None
    done, spent, _ = seen[-1]
    quarter = next(memory for count, _, memory in seen if count - begun >= (done - begun) / 4)
    per_second = (done - first[0]) / max(1e-9, spent - first[1])
    return {"done": done - begun, "per_cpu_second": per_second, "mib_at_a_quarter": quarter, "mib_at_end": seen[-1][2]}


def main() -> None:
    made = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("--studies", type=int, default=10_000)
    made.add_argument("--kind", default="volumetric")
    made.add_argument("--threads", type=int, default=1)
    made.add_argument("--json", type=Path)
    options = made.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        store, out, n = Path(temporary) / "store", Path(temporary) / "features.npz", options.studies
        synthetic(store, n)
        parts = [run(store, out, options.kind, options.threads, stop) for stop in (n // 3, 2 * n // 3, None)]
        with np.load(out) as table:
            whole = (
                len(set(table["study"].tolist())) == n == len(table["features"])
                and np.isfinite(table["features"]).all()
            )
    result: dict[str, Any] = {"studies": n, "kind": options.kind, "threads": options.threads, "complete": bool(whole)}
    result |= {"runs": parts}
    print(json.dumps(result, indent=1))
    if options.json:
        write_json(options.json, result)


if __name__ == "__main__":
    main()
