"""What each part of the virtual cohort is worth for real chests: `python -m benchmarks.ablation CT... --out DIR`.

Each lever is taken out of the cohort, everything else left as it is, and `ridge_pca`, fitted on what remains, predicts
the views of real CTs that had no part in the cohort. Ridge regression has no seed and no training time of its own, so
what changes is the cohort. 64 pixels and 64 voxels; PSNR over the views beyond 30 degrees from the frontal.
"""

import argparse
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np

from xray2xray.data.store import SCALE
from xray2xray.evaluation.baselines import CopyInput, RidgePCA
from xray2xray.evaluation.metrics import psnr, unit
from xray2xray.files import atomic_path, progress, write_json
from xray2xray.projection import STANDARD_ARC, preset, render
from xray2xray.volume import read_volume
from xray2xray.volume.thorax import Burden, Findings, Patient, make_volume, sample_patient
from xray2xray.volume.thorax.body import sample_shape

from .fit_shape import TEXTBOOK

PIXELS = 64
FRONTAL = STANDARD_ARC.index(0.0)
FAR = np.abs(np.array(STANDARD_ARC)) >= 30
RIGID = tuple(tuple(float(i == j) for j in range(3)) for i in range(3))
HABITUS = ("fat_mm", "belly", "muscle", "shoulders", "breast_mm", "lung_hu")


def _textbook(patient: Patient) -> Patient:
    numbers: dict[str, Any] = sample_shape(np.random.default_rng([patient.seed, 79]), TEXTBOOK)
    if not patient.female:
        numbers["breast_mm"] = 0.0
    return replace(patient, body=replace(patient.body, **numbers))


def _whole(patient: Patient) -> Patient:
    scan = replace(patient.scan, supine=True, arms_up=True, blood_hu=42.0, above_mm=24.0, below_mm=30.0)
    return replace(patient, scan=replace(scan, field_of_view_mm=400.0, couch=False, noise_hu=10.0))


def _one_habitus(patient: Patient) -> Patient:
    plain: dict[str, Any] = {name: float(TEXTBOOK.mean[TEXTBOOK.names.index(name)]) for name in HABITUS}
    return replace(patient, body=replace(patient.body, **plain))


LEVERS: dict[str, Callable[[Patient], Patient]] = {
    "whole cohort": lambda patient: patient,
    "- joint shape (textbook ranges instead)": _textbook,
    "- acquisition": _whole,
    "- deformation": lambda patient: replace(patient, body=replace(patient.body, affine=RIGID, warp_mm=0.0)),
    "- habitus": _one_habitus,
    "- pathologies": lambda patient: replace(patient, findings=Findings()),
    "- burden of years": lambda patient: replace(patient, burden=Burden()),
}
"""Without what: each changes a patient and leaves the rest of it as it was."""


def arc(lever: str, seed: int) -> np.ndarray:
    """Views of a seed's patient without a lever, uint16 (37, PIXELS, PIXELS)."""
    volume = make_volume(LEVERS[lever](sample_patient(seed)), PIXELS)[0]
    return _counts(render(volume, preset("chest", PIXELS), STANDARD_ARC, threads=1))


def _counts(views_p: np.ndarray) -> np.ndarray:
    return np.rint(np.clip(views_p * SCALE, 0, 65535)).astype(np.uint16)


def far_psnr(views: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """PSNR (cases,) of ridge regression fitted on `views` (n, 37, h, w), predicting `truth` (cases, 37, h, w)."""
    true = unit(truth.astype(np.float32) / SCALE)
    predicted = RidgePCA.fit(views, FRONTAL).predict(true[:, FRONTAL])
    return np.asarray(psnr(predicted, true))[:, FAR].mean(1)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.ablation", description=__doc__.splitlines()[0])
    parser.add_argument("ct", type=Path, nargs="+")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--count", type=int, default=800, help="virtual patients a lever")
    parser.add_argument("--workers", type=int, default=2)
    options = parser.parse_args(arguments)
    options.out.mkdir(parents=True, exist_ok=True)
    geometry = preset("chest", PIXELS)
    truth = np.stack([_counts(render(read_volume(path), geometry, STANDARD_ARC)) for path in options.ct])
    names = [path.name.split(".")[0] for path in options.ct]
    rows: dict[str, list[float]] = {}
    true = unit(truth.astype(np.float32) / SCALE)
    copied = CopyInput().predict(true[:, FRONTAL])
    rows["copy_input"] = np.asarray(psnr(copied, true))[:, FAR].mean(1).tolist()
    with ProcessPoolExecutor(options.workers, mp_context=get_context("spawn")) as pool:
        for lever in LEVERS:
            made = pool.map(partial(arc, lever), range(options.count), chunksize=8)
            rows[lever] = far_psnr(np.stack(list(progress(made, lever, options.count))), truth).tolist()
            print(
                f"{lever:40s}" + "".join(f"{p:7.2f}" for p in rows[lever]) + f"{np.mean(rows[lever]):8.2f}", flush=True
            )
            write_json(options.out / "ablation.json", {"ct": names, "count": options.count, "psnr_far": rows})
    with atomic_path(options.out / "ablation.md") as temporary:
        temporary.write_text(markdown(names, rows), encoding="utf-8")


def markdown(names: Sequence[str], rows: dict[str, list[float]]) -> str:
    """The table: each lever's change against the whole cohort, per CT."""
    whole = np.array(rows["whole cohort"])
    lines = ["| | " + " | ".join([*names, "mean"]) + " |", "|---|" + "---:|" * (len(names) + 1)]
    for name, values in rows.items():
        shown = np.array(values) if name in ("copy_input", "whole cohort") else np.array(values) - whole
        sign = "" if name in ("copy_input", "whole cohort") else "+"
        cells = [f"{v:{sign}.2f}" for v in [*shown, shown.mean()]]
        lines.append("| " + " | ".join([name, *cells]) + " |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
