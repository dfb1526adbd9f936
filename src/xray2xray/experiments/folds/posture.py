"""Where the backs and fronts of real and of virtual patients lie: the numbers of `training.posture`.

    python -m xray2xray.experiments.folds.posture --real REAL --virtual WHOLE

Both stores are rendered with --lifted and without couches; of REAL the whole scans are read, no warps.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ...data.store import ViewStore
from ...projection.frustum import FRONTAL, Frustum
from ..command import command, parser
from .scans import known_scans

EDGES = (0.03, 0.97)  # shares of a row's attenuation that lie behind back and front
LEAST_P = 0.1  # mean line integral of a row that holds a body
EVERY = 5  # rows


def main(words: Sequence[str] | None = None) -> None:
    made = parser("folds.posture", __doc__)
    made.add_argument("--real", type=Path, required=True)
    made.add_argument("--virtual", type=Path, required=True)
    made.add_argument("--patients", type=int, default=120, help="virtual ones that are read")
    command(made, run, words)


def run(options: argparse.Namespace) -> None:
    real, virtual = ViewStore.open(options.real), ViewStore.open(options.virtual)
    whole = [study for study, scan in sorted(known_scans().items()) if scan.range == "whole" and study in real]
    of_virtual = median_edges(virtual, virtual.studies()[: options.patients])
    of_real = median_edges(real, whole)
    print("height, back and front of virtual patients, back and front of real ones")
    rows = len(of_real)
    for row in range(EVERY, rows - EVERY, EVERY):
        height = -1.25 * (2 * (row + 0.5) / rows - 1)  # the grid reaches 1.25 half detectors
        print(f"({height:.3f}, " + ", ".join(f"{x:.3f}" for x in (*of_virtual[row], *of_real[row])) + "),")


def median_edges(store: ViewStore, studies: Sequence[str]) -> np.ndarray:
    """(rows, 2): the depths of back and front at each row of the state, from -1 to 1, the median over patients."""
    columns = Frustum(store.geometry, FRONTAL).at(store.geometry.size // 2).detector[1]
    found = []
    for study in studies:
        lifted = store.read_lifted(study)
        assert lifted is not None
        found.append(edges(lifted.portions[:, :, columns].astype(np.float32)))
    return np.asarray(np.nanmedian(found, axis=0))


def edges(portions: np.ndarray) -> np.ndarray:
    """(rows, 2) of portions (depth, rows, columns); NaN where a row holds no body."""
    profile = portions.sum(axis=2)
    total = profile.sum(axis=0)
    depth = (np.arange(len(profile)) + 0.5) / len(profile) * 2 - 1
    reached = np.cumsum(profile, axis=0) / np.maximum(total, 1e-6)
    found = np.array([np.interp(EDGES, row, depth) for row in reached.T])
    found[total < LEAST_P * portions.shape[2]] = np.nan
    return found


if __name__ == "__main__":
    main()
