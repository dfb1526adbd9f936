"""Fit the joint shape of virtual patients to real two-view cases: `python -m benchmarks.fit_shape PAIRS --out DIR`.

Analysis by synthesis, for a population. Each round draws bodies from the present distribution, synthesises their
frontal and lateral, learns the way back from the two images to the body's numbers, and reads the numbers off the real
cases. The new mean is the mean of what was read; the new covariance is that of what was read plus what the images leave
open, the covariance of the error on held-out virtual patients (law of total covariance). Iterated, this is expectation
maximisation with an amortised E step: what two projections cannot tell keeps the spread that it began with.

Images are compared as ranks of their grey values: the real ones were stretched one by one, and ranks do not see that.
The check is synthesis: the estimated bodies are built, and their images correlated with the real ones.
"""

import argparse
import json
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path

import numpy as np
from PIL import Image
from sklearn.decomposition import PCA
from sklearn.neural_network import MLPRegressor

from xray2xray.files import atomic_path, progress
from xray2xray.projection import preset, render
from xray2xray.volume.thorax import make_volume, sample_patient
from xray2xray.volume.thorax.body import Body, JointShape, joint_shape, sample_shape
from xray2xray.volume.thorax.findings import Findings

LEFT_OUT = {"LIDC-IDRI-0001", "LIDC-IDRI-0138"}  # 0001 is a test CT; 0138 repeats 0029
N_FIT = 498  # sorted cases that are fitted; the rest only test
SIZE = 48  # pixels of a prepared image
EXPLORE = 1.4  # spread of the simulated bodies against the present distribution's


def prepare(content: np.ndarray) -> np.ndarray:
    """Resize an image to SIZE x SIZE and replace its grey values by their ranks (-1..1, float32)."""
    resized = Image.fromarray(content.astype(np.float32)).resize((SIZE, SIZE), Image.Resampling.BILINEAR)
    flat = np.asarray(resized).ravel()
    ordered = np.sort(flat)
    ranks = np.searchsorted(ordered, flat, side="left") + np.searchsorted(ordered, flat, side="right")
    return (ranks / len(flat) - 1).astype(np.float32).reshape(SIZE, SIZE)


def crop(grey: np.ndarray) -> np.ndarray:
    """What lies inside the letter-box of a real projection (n, n, values 0..1)."""
    rows, columns = (np.flatnonzero(grey.std(axis=axis) > 0.02) for axis in (1, 0))
    return grey[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]


def load_pairs(folder: Path) -> tuple[list[str], np.ndarray]:
    """Names, and prepared images (n, 2, SIZE, SIZE): frontal with the patient's right on the left, left lateral."""
    names = sorted(f.name[:-7] for f in folder.glob("*_ap.png") if f.name[:-7] not in LEFT_OUT)
    images = np.empty((len(names), 2, SIZE, SIZE), np.float32)
    for i, name in enumerate(names):
        for k, suffix in enumerate(("ap", "lat")):
            grey = np.asarray(Image.open(folder / f"{name}_{suffix}.png").convert("L"), np.float32)[:, ::-1]
            images[i, k] = prepare(crop(grey / 255))
    return names, images


def synthesise(numbers: dict[str, float], seed: int) -> np.ndarray:
    """Prepared images (2, SIZE, SIZE) of a body, scanned as its seed says but lying and with the arms up, as for CT.

    Real projections show the reconstructed square: as wide as the body, or a little more, and centred on it.
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
    for view, middle in zip(views, (centre, 31.5 + rng.normal(0, 1.5)), strict=True):
        left, right = max(0, round(middle - half)), min(64, round(middle + half) + 1)
        found.append(prepare(view[rows[0] : rows[-1] + 1, left:right]))
    return np.stack(found)


def _simulate_one(joint: JointShape, wider: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng([seed, 77])
    numbers = sample_shape(rng, joint, wider)
    if rng.random() < 0.55:
        numbers["breast_mm"] = 0.0
    return np.array(list(numbers.values())), synthesise(numbers, seed)


def simulate(joint: JointShape, count: int, first_seed: int, workers: int) -> tuple[np.ndarray, np.ndarray]:
    """Numbers (count, n) and prepared images (count, 2, SIZE, SIZE) of bodies drawn from `joint`, more widely."""
    jobs = ((joint, EXPLORE, seed) for seed in range(first_seed, first_seed + count))
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        made = list(progress(pool.map(_star, jobs, chunksize=8), "synthesising", count))
    return np.stack([m[0] for m in made]), np.stack([m[1] for m in made])


def _star(job: tuple[JointShape, float, int]) -> tuple[np.ndarray, np.ndarray]:
    return _simulate_one(*job)


def read_bodies(
    numbers: np.ndarray, images: np.ndarray, real: np.ndarray, seed: int = 0
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Learn images -> numbers on virtual bodies and read the real cases.

    Returns:
        numbers of the real cases (m, n); covariance of what the images leave open (n, n), in units of the virtual
        bodies' spread; R2 of each number on held-out virtual bodies (n,).
    """
    mean, spread = numbers.mean(0), numbers.std(0)
    target = (numbers - mean) / spread
    components = PCA(120, svd_solver="randomized", random_state=seed).fit(images.reshape(len(images), -1))
    scale = np.sqrt(components.explained_variance_)
    inputs = components.transform(images.reshape(len(images), -1)) / scale
    held = len(inputs) // 6
    network = MLPRegressor(
        hidden_layer_sizes=(256, 128), alpha=3e-3, early_stopping=True, max_iter=200, random_state=seed
    )
    network.fit(inputs[held:], target[held:])
    error = network.predict(inputs[:held]) - target[:held]
    skill = 1 - (error**2).mean(0) / target[:held].var(0)
    # A real image may lie beyond the virtual ones in many directions: bound it, and what is read of it.
    found = np.clip(components.transform(real.reshape(len(real), -1)) / scale, -3.5, 3.5)
    return mean + spread * np.clip(network.predict(found), -3, 3), np.cov(error.T), skill


def update(joint: JointShape, read: np.ndarray, left_open: np.ndarray, spread: np.ndarray) -> JointShape:
    """The distribution of the next round; `left_open` is a covariance in units of `spread` (see `read_bodies`)."""
    breast = joint.names.index("breast_mm")
    covariance = np.cov(read.T) + left_open * np.outer(spread, spread) / EXPLORE**2
    sd = np.sqrt(np.diag(covariance))
    correlation = covariance / np.outer(sd, sd)
    correlation = 0.95 * correlation + 0.05 * np.eye(len(sd))  # of 500 cases, not of all
    mean = np.clip(read.mean(0), joint.low, joint.high)
    mean[breast], sd[breast] = joint.mean[breast], joint.sd[breast]  # women's only, and not known who is one
    return joint._replace(mean=mean, sd=sd, correlation=correlation)


def correlate(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Rank correlation of images (m, 2, SIZE, SIZE), of each view (m, 2)."""
    a, b = (x.reshape(*x.shape[:2], -1) for x in (a, b))
    a, b = (x - x.mean(-1, keepdims=True) for x in (a, b))
    return (a * b).sum(-1) / np.sqrt((a**2).sum(-1) * (b**2).sum(-1))


def check(joint: JointShape, read: np.ndarray, real: np.ndarray, cases: int = 60) -> dict[str, float]:
    """How well the bodies that were read, and the mean body, explain real images: mean rank correlations."""
    pick = np.linspace(0, len(read) - 1, cases).astype(int)
    limited = np.clip(read[pick], joint.low, joint.high)
    own = np.stack([synthesise(dict(zip(joint.names, row.tolist(), strict=True)), 5) for row in limited])
    plain = dict(zip(joint.names, joint.mean.tolist(), strict=True)) | {"breast_mm": 0.0}
    average = np.broadcast_to(synthesise(plain, 5), own.shape)
    found = {"read": correlate(own, real[pick]), "mean": correlate(average, real[pick])}
    return {f"{name}_{view}": float(c.mean(0)[k]) for name, c in found.items() for k, view in enumerate(("pa", "lat"))}


def write(joint: JointShape, path: Path) -> None:
    """As `joint_shape.json`."""
    numbers = {
        name: {key: round(float(getattr(joint, key)[i]), 4) for key in ("mean", "sd", "low", "high")}
        for i, name in enumerate(joint.names)
    }
    lines = ",\n".join(f'  "{name}": {json.dumps(row)}' for name, row in numbers.items())
    table = ",\n".join("  " + json.dumps([round(float(c), 3) for c in row]) for row in joint.correlation)
    with atomic_path(path) as temporary:
        temporary.write_text(
            f'{{\n "numbers": {{\n{lines}\n }},\n "correlation": [\n{table}\n ]\n}}\n', encoding="utf-8"
        )


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.fit_shape", description=__doc__.splitlines()[0])
    parser.add_argument("pairs", type=Path, help="folder of CASE_ap.png and CASE_lat.png")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--count", type=int, default=3000, help="virtual bodies a round")
    parser.add_argument("--workers", type=int, default=2)
    options = parser.parse_args(arguments)
    options.out.mkdir(parents=True, exist_ok=True)
    real = load_pairs(options.pairs)[1]
    joint, log = joint_shape(), []
    seen: list[tuple[np.ndarray, np.ndarray]] = []  # every round learns from all that was synthesised
    for turn in range(options.rounds):
        seen.append(simulate(joint, options.count, 3_000_000 + turn * options.count, options.workers))
        numbers, images = (np.concatenate(parts) for parts in zip(*seen, strict=True))
        read, left_open, skill = read_bodies(numbers, images, real)
        joint = update(joint, read[:N_FIT], left_open, numbers.std(0))
        row = {"round": turn + 1, **check(joint, read, real)}
        log.append(row | {"r2": dict(zip(joint.names, skill.round(2).tolist(), strict=True))})
        print(" ".join(f"{k} {v:.3f}" for k, v in row.items()), flush=True)
        write(joint, options.out / "joint_shape.json")
        np.savez(options.out / f"round{turn + 1}.npz", read=read, skill=skill)
        (options.out / "fit.json").write_text(json.dumps(log, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
