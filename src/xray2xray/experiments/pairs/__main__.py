"""Frontal to lateral on real patients: what training from posed views reaches, against neighbours and ridge regression.

    python -m xray2xray.experiments.pairs DATA --out DIR

DATA holds lidc_drr128/ (or is that folder). The first 498 cases in order are trained on, the others are looked at once,
for the table. DIR gets cohort.csv with the prepared pictures, run/ with the trained model, real_pairs.json,
real_pairs.md and real_pairs.png.
"""

import argparse
import platform
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from ...evaluation.metrics import ssim
from ...evaluation.results import as_json
from ...io.files import write_csv
from ...reporting.tables import interval as bounds
from ...reporting.tables import p_value
from ...statistics.contrasts import holm_by_name
from ...statistics.ensembles import central_interval
from ...statistics.intervals import Resamples
from ..command import command, parser, write_result
from ..realism import pairs
from ..realism.report import table
from ..realism.spectra import radial_power
from .posed_file import read_transition
from .train import train_posed

Array = NDArray[np.floating]

OURS, SAMPLE, BAR = "ours", "ours, one sample", "ridge_pca"
DRAWS = 1000
SSIM_SPAN = 5.0  # standardised grey values lie in -2 .. 3: this span is the data range of SSIM
SHOWN = 8
LEVELS = (0.5, 0.8, 0.95)
SAMPLES = 39  # the fewest of which a 95 % interval can be made


def main(words: Sequence[str] | None = None) -> dict[str, Any]:
    made = parser("pairs", __doc__)
    made.add_argument("data", type=Path)
    made.add_argument("--out", type=Path, required=True)
    made.add_argument("--steps", type=int, help="of the training, instead of its own number")
    made.add_argument("--seed", type=int, default=0, help="of the networks and their batches")
    return command(made, run, words)


def run(options: argparse.Namespace) -> dict[str, Any]:
    folder = options.data / "lidc_drr128" if (options.data / "lidc_drr128").is_dir() else options.data
    options.out.mkdir(parents=True, exist_ok=True)

    ids, views = pairs.load(folder)
    train, test = pairs.split(views)
    write_cohort(options.out, ids, views, len(train))
    start = time.monotonic()
    trained = train_posed(options.out / "cohort.csv", options.out / "run", steps=options.steps, seed=options.seed)
    model, yaw_deg = read_transition(trained)
    frontal = torch.from_numpy(np.ascontiguousarray(test[:, 0]))
    asked = torch.full((len(test),), 90.0)
    dice = torch.Generator().manual_seed(options.seed)
    samples = model.sample(frontal, asked, dice, SAMPLES).numpy()
    predictions = baselines(train, test[:, 0]) | {OURS: model(frontal, asked).numpy(), SAMPLE: samples[0]}
    seconds = time.monotonic() - start
    results: dict[str, Any] = {
        "run": {
            "training": len(train),
            "test": len(test),
            "given_yaw_deg": yaw_deg,
            "seed": options.seed,
            "seconds": seconds,
            "threads": torch.get_num_threads(),
            "machine": platform.machine(),
        },
        "scores": scores(predictions, test[:, 1], train[:, 1].mean(0)),
        "covered": covered(samples, test[:, 1]),
    }
    write_result(options.out, "real_pairs", results, markdown(results))
    picture(options.out / "real_pairs.png", test, predictions)
    return results


def write_cohort(out: Path, ids: Sequence[str], views: Array, train: int) -> None:
    """cohort.csv and the prepared pictures it names: exactly what is scored, as a user would give it."""
    (out / "cohort").mkdir(exist_ok=True)
    rows = []
    for number, (study, pair) in enumerate(zip(ids, views, strict=True)):
        for yaw_deg, name, view in zip((0, 90), ("frontal", "lateral"), pair, strict=True):
            image = f"cohort/{study}_{name}.npy"
            np.save(out / image, view)
            split = "train" if number < train else "test"
            rows.append({"study": study, "yaw_deg": yaw_deg, "image": image, "split": split})
    write_csv(out / "cohort.csv", rows)


def baselines(train: Array, frontal: Array) -> dict[str, Array]:
    """Laterals (n, 112, 112) by the nearest case, the mean of ten, ridge regression (chosen in training)."""
    known, asked = pairs.flat(train[:, 0]), pairs.flat(frontal)
    order = np.argsort(np.square(known).sum(1) - 2 * asked @ known.T, axis=1)
    near = train[order[:, :10], 1]
    ridge = pairs.fit_predict(train, frontal).reshape(frontal.shape)
    return {"nearest": near[:, 0], "knn10": near.mean(1), BAR: ridge}


def scores(predictions: dict[str, Array], truth: Array, mean_lateral: Array) -> dict[str, dict[str, Any]]:
    """R2 over the mean training lateral with its interval, the same less ridge regression's; SSIM; spectrum."""
    error = {name: np.square(predicted - truth).mean((1, 2)) for name, predicted in predictions.items()}
    null = np.square(mean_lateral - truth).mean((1, 2))
    some = Resamples.of(len(null), DRAWS)
    resampled = {name: 1 - (some.counts @ e) / (some.counts @ null) for name, e in error.items()}
    apart = {name: of - resampled[BAR] for name, of in resampled.items()}
    p = holm_by_name({name: some.p_value(of) for name, of in apart.items() if name != BAR})
    real = radial_power(truth)
    found = {}
    for name, predicted in predictions.items():
        gap = radial_power(predicted).mean(0) - real.mean(0)
        found[name] = {
            "r2": float(1 - error[name].mean() / null.mean()),
            "interval": some.interval(resampled[name], (-np.inf, 1.0)),
            "over_ridge": float((error[BAR].mean() - error[name].mean()) / null.mean()),
            "over_ridge_interval": some.interval(apart[name]),
            "over_ridge_p": p.get(name),
            "ssim": float(ssim(unit(predicted), unit(truth)).mean()),
            "spectrum_db": float(gap[1 : len(gap) // 2 + 1].mean()),
        }
    return as_json(found)


def covered(samples: Array, truth: Array) -> dict[str, float]:
    """Nominal level -> share of pixels inside the central interval of the samples (s, n, h, w)."""
    ends = {level: central_interval(samples, level) for level in LEVELS}
    return {f"{level:.0%}": float(((low <= truth) & (truth <= high)).mean()) for level, (low, high) in ends.items()}


def unit(standardised: Array) -> Array:
    """Standardised grey values -> 0..1, clipped at -2 and 3."""
    return np.clip((standardised + 2) / SSIM_SPAN, 0, 1)


def markdown(results: dict[str, Any]) -> str:
    run = results["run"]
    rows = [
        [
            name,
            f"{s['r2']:.3f}{bounds(s['interval'], '.3f')}",
            f"{s['over_ridge']:+.3f}{bounds(s['over_ridge_interval'], '+.3f')}{p_value(s['over_ridge_p'])}",
            s["ssim"],
            f"{s['spectrum_db']:+.1f}",
        ]
        for name, s in results["scores"].items()
    ]
    head = ("", "R2 [95 %]", "less ridge_pca [95 %] (p, Holm)", "SSIM", "spectrum, dB")
    return (
        f"# Real pairs\n\n{run['training']} training and {run['test']} test patients; {run['seconds']:.0f} s on "
        f"{run['threads']} thread(s).\n\n{table(head, rows)}\nPixels inside the intervals of {SAMPLES} samples: "
        + ", ".join(f"{share:.1%} of {level}" for level, share in results["covered"].items())
        + ".\n"
    )


def picture(path: Path, test: Array, predictions: dict[str, Array]) -> None:
    """Eight test cases: the frontal given, the real lateral, ridge regression's, ours and a sample, top to bottom."""
    chosen = np.linspace(0, len(test) - 1, SHOWN).astype(int)
    rows = (test[:, 0], test[:, 1], *(predictions[name] for name in (BAR, OURS, SAMPLE)))
    sheet = np.concatenate([np.concatenate(list(unit(row[chosen])), axis=1) for row in rows])
    Image.fromarray((sheet * 255).astype(np.uint8)).save(path)


if __name__ == "__main__":
    main()
