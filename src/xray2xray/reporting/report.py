"""What is written of a result: report.html that opens offline, report.json with all numbers, views and volume."""

from collections.abc import Mapping
from dataclasses import asdict
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from ..core.version import VERSION
from ..evaluation.results import as_json
from ..io.files import write_json, write_npz, write_text
from ..projection.geometry import STANDARD_ARC
from ..radiograph.display import save_png, to_gray
from ..volume.dicom.write import write_dicom_series
from ..volume.nifti import write_nifti
from .fragment import label_of
from .page import page
from .pictures import PICTURE_YAW_DEG, case_picture, save_picture, unfold_picture, views_gif
from .result import Result, Views


def write_result(out: Path, result: Result, dicom: bool = False) -> None:
    """Write all that is known into a folder that is made if missing, each file once.

    report.html, report.json, views.npz (line integrals), views.png, views.gif; volume.nii.gz where there is a volume,
    and with `dicom` a series in volume-dicom; and for every angle that was asked for by name a picture yawANGLE.png.
    """
    out.mkdir(parents=True, exist_ok=True)
    numbers = report_numbers(result)
    write_json(out / "report.json", numbers)
    write_text(out / "report.html", page(result, numbers))
    if result.volume_in_patient is not None:
        write_nifti(out / "volume.nii.gz", result.volume_in_patient)
        if dicom:
            write_dicom_series(out / "volume-dicom", result.volume_in_patient, "xray2xray prediction, not a CT")
    _write_views(out, result)


def report_numbers(result: Result, ceiling: bool = True) -> dict[str, Any]:
    """The content of report.json; `ceiling`: with the scores of a volume from the true views, which takes seconds."""
    ood, volume = result.out_of_distribution, None
    if result.volume is not None:
        spacing_mm = [float(mm) for mm in result.volume.spacing_mm]
        scores = {"scores": result.volume_scores, "scores_from_true_views": result.ceiling_scores if ceiling else None}
        known = {name: found for name, found in scores.items() if found is not None}
        volume = {"shape": list(result.volume.shape), "spacing_mm": spacing_mm, **known}
    settings = {
        "input": result.source,
        "form": result.form,
        "geometry": result.geometry.name,
        **result.settings,
    }
    return {
        "title": result.name,
        "quality": None if result.quality is None else result.quality.as_dict(),
        "evidence_level": result.evidence_level,
        "input_yaw_deg": float(result.input_yaw_deg),
        "yaw_deg": list(STANDARD_ARC),
        "views": as_json(result.scores),
        "volume": volume,
        "out_of_distribution": None if ood is None else {**asdict(ood), "words": ood.words},
        "findings": [asdict(found) for found in result.findings],
        "probes": result.probes,
        "settings": {name: _plain(value) for name, value in settings.items()},
        "versions": {"xray2xray": VERSION, **result.versions},
        "notes": list(result.notes),
    }


def summary(result: Result) -> str:
    """The few numbers that a person wants to see at the end of a run."""
    lines = [] if result.quality is None else [result.quality.words]
    if result.scores is not None:
        lines.append(f"{'':<24}{'PSNR':>8}{'far':>8}{'R2 far':>8}   (dB; far: at least 30 degrees from the input)")
        for name, block in (result.scores.models | result.scores.baselines).items():
            numbers = (block.psnr.mean, block.psnr.mean_beyond_30, block.r2.mean_beyond_30)
            lines.append(f"{label_of(name):<24}" + "".join(f"{number:8.2f}" for number in numbers))
    for scores, label in ((result.volume_scores, "volume"), (result.ceiling_scores, "volume from true views")):
        if scores is not None:
            lines.append(
                f"{label:<24}{scores['psnr']:8.2f}   (dB over 2,500 HU, inside the body), "
                f"mean error {scores['mae_hu']:.0f} HU, lung Dice {scores['lung_dice']:.2f}"
            )
    if result.out_of_distribution is not None:
        lines.append(result.out_of_distribution.words)
    return "\n".join(lines)


def _plain(value: Any) -> Any:
    """Settings as JSON has them; anything unknown as text."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, float) and not np.isfinite(value):
        return None
    return value if isinstance(value, str | int | float | bool | None) else str(value)


def _write_views(out: Path, result: Result) -> None:
    predicted_p, truth_p = result.predicted_p, result.truth_p
    views = result.asked or Views(STANDARD_ARC, predicted_p, truth_p, result.samples_p)
    arrays = {"predicted_p": views.predicted_p, "input_p": result.input_p, "truth_p": views.truth_p}
    arrays["film_p"] = result.film_p
    if result.keeps_samples and views.samples_p is not None:
        arrays["samples_p"] = views.samples_p
        if len(views.samples_p) > 1:
            arrays["spread_p"] = views.samples_p.std(axis=0, ddof=1)
    known = {name: views_p for name, views_p in arrays.items() if views_p is not None}
    write_npz(out / "views.npz", {"yaw_deg": np.array(views.yaw_deg, np.float32), **known})
    if result.asked is not None:
        for yaw, view_p in zip(views.yaw_deg, views.predicted_p, strict=True):
            save_png(out / f"yaw{yaw:+g}.png", to_gray(view_p))
    shown = [STANDARD_ARC.index(yaw) for yaw in PICTURE_YAW_DEG]
    drawn = islice(result.predictions_p.items(), 2)  # the expected views and those of one possible chest
    named = {label_of(name): views_p[shown] for name, views_p in drawn}
    side = max(160, min(predicted_p.shape[-1], 320))
    if truth_p is None:
        picture = unfold_picture(result.shown_p, named, PICTURE_YAW_DEG, side)
    else:
        picture = case_picture(truth_p[shown], named, PICTURE_YAW_DEG, result.input_yaw_deg, side)
    save_picture(out / "views.png", picture)
    views_gif(out / "views.gif", predicted_p, truth_p, STANDARD_ARC)
