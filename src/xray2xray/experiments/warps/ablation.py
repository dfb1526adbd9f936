"""What each part of the virtual cohort is worth for real chests.

    python -m xray2xray.experiments.warps.ablation CT... --out DIR

Each lever is taken out of the cohort, everything else left as it is, and `ridge_pca`, fitted on what remains, predicts
the views of real CTs that had no part in the cohort. Ridge regression has no seed and no training time of its own, so
what changes is the cohort. Warps are added: every CT is predicted from the cohort and warps of the other CTs, never of
itself, and from those warps alone. 64 pixels and 64 voxels; PSNR over the views beyond 30 degrees from the frontal.
"""

import argparse
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from ...data.store import SCALE
from ...evaluation.baselines import CopyInput, RidgePCA
from ...evaluation.metrics import psnr, unit
from ...io.files import write_json, write_text
from ...parallel.executor import executor
from ...parallel.progress import progress
from ...phantoms import Burden, Findings, Patient, make_volume, sample_patient
from ...phantoms.body import sample_shape
from ...projection import STANDARD_ARC, preset, render
from ...reporting.tables import table
from ...volume import Volume, read_volume, remove_couch
from ..command import command, parser
from ..realism.fit_shape import TEXTBOOK
from .warp import Outline, outline, patient_outline, warp

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


WHOLE = "whole cohort"
UNTEXTURED = "- texture (one HU for each tissue of a patient)"
LEVERS: dict[str, Callable[[Patient], Patient]] = {
    WHOLE: lambda patient: patient,
    "- joint shape (textbook ranges instead)": _textbook,
    "- acquisition": _whole,
    "- deformation": lambda patient: replace(patient, body=replace(patient.body, affine=RIGID, warp_mm=0.0)),
    "- habitus": _one_habitus,
    "- pathologies": lambda patient: replace(patient, findings=Findings()),
    "- burden of years": lambda patient: replace(patient, burden=Burden()),
    UNTEXTURED: lambda patient: patient,  # what changes is the volume: see `arc`
}
"""Without what: each changes a patient and leaves the rest of it as it was."""


def arc(lever: str, seed: int) -> np.ndarray:
    """Views of a seed's patient without a lever, uint16 (37, PIXELS, PIXELS)."""
    volume, tissue = make_volume(LEVERS[lever](sample_patient(seed)), PIXELS)
    if lever == UNTEXTURED:
        sums, counts = (np.bincount(tissue.ravel(), weights) for weights in (volume.hu.ravel(), None))
        volume = replace(volume, hu=(sums / np.maximum(counts, 1))[tissue].astype(np.float32))
    return _arc(volume)


def warped_arc(volume: Volume, source: Outline, seed: int) -> np.ndarray:
    """Views of a CT bent to the outline of a seed's patient, uint16 (37, PIXELS, PIXELS)."""
    return _arc(warp(volume, source, patient_outline(seed), seed))


def _arc(volume: Volume) -> np.ndarray:
    return _counts(render(volume, preset("chest", PIXELS), STANDARD_ARC, threads=1))


def _counts(views_p: np.ndarray) -> np.ndarray:
    return np.rint(np.clip(views_p * SCALE, 0, 65535)).astype(np.uint16)


def far_psnr(views: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """PSNR (cases,) of ridge regression fitted on `views` (n, 37, h, w), predicting `truth` (cases, 37, h, w)."""
    true = unit(truth.astype(np.float32) / SCALE)
    predicted = RidgePCA.fit(views, FRONTAL).predict(true[:, FRONTAL])
    return np.asarray(psnr(predicted, true))[:, FAR].mean(1)


def main(words: Sequence[str] | None = None) -> None:
    made = parser("warps.ablation", __doc__)
    made.add_argument("ct", type=Path, nargs="+")
    made.add_argument("--out", type=Path, required=True)
    made.add_argument("--count", type=int, default=800, help="virtual patients a lever")
    made.add_argument("--warps", type=int, default=100, help="of each CT")
    made.add_argument("--workers", type=int, default=2)
    command(made, run, words)


def run(options: argparse.Namespace) -> None:
    options.out.mkdir(parents=True, exist_ok=True)
    names = [path.name.split(".")[0] for path in options.ct]
    scans = [read_volume(path) for path in options.ct]
    truth = np.stack([_arc(scan) for scan in scans])
    true = unit(truth.astype(np.float32) / SCALE)
    copied = np.asarray(psnr(CopyInput().predict(true[:, FRONTAL]), true))[:, FAR].mean(1)
    rows: dict[str, list[float]] = {"copy_input": copied.tolist()}

    def keep(lever: str, values: np.ndarray) -> None:
        rows[lever] = values.tolist()
        print(f"{lever:48s}" + "".join(f"{p:7.2f}" for p in values) + f"{values.mean():8.2f}", flush=True)
        write_json(
            options.out / "ablation.json",
            {"ct": names, "count": options.count, "warps": options.warps, "psnr_far": rows},
        )

    def make(job: Callable[[int], np.ndarray], what: str, seeds: range) -> np.ndarray:
        return np.stack(list(progress(executor(options.workers).map(job, seeds), what, len(seeds))))

    whole = make(partial(arc, WHOLE), WHOLE, range(options.count))
    keep(WHOLE, far_psnr(whole, truth))
    bare = [remove_couch(scan) for scan in scans]
    seeds = range(len(bare) * options.warps)  # no two warps share a shape
    warps = [
        make(partial(warped_arc, scan, outline(scan)), f"warps of {name}", seeds[k :: len(bare)])
        for k, (name, scan) in enumerate(zip(names, bare, strict=True))
    ]
    others = [np.concatenate([w for j, w in enumerate(warps) if j != i]) for i in range(len(warps))]
    for lever, start in (("+ warps of the other CTs", [whole]), ("warps of the other CTs alone", [])):
        left_out = [far_psnr(np.concatenate([*start, o]), truth[i : i + 1])[0] for i, o in enumerate(others)]
        keep(lever, np.array(left_out))
    for lever in list(LEVERS)[1:]:
        keep(lever, far_psnr(make(partial(arc, lever), lever, range(options.count)), truth))
    write_text(options.out / "ablation.md", markdown(names, rows))


def markdown(names: Sequence[str], rows: dict[str, list[float]]) -> str:
    """The table: each lever's change against the whole cohort, per CT."""
    whole = np.array(rows[WHOLE])
    rows_of = []
    for name, values in rows.items():
        absolute = name in ("copy_input", WHOLE)
        shown = np.array(values) - (0 if absolute else whole)
        rows_of.append([name, *(f"{v:{'' if absolute else '+'}.2f}" for v in [*shown, shown.mean()])])
    return "\n".join([*table(["", *names, "mean"], rows_of), ""])


if __name__ == "__main__":
    main()
