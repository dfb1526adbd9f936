"""What `xray2xray predict` says of one radiograph: quality, likeness, anatomy with intervals, and what was assumed."""

from dataclasses import asdict
from typing import Any

import numpy as np

from ..core.errors import InputError
from ..core.evidence import RADIOGRAPH
from ..core.version import VERSION
from ..data.inputs import Input
from ..evaluation.anatomy import ENDPOINTS
from ..evaluation.imagined import SAMPLES, Imagined, Known, imagine
from ..models import outlines
from ..models.outlines import cardiothoracic_ratio
from ..models.outlines import width as width_of
from ..projection.geometry import Geometry
from .session import Session, mean_pooled
from .study import View

CTR_WITHIN = 0.13  # 95 % of the ratios of JSRT, a source that was not learned from, are so near: docs/results/gate.md
SCALE_NOTE = "lengths hold if the picture shows {:.0f} mm of the patient from side to side; a picture does not say"
MODEL_NOTE = (
    "intervals of imagined anatomy hold 95 % of virtual patients; of real people it is not known what they hold"
)


def prediction(
    session: Session, given: Input, view: View = "auto", samples: int = SAMPLES, force: bool = False
) -> dict[str, Any]:
    """Everything as plain values, ready for JSON. Of a picture that the gate refuses, no anatomy unless `force`.

    Raises:
        InputError: it cannot be read, or is no radiograph.
    """
    study = session.study(given, view=view)
    if study.evidence_level != RADIOGRAPH or study.quality is None:
        raise InputError(f"{given.path}: a {given.kind}; predict takes radiographs (rotate and reconstruct take CTs)")
    quality, entered = study.quality, session.entered(study)
    told = {
        "study": study.name,
        "input": study.source,
        "evidence_level": study.evidence_level,
        "quality": quality.as_dict(),
        "view": {"taken": "AP" if study.ap else "PA", "entered_at_deg": entered.input_yaw_deg},
        "unlike_training": None,
        "anatomy": None,
        "assumed": [*entered.notes, SCALE_NOTE.format(study.geometry.field_mm), MODEL_NOTE],
        "model": {"source": session.source, "form": session.model.config.form, "xray2xray": VERSION},
    }
    if quality.refusal and not force:
        return told
    state = session.model.observe([(entered.view_p, entered.input_yaw_deg)])
    imagined, known = imagine(session.model, state, study.geometry, samples), Known.load()
    known_form = known.form == session.model.config.form
    found = session.unlike_training(entered, state)
    unlike: dict[str, Any] = {"pixels": {"ratio": quality.unlike, "percentile": quality.percentile}}
    unlike["vision_model"] = None if found is None else {**asdict(found), "words": found.words}
    if known_form:
        ratio, percentile = known.unlike(imagined.values)
        unlike["imagined_anatomy"] = {"ratio": ratio, "percentile": percentile}
    shown_p = mean_pooled(study.view_p, session.model.size)
    anatomy = {**_outlined(shown_p, study.geometry), **_imagined(imagined, known if known_form else None)}
    return {**told, "unlike_training": unlike, "anatomy": anatomy}


def _outlined(view_p: np.ndarray, geometry: Geometry) -> dict[str, Any]:
    """What is outlined on the given view itself."""
    lungs, heart = outlines.packaged()(view_p)
    mm = geometry.field_mm / len(view_p)
    if not lungs.any() or not heart.any():
        return {
            "cardiothoracic_ratio": None,
            "lungs_width": None,
            "heart_width_frontal": None,
            "lung_area_frontal": None,
        }
    ratio = cardiothoracic_ratio(heart, lungs)
    return {
        "cardiothoracic_ratio": _entry(ratio, CTR_WITHIN, "", "given view"),
        "lungs_width": _entry(mm * width_of(lungs), None, "mm", "given view"),
        "heart_width_frontal": _entry(mm * width_of(heart), None, "mm", "given view"),
        "lung_area_frontal": _entry(mm**2 * float(lungs.sum()) / 100, None, "cm2", "given view"),
    }


def _imagined(imagined: Imagined, known: Known | None) -> dict[str, Any]:
    """What is measured on imagined views, with intervals where it is known how wide they have to be."""
    found = {}
    for number, (name, one) in enumerate(ENDPOINTS.items()):
        if name == "diaphragm_height":  # over the middle of the picture, which on a film is anywhere
            continue
        reach = None if known is None else float(known.reach[number] * imagined.spread[number])
        reach = reach if reach is not None and np.isfinite(reach) else None
        found[name] = _entry(
            float(imagined.values[number]), reach, one.unit, f"imagined view at {one.yaw_deg:g} degrees"
        )
    return found


def _entry(value: float, reach: float | None, unit: str, where: str) -> dict[str, Any]:
    interval = None if reach is None else [value - reach, value + reach]
    return {"value": value, "interval_95": interval, "unit": unit, "from": where}
