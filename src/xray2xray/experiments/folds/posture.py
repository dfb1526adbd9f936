"""How deep the attenuation of real and of virtual patients lies: the numbers of `training.posture`.

    python -m xray2xray.experiments.folds.posture --real REAL --virtual WHOLE --out DIR

Both stores are rendered with --lifted and without couches; of REAL the whole scans are read, no warps.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ...data.store import ViewStore
from ...projection.frustum import FRONTAL, Frustum
from ..command import command, parser, write_result
from .scans import known_scans

ZONES = ((0.0, 0.35), (0.35, 0.7), (0.7, 1.05))  # half detectors to the right and to the left of the middle
LEAST_P = 0.3  # mean line integral of a row that holds a body
EVERY = 5  # rows


def main(words: Sequence[str] | None = None) -> None:
    made = parser("folds.posture", __doc__)
    made.add_argument("--real", type=Path, required=True)
    made.add_argument("--virtual", type=Path, required=True)
    made.add_argument("--patients", type=int, default=120, help="virtual ones that are read")
    made.add_argument("--out", type=Path, required=True, help="folder for posture.md")
    command(made, run, words)


def run(options: argparse.Namespace) -> None:
    real, virtual = ViewStore.open(options.real), ViewStore.open(options.virtual)
    whole = [study for study, scan in sorted(known_scans().items()) if scan.range == "whole" and study in real]
    virtual_mean, real_mean = (
        median_moments(virtual, virtual.studies()[: options.patients]),
        median_moments(real, whole),
    )
    rows, lines = real_mean.shape[1], []
    for zone, (low, high) in enumerate(ZONES):
        lines.append(f"# {low:g} to {high:g} aside: height; middle and spread of virtual patients, of real ones")
        for row in range(EVERY, rows - 2 * EVERY, EVERY):
            height = -1.25 * (2 * (row + 0.5) / rows - 1)  # the grid reaches 1.25 half detectors
            numbers = (*virtual_mean[zone, row], *real_mean[zone, row])
            lines.append(f"({height:.3f}, " + ", ".join(f"{x:.3f}" for x in numbers) + "),")
    tables = {"virtual": virtual_mean.tolist(), "real": real_mean.tolist()}
    write_result(options.out, "posture", tables, "\n".join(lines))


def median_moments(store: ViewStore, studies: Sequence[str]) -> np.ndarray:
    """(zones, rows, 2): `moments` at each row of the state, the median over patients."""
    columns = Frustum(store.geometry, FRONTAL).at(store.geometry.size // 2).shape[2]
    aside = np.abs((np.arange(columns) + 0.5) / columns * 2 - 1) * 1.5  # half detectors
    zones = [(low <= aside) & (aside < high) for low, high in ZONES]
    found = []
    for study in studies:
        lifted = store.read_lifted(study)
        assert lifted is not None
        found.append([moments(lifted.portions[:, :, zone].astype(np.float32)) for zone in zones])
    return np.asarray(np.nanmedian(found, axis=0))


def moments(portions: np.ndarray) -> np.ndarray:
    """(rows, 2) of portions (depth, rows, columns): mean depth, from -1 to 1, and SD; NaN where a row holds no body."""
    profile = portions.mean(axis=2)
    total = profile.sum(axis=0)
    depth = ((np.arange(len(profile)) + 0.5) / len(profile) * 2 - 1)[:, None]
    share = profile / np.maximum(total, 1e-6)
    middle = (share * depth).sum(axis=0)
    spread = np.sqrt((share * (depth - middle) ** 2).sum(axis=0))
    found = np.stack([middle, spread], axis=1)
    found[total < LEAST_P] = np.nan
    return found


if __name__ == "__main__":
    main()
