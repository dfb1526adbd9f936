"""Fit the joint shape of virtual patients to real two-view cases.

    python -m xray2xray.experiments.realism.fit_shape PAIRS --out DIR

Analysis by synthesis for a population, as approximate Bayesian computation by population Monte Carlo (Beaumont et al.,
Biometrika 96:983, 2009). Bodies are drawn, their frontal and lateral synthesised, and every real case takes the bodies
whose two images correlate best with its own. The next round draws around the bodies that were taken, so that the bank
grows where real chests are. The fitted mean and covariance are those of all that the real cases took: the spread
between cases and, as each takes several, what two projections leave open.

Images are compared as ranks of their grey values: the real ones were stretched one by one, and ranks do not see that.
Nothing is learned from virtual images, so that what no virtual chest has (noise, tables, tubes) cannot mislead.
"""

import argparse
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image

from ...io.files import write_json, write_text
from ...parallel.executor import executor
from ...parallel.progress import progress
from ...phantoms import make_volume, sample_patient
from ...phantoms.body import Body, JointShape, read_joint_shape, sample_shape
from ...phantoms.findings import Findings
from ...projection import preset, render
from ..command import command, parser
from .pairs import case_ids, crop, read_grey

TEXTBOOK = read_joint_shape(Path(__file__).with_name("textbook_shape.json").read_text(encoding="utf-8"))
"""Ranges of textbook anatomy, and habitus as the only correlation: where the fit begins."""

N_FIT = 498  # sorted cases that are fitted; the rest only test
SIZE = 48  # pixels of a prepared image
EXPLORE = 1.4  # spread of the first bodies against the distribution to begin with
TAKEN = 8  # bodies that a real case takes
SOFTNESS = 0.02  # in correlation: how much better a body must be to count e times as much
KERNEL = 0.5  # scatter of the next bodies, in spreads of those taken
FROM_MASKS = {"heart": (1.0, 0.076)}  # mean, SD: CTR of the JSRT radiographs without cardiomegaly, 0.448 and 0.034


def prepare(content: np.ndarray) -> np.ndarray:
    """Resize an image to SIZE x SIZE and replace its grey values by their ranks (-1..1, float32)."""
    resized = Image.fromarray(content.astype(np.float32)).resize((SIZE, SIZE), Image.Resampling.BILINEAR)
    flat = np.asarray(resized).ravel()
    ordered = np.sort(flat)
    ranks = np.searchsorted(ordered, flat, side="left") + np.searchsorted(ordered, flat, side="right")
    return (ranks / len(flat) - 1).astype(np.float32).reshape(SIZE, SIZE)


def load_pairs(folder: Path) -> tuple[list[str], np.ndarray]:
    """Names, and prepared images (n, 2, SIZE, SIZE): frontal with the patient's right on the left, left lateral."""
    names = case_ids(folder)
    images = np.empty((len(names), 2, SIZE, SIZE), np.float32)
    for i, name in enumerate(names):
        for k, suffix in enumerate(("ap", "lat")):
            images[i, k] = prepare(crop(read_grey(folder / f"{name}_{suffix}.png")))
    return names, images


def synthesise(numbers: dict[str, float], seed: int) -> np.ndarray:
    """Prepared images (2, SIZE, SIZE) of a body, scanned as its seed says but lying and with the arms up, as for CT.

    Real projections show the reconstructed square: as wide as the body, or a little more, and centred on it from side
    to side; in depth the body lies some mm behind the middle.
    """
    rng = np.random.default_rng([seed, 78])
    patient = sample_patient(seed)
    loose = Body(**numbers, rib_phase=patient.body.rib_phase, affine=patient.body.affine, warp_mm=patient.body.warp_mm)
    scan = replace(patient.scan, supine=True, arms_up=True, noise_hu=5.0, field_of_view_mm=400.0)
    volume = make_volume(replace(patient, body=loose, scan=scan, findings=Findings()), 64)[0]
    geometry = preset("parallel", 64)
    views = render(volume, geometry, [0.0, 90.0], threads=1)
    rows = np.flatnonzero(views[0].max(axis=1) > 0.5)
    low, high = np.flatnonzero(np.median(views[0][rows], axis=0) > 0.5)[[0, -1]]
    half, centre = 0.5 * (high - low) * rng.uniform(0.95, 1.1), 0.5 * (low + high)
    found = []
    for view, middle in zip(views, (centre, rng.normal(30.2, 1.5)), strict=True):
        left, right = max(0, round(middle - half)), min(64, round(middle + half) + 1)
        found.append(prepare(view[rows[0] : rows[-1] + 1, left:right]))
    return np.stack(found)


def _synthesise_row(job: tuple[tuple[str, ...], np.ndarray, int]) -> np.ndarray:
    names, row, seed = job
    return synthesise(dict(zip(names, row.tolist(), strict=True)), seed)


def first_bodies(joint: JointShape, count: int, rng: np.random.Generator) -> np.ndarray:
    """Numbers (count, n) drawn from `joint`, more widely; half of them have no breasts."""
    rows = np.array([list(sample_shape(rng, joint, EXPLORE).values()) for _ in range(count)])
    rows[rng.random(count) < 0.55, joint.names.index("breast_mm")] = 0.0
    return rows


def take(bank: np.ndarray, real: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """What each real case takes from the bank, both (m, 2, SIZE, SIZE).

    Returns:
        the bodies taken (m, TAKEN), their weights, which add up to 1, and the correlations (m, bank).
    """
    flat = [x.reshape(*x.shape[:2], -1) - x.reshape(*x.shape[:2], -1).mean(-1, keepdims=True) for x in (bank, real)]
    bank_unit, real_unit = (x / np.linalg.norm(x, axis=-1, keepdims=True) for x in flat)
    alike = np.einsum("rvp,bvp->rb", real_unit, bank_unit, optimize=True) / 2
    taken = np.argsort(-alike, axis=1)[:, :TAKEN]
    best = np.take_along_axis(alike, taken, axis=1)
    weights = np.exp((best - best[:, :1]) / SOFTNESS)
    return taken, weights / weights.sum(1, keepdims=True), alike


def next_bodies(
    bodies: np.ndarray, taken: np.ndarray, weights: np.ndarray, joint: JointShape, count: int, rng: np.random.Generator
) -> np.ndarray:
    """Numbers (count, n) scattered about bodies that were taken."""
    cases = rng.integers(len(taken), size=count)
    choice = [rng.choice(TAKEN, p=weights[case]) for case in cases]
    centre = bodies[taken[cases, choice]]
    spread = np.cov(bodies[taken.ravel()].T, aweights=weights.ravel())
    moved = centre + KERNEL * rng.multivariate_normal(np.zeros(len(spread)), spread, size=count)
    moved = np.clip(moved, joint.low, joint.high)
    breast = joint.names.index("breast_mm")
    moved[centre[:, breast] == 0, breast] = 0.0
    return moved


def population(bodies: np.ndarray, taken: np.ndarray, weights: np.ndarray, joint: JointShape) -> JointShape:
    """The Gaussian of the bodies that were taken; of breasts, of those who have them; of hearts, what masks say."""
    rows, shares = bodies[taken.ravel()], weights.ravel()
    breast = joint.names.index("breast_mm")
    mean = shares @ rows / shares.sum()
    covariance = np.cov(rows.T, aweights=shares)
    sd = np.sqrt(np.diag(covariance))
    correlation = 0.95 * covariance / np.outer(sd, sd) + 0.05 * np.eye(len(sd))  # of 500 cases, not of all
    having = rows[:, breast] > 0
    mean[breast] = np.average(rows[having, breast], weights=shares[having])
    sd[breast] = np.sqrt(np.cov(rows[having, breast], aweights=shares[having]))
    for name, known in FROM_MASKS.items():  # a projection of the mediastinum tells less of it than an outline
        mean[joint.names.index(name)], sd[joint.names.index(name)] = known
    return joint._replace(mean=mean, sd=sd, correlation=correlation)


def write(joint: JointShape, path: Path) -> None:
    """As `joint_shape.json`."""
    numbers = {
        name: {key: round(float(getattr(joint, key)[i]), 4) for key in ("mean", "sd", "low", "high")}
        for i, name in enumerate(joint.names)
    }
    lines = ",\n".join(f'  "{name}": {json.dumps(row)}' for name, row in numbers.items())
    table = ",\n".join("  " + json.dumps([round(float(c), 3) for c in row]) for row in joint.correlation)
    write_text(path, f'{{\n "numbers": {{\n{lines}\n }},\n "correlation": [\n{table}\n ]\n}}\n')


def main(words: Sequence[str] | None = None) -> None:
    made = parser("realism.fit_shape", __doc__)
    made.add_argument("pairs", type=Path, help="folder of CASE_ap.png and CASE_lat.png")
    made.add_argument("--out", type=Path, required=True)
    made.add_argument("--rounds", type=int, default=3)
    made.add_argument("--count", type=int, default=3000, help="virtual bodies a round")
    made.add_argument("--workers", type=int, default=2)
    command(made, run, words)


def run(options: argparse.Namespace) -> None:
    options.out.mkdir(parents=True, exist_ok=True)
    real = load_pairs(options.pairs)[1]
    joint, rng, log = TEXTBOOK, np.random.default_rng(0), []
    bodies = first_bodies(joint, options.count, rng)
    bank = np.empty((0, *real.shape[1:]), np.float32)
    for turn in range(options.rounds):
        jobs = [(joint.names, row, 3_000_000 + seed) for seed, row in enumerate(bodies) if seed >= len(bank)]
        made = list(progress(executor(options.workers).map(_synthesise_row, jobs), "synthesising", len(jobs)))
        bank = np.concatenate([bank, np.stack(made)])
        taken, weights, alike = take(bank, real[:N_FIT])
        fitted = population(bodies, taken, weights, joint)
        unseen = take(bank, real[N_FIT:])[2]
        best = {"fitted": alike.max(1).mean(), "unseen": unseen.max(1).mean(), "average": unseen.mean()}
        log.append({"round": turn + 1, "bodies": len(bank), **{name: float(value) for name, value in best.items()}})
        print(log[-1], flush=True)
        write(fitted, options.out / "joint_shape.json")
        write_json(options.out / "fit.json", {"rounds": log})
        np.savez(options.out / "bank.npz", bodies=bodies, images=(bank * 127).astype(np.int8))
        bodies = np.concatenate([bodies, next_bodies(bodies, taken, weights, joint, options.count, rng)])


if __name__ == "__main__":
    main()
