"""Judge a lifting network on chests that it has not seen, beside what else answers the same question.

    python -m xray2xray.experiments.lifting.evaluate CACHE MODEL --out OUT

CACHE holds `unseen` and `unseen_virtual` (`.lifting.cohort --views`), and what the model has learned from. OUT gets
figures.json, table.md and a picture. Views as in the design, section 3: PSNR and SSIM of clip(p, 0, 10) / 10, the input
angle left out, far being 30 degrees and more; mean over angles for each patient, then over patients. Differences are
paired, with a 95 % bootstrap interval over patients.
"""

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from ...evaluation.metrics import BEYOND_DEG, mean_interval, psnr, ssim, unit
from ...io.files import write_json, write_text
from ...io.model_folder import read_config, read_part, with_tuples
from ...models.transitions.residual_bank import ResidualBank, bank_of
from ...models.transitions.volumetric import LiftingConfig, LiftingNetwork, lifted
from ...models.world_model import WorldModel
from ...projection.frustum import march
from ...projection.geometry import STANDARD_ARC, as_poses
from ...projection.lifted import Lifted, extended
from . import ridge
from .cohort import CELLS, FRUSTUM, Cohort
from .train import cohorts, shares

FRONTAL = STANDARD_ARC.index(0.0)
AWAY = np.abs(STANDARD_ARC)
FAR, NEAR, STEP = AWAY >= BEYOND_DEG, (AWAY > 0) & (AWAY < BEYOND_DEG), AWAY == 5
BANDS = ((4, 8), (8, 16), (16, 32))  # cycles per picture
DRAWN = (0, 9, 14, 22, 27, 36)
Views = np.ndarray


@dataclass(frozen=True, eq=False)
class Patient:
    """What the methods are given: the view, its mean state, the linear baseline's portions; and the true ones."""

    view_p: Views
    state: Lifted
    line: np.ndarray
    portions: np.ndarray
    generator: torch.Generator


def load_network(folder: Path) -> LiftingNetwork:
    """A network that `.lifting.train` has written."""
    network = LiftingNetwork(LiftingConfig(**with_tuples(read_config(folder)["lifting"])))
    read_part(folder, "lifting", network)
    return network.eval().requires_grad_(False)


def from_portions(portions: np.ndarray, view_p: Views) -> Lifted:
    """A state whose rays are filled like these (depth, rows, columns), scaled to what the view has measured."""
    total = portions.sum(axis=0)
    return Lifted(FRUSTUM, extended(view_p, FRUSTUM, total), portions / np.maximum(total, 1e-6))


def donors(network: LiftingNetwork, found: Cohort) -> ResidualBank:
    """The bank of the scans that a network may have learned from."""
    cells = FRUSTUM.at(CELLS)
    pairs = []
    for number in range(len(found)):
        portions, p = found[number]
        state = lifted(network, np.nan_to_num(np.asarray(p, np.float32)[FRUSTUM.detector]), FRUSTUM)
        mean = state.w * np.asarray(portions, np.float32).sum(axis=0)
        pairs.append((np.asarray(portions, np.float32), mean))
    return bank_of(pairs, cells, found.names)


def power_db(predicted: Views, truth: Views) -> list[float]:
    """Power of predicted over true views (n, h, w) in each of `BANDS`, in dB."""

    def power(views: Views) -> np.ndarray:
        scaled = unit(views)
        spectrum = np.abs(np.fft.fftshift(np.fft.fft2(scaled - scaled.mean((1, 2), keepdims=True)), axes=(1, 2))) ** 2
        middle = views.shape[-1] // 2
        rows, columns = np.indices(views.shape[1:]) - middle
        ring = np.hypot(rows, columns)
        return np.array([spectrum[:, (ring >= low) & (ring < high)].mean() for low, high in BANDS])

    return [float(x) for x in 10 * np.log10(power(predicted) / power(truth))]


def figures(predicted: Views, truth: Views) -> dict[str, float]:
    """Of one patient's 37 views (37, h, w) of line integrals."""
    decibels, similar = psnr(unit(predicted), unit(truth)), ssim(unit(predicted), unit(truth))
    power = power_db(predicted[FAR], truth[FAR])
    return {
        "psnr_far": float(decibels[FAR].mean()),
        "psnr_near": float(decibels[NEAR].mean()),
        "psnr_5deg": float(decibels[STEP].mean()),
        "psnr_input": float(decibels[FRONTAL]),
        "ssim_far": float(similar[FAR].mean()),
        **{f"power_{low}_{high}": value for (low, high), value in zip(BANDS, power, strict=True)},
    }


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cache", type=Path)
    parser.add_argument("model", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--real", type=float, default=0.5, help="share of real scans that teaches the linear baseline")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args(arguments)
    given.out.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(given.seed)

    network, direct = load_network(given.model), WorldModel.from_pretrained()
    bank = donors(network, Cohort(given.cache / "ship", ["scan"]))
    linear = ridge.fit(cohorts(given.cache), shares(given.real))
    print(f"ridge: penalty {linear.penalty:.3g}, errors {np.round(linear.errors, 4)}", file=sys.stderr)
    mean = network.mean.numpy()
    poses = as_poses(STANDARD_ARC)
    mean_views = march(mean / FRUSTUM.at(CELLS).sample_mm, FRUSTUM.at(CELLS), FRUSTUM.geometry, poses)

    methods: dict[str, Callable[[Patient], Views]] = {
        "mean": lambda one: one.state.views(poses),
        "sample": lambda one: bank.sample(one.state, one.generator).views(poses),
        "ridge_lifted": lambda one: from_portions(one.line, one.view_p).views(poses),
        "mean_depth": lambda one: from_portions(mean, one.view_p).views(poses),
        "direct+mirrored": lambda one: direct.imagine(one.view_p, mirrored=True),
        "copy_input": lambda one: np.repeat(one.view_p[None], len(poses), axis=0),
        "mean_view": lambda one: mean_views,
        "true_lifted": lambda one: from_portions(one.portions, one.view_p).views(poses),
    }
    report: dict[str, Any] = {}
    for folder, kind in (("unseen", "scan"), ("unseen_virtual", "virtual")):
        found = Cohort(given.cache / folder, [kind])
        truths = [np.asarray(found.load("views", k), np.float32) for k in range(len(found))]
        lines = linear.predict(np.stack([truth[FRONTAL] for truth in truths]))
        rows: dict[str, list[dict[str, float]]] = {}
        (given.out / folder).mkdir(exist_ok=True)
        for number, truth in enumerate(truths):
            one = Patient(
                truth[FRONTAL],
                lifted(network, truth[FRONTAL], FRUSTUM),
                lines[number],
                np.asarray(found[number][0], np.float32),
                torch.Generator().manual_seed(given.seed * 1000 + number),
            )
            imagined = {}
            for name, method in methods.items():
                begin = time.perf_counter()
                imagined[name] = method(one)
                seconds = time.perf_counter() - begin
                rows.setdefault(name, []).append({**figures(imagined[name], truth), "seconds": seconds})
            drawn = [truth, *(imagined[name] for name in ("mean", "sample", "ridge_lifted", "direct+mirrored"))]
            Image.fromarray(np.vstack([_row(v) for v in drawn])).save(given.out / folder / f"{found.names[number]}.png")
            print(found.names[number], {n: round(r[-1]["psnr_far"], 2) for n, r in rows.items()}, flush=True)
        report[folder] = {"patients": found.names, "rows": rows}
    write_json(given.out / "figures.json", report)
    write_text(given.out / "table.md", "\n\n".join(_table(name, part["rows"]) for name, part in report.items()) + "\n")


def _row(views: Views) -> np.ndarray:
    return np.hstack([np.uint8(255 * np.clip(views[k] / 7, 0, 1) ** 0.8) for k in (FRONTAL, *DRAWN)])


def _table(name: str, rows: dict[str, list[dict[str, float]]]) -> str:
    columns = list(rows["mean"][0])
    n = len(rows["mean"])
    lines = [f"{name}, n = {n}; rows after the bar: mean minus that row, 95 % interval", ""]
    lines.append("| | " + " | ".join(columns) + " | far: mean minus this | near | 5 degrees |")
    lines.append("|---|" + "---:|" * (len(columns) + 3))
    for method, found in rows.items():
        averages = [f"{np.mean([row[column] for row in found]):.3f}" for column in columns]
        differences = []
        for column in ("psnr_far", "psnr_near", "psnr_5deg"):
            paired = np.array([a[column] - b[column] for a, b in zip(rows["mean"], found, strict=True)])
            low, high = mean_interval(paired) or (np.nan, np.nan)
            differences.append(f"{paired.mean():+.2f} [{low:.2f}, {high:.2f}], {int((paired > 0).sum())} of {n}")
        lines.append(f"| {method} | " + " | ".join(averages + differences) + " |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
