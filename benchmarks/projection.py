"""How fast and how exact: our projectors beside every installed peer, in one run, on the same volume and threads.

    pip install -c constraints.txt -e '.[bench]'
    python -m benchmarks.projection [--threads 1 2] [--rounds 5] [--json FILE]

Times are medians over rounds in which the engines take turns, so that a busy machine slows all of them alike; ratios
are what to read. The floor is measured in the same run: summing up the volume once on one core, which no projector that
reads it anew for every view can beat. The body fills its grid: that ours leaves out air around it gains nothing here.
"""

import argparse
import time
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks.engines import Case, Engine, installed
from xray2xray.io.files import write_json
from xray2xray.projection import preset
from xray2xray.projection.ellipsoids import Ellipsoid, exact_views, voxelise
from xray2xray.reconstruction.reconstruct import centred_affine

WATER = 0.0206  # per mm
EXTENT_MM = 384.0
BODY = (
    Ellipsoid((0, 0, 0), (188, 188, 188), WATER),
    Ellipsoid((80, 0, 10), (55, 90, 100), -0.8 * WATER),  # lungs
    Ellipsoid((-80, 0, 10), (55, 90, 100), -0.8 * WATER),
    Ellipsoid((-25, 45, -20), (50, 40, 45), 0.3 * WATER),  # heart
    Ellipsoid((0, -95, 0), (18, 18, 120), WATER),  # spine
)
CASES = {"s": (128, 128), "m": (256, 224)}  # voxels and pixels along an edge
YAW_DEG = [float(yaw) for yaw in range(-90, 91, 10)]  # 19 views


def make_case(name: str) -> tuple[Case, np.ndarray]:
    """The case and its exact views."""
    voxels, pixels = CASES[name]
    affine, geometry = centred_affine(voxels, EXTENT_MM), preset("chest", pixels)
    exact = exact_views(BODY, geometry, YAW_DEG)
    mu = voxelise(BODY, (voxels, voxels, voxels), affine)
    return Case(name, mu, affine, EXTENT_MM / voxels, geometry, YAW_DEG, exact.astype(np.float32)), exact


def measure(case: Case, exact: np.ndarray, engines: list[Engine], threads: int, rounds: int) -> list[dict]:
    """One row for every engine and operation: the median time per view, and the error of what it made.

    The forward error is against the exact line integrals of the ellipsoids; that of an adjoint is the gap in
    <A x, y> = <x, A^T y> with the engine's own A, relative to the product.
    """
    runs = {("floor: stream", "read"): lambda: np.array(case.mu.sum())}
    for engine in engines:
        runs[engine.name, "forward"] = engine.forward(case, threads)
        runs[engine.name, "adjoint"] = engine.adjoint(case, threads)
    times: dict[tuple[str, str], list[float]] = {key: [] for key in runs}
    made = {key: run() for key, run in runs.items()}  # the first call compiles and fills caches; it is not timed
    for _ in range(rounds):
        for key, run in runs.items():
            started = time.perf_counter()
            run()
            times[key].append(time.perf_counter() - started)

    def error(engine: str, operation: str) -> float:
        if operation == "forward":
            return float(np.linalg.norm(made[engine, operation] - exact) / np.linalg.norm(exact))
        forward = np.vdot(made[engine, "forward"].astype(float), case.views.astype(float))
        return float(abs(np.vdot(made[engine, operation].astype(float), case.mu.astype(float)) - forward) / forward)

    return [
        {
            "engine": engine,
            "case": case.name,
            "threads": threads,
            "operation": operation,
            "ms_per_view": 1e3 * float(np.median(spent)) / (1 if operation == "read" else len(case.yaw_deg)),
            "rel_error": 0.0 if operation == "read" else error(engine, operation),
        }
        for (engine, operation), spent in times.items()
    ]


def show(rows: list[dict], console: Console) -> None:
    for case in CASES:
        for threads in sorted({row["threads"] for row in rows if row["case"] == case}):
            some = [row for row in rows if row["case"] == case and row["threads"] == threads]
            ours = {r["operation"]: r["ms_per_view"] for r in some if r["engine"] == "xray2xray columns"}
            floor = next(row["ms_per_view"] for row in some if row["operation"] == "read")
            voxels, pixels = CASES[case]
            table = Table(title=f"case {case}: {voxels}^3 -> {pixels}^2, 19 views, {threads} thread(s)")
            for heading in ("engine", "operation", "ms per view", "x columns", "x floor", "relative error"):
                table.add_column(heading, justify="left" if heading in ("engine", "operation") else "right")
            for row in some:
                ms = row["ms_per_view"]
                slower = f"{ms / ours[row['operation']]:.1f}" if row["operation"] in ours else ""
                error = "" if row["operation"] == "read" else f"{row['rel_error']:.2e}"
                table.add_row(row["engine"], row["operation"], f"{ms:.2f}", slower, f"{ms / floor:.1f}", error)
            console.print(table)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", nargs="+", choices=CASES, default=list(CASES))
    parser.add_argument("--threads", nargs="+", type=int, default=[1], help="threads of each engine (default 1)")
    parser.add_argument("--rounds", type=int, default=5, help="turns that each engine takes (default 5)")
    parser.add_argument("--json", type=Path, help="write the rows to this file")
    options = parser.parse_args()
    console, engines, rows = Console(), installed(), []
    for name in options.cases:
        case, exact = make_case(name)
        for threads in options.threads:
            rows += measure(case, exact, engines, threads, options.rounds)
    show(rows, console)
    if options.json:
        write_json(options.json, rows)


if __name__ == "__main__":
    main()
