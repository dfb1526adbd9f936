"""A result as HTML: what the report and the explorer show of it, text in a template and pictures as data.

Pictures are sprite sheets of 8-bit grey (PNG, no loss), from which the scripts compute every window and error map.
"""

import json
from collections.abc import Iterable, Mapping
from importlib.resources import files
from typing import Any

import jinja2
import numpy as np
from markupsafe import Markup

from ..core.evidence import FROM_CT, RADIOGRAPH, VIRTUAL
from ..evaluation.metrics import Array
from ..evaluation.ood import OutOfDistribution
from ..evaluation.volumes import display_planes
from ..projection.geometry import NAMED_VIEWS, STANDARD_ARC
from ..radiograph.display import WINDOW
from .pictures import ERROR_P, error_colours
from .result import SAMPLE, Finding, Result
from .sprites import grey_of_p, sprite_uri, volume_uri

_LEVEL_WORDS = {
    VIRTUAL: "A program made this patient: this shows whether planted anatomy is recovered, nothing clinical.",
    FROM_CT: "The views were computed from a real CT scan; a detector’s scatter, noise and processing are not in them.",
    RADIOGRAPH: "This patient’s other views are unknown, so nothing on this page can be checked.",
}
_LABELS = {
    "v_ceiling": "vision model on the truth (upper bound)",
    "mean_view": "average view",
    "copy_input": "copy of input",
    "knn10": "ten nearest cases",
    "ridge_pca": "ridge regression",
    "best": "best of these baselines",
}
_COLOURS = {
    "v_ceiling": "#8a8f98",
    "mean_view": "#009e73",
    "copy_input": "#cc79a7",
    "knn10": "#56b4e9",
    "ridge_pca": "#e69f00",
}
_MODEL_COLOURS = ("#0072b2", "#d55e00", "#f0e442", "#000000")
SPREAD_P = 0.6  # standard deviation of the samples that is fully coloured
_CHART = {"width": 900, "height": 290, "left": 46, "right": 12, "top": 24, "bottom": 34}


def label_of(name: str) -> str:
    """How a model or baseline is called."""
    return _LABELS.get(name, name.replace(f"{SAMPLE}_", "possible chest ").replace("_", " "))


def _colours(names: Iterable[str]) -> dict[str, str]:
    """The colour of each curve; those that have none of their own are models."""
    names = [name for name in names if name != "best"]
    models = [name for name in names if name not in _COLOURS]
    own = {name: _MODEL_COLOURS[i % len(_MODEL_COLOURS)] for i, name in enumerate(models)}
    return {name: _COLOURS.get(name) or own[name] for name in names}


def templates() -> jinja2.Environment:
    """Those of this room; what is put into them is escaped."""
    loader = jinja2.FunctionLoader(template)
    return jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, loader=loader)


def template(name: str) -> str:
    """The text of a file in `templates/`."""
    return (files(__package__) / "templates" / name).read_text(encoding="utf-8")


def fragment(result: Result, numbers: Mapping[str, Any], headline: str | None = None) -> str:
    """The HTML of a result, without scripts and styles; `numbers` are the content of its report.json."""
    return templates().get_template("result.html.j2").render(_context(result, numbers, headline or result.name))


def _context(result: Result, numbers: Mapping[str, Any], headline: str) -> dict[str, Any]:
    views = numbers["views"]
    colours = {} if views is None else _colours([*views["models"], *views["baselines"]])
    others = len(STANDARD_ARC) - (result.input_yaw_deg in STANDARD_ARC)
    lead = f"From one view at {_degrees(result.input_yaw_deg)} the model predicted {others} others."
    if result.volume is not None:
        lead += " The volume is " + ("reconstructed from the predictions." if result.own_volume is None else "its own.")
    return {
        "headline": headline,
        "sentences": result.sentences,
        "warned": result.quality is not None and bool(result.quality.warnings),
        "lead": lead,
        "evidence_level": result.evidence_level,
        "evidence_words": _LEVEL_WORDS.get(result.evidence_level, ""),
        "figures": _figures(numbers),
        "input_caption": _view_name(result.input_yaw_deg),
        "has_truth": result.truth_p is not None,
        "choices": [(name, *_choice(name, result)) for name in [*result.predictions_p, *result.baselines_p]],
        "has_spread": result.samples_p is not None and len(result.samples_p) > 1,
        "error_p": f"{ERROR_P:g}",
        "spread_p": f"{SPREAD_P:g}",
        "curve": None if views is None else Markup(_curve(views, result, colours)),
        "legend": [{"label": label_of(name), "colour": colour} for name, colour in colours.items()],
        "rows": [] if views is None else _rows(views),
        "volume": _volume_words(result),
        "ood": _ood(result.out_of_distribution),
        "findings": [_finding(row) for row in result.findings],
        "findings_known": any(row.planted is not None for row in result.findings),
        "probes": _probe_table(result.probes),
        "notes": [f"{note[0].upper()}{note[1:]}".rstrip(".") + "." for note in result.notes],
        "settings": [*_flat(numbers["settings"]), *_flat(numbers["versions"])],
    }


def _choice(name: str, result: Result) -> tuple[str, str]:
    """How what may be shown is called, and what it is."""
    if name == result.form:
        return "Expected", "The average of what is possible, soft where one view cannot say what is there."
    if name.startswith(SAMPLE):
        words = (
            "One possible chest, true to the given view. Its fine detail comes from other people: it may not be here."
        )
        return f"Possible {name.removeprefix(SAMPLE)[1:]}", words
    known = {
        "mean_view": "The average virtual patient at this angle, whoever the patient is.",
        "copy_input": "The given view itself, at every angle.",
    }
    return label_of(name)[0].upper() + label_of(name)[1:], known.get(name, "")


def page_data(result: Result, numbers: Mapping[str, Any]) -> dict[str, Any]:
    """What the scripts need; see templates/sheets.js for the coding of the sprite sheets."""
    views, yaw = numbers["views"], list(STANDARD_ARC)
    shown = {**result.predictions_p, **result.baselines_p, "input": result.shown_p[None]}
    if result.truth_p is not None:
        shown["truth"] = result.truth_p
    blocks = {} if views is None else {**views["models"], **views["baselines"]}
    data: dict[str, Any] = {
        "views": {
            "yaw": yaw,
            "input_index": yaw.index(result.input_yaw_deg) if result.input_yaw_deg in yaw else -1,
            "names": [_view_name(angle) for angle in yaw],
            "samples": [name for name in result.predictions_p if name != result.form],
            "sheets": {name: _sheet(p) for name, p in shown.items()},
            "per_angle": {name: block["psnr"]["per_angle"] for name, block in blocks.items()},
        },
        "window": list(WINDOW),
        "error_p": ERROR_P,
        "spread_p": SPREAD_P,
        "error_colours": error_colours(np.linspace(0, ERROR_P, 256)).tolist(),
        "chart": {"left": _CHART["left"], "width": _CHART["width"] - _CHART["left"] - _CHART["right"]},
        "volume": None,
    }
    if result.volume is not None:
        planes, spacing = display_planes(result.volume)
        volumes = {"reconstructed": volume_uri(planes)}
        if result.true_volume is not None:
            volumes["truth"] = volume_uri(display_planes(result.true_volume)[0])
        data["volume"] = {"shape": planes.shape, "spacing": spacing, "sheets": volumes}
    return data


def _sheet(views_p: Array) -> dict[str, Any]:
    """Views (n, h, h) as a sheet; one that stands at every angle is kept once."""
    pictures = grey_of_p(views_p[:1] if (views_p == views_p[:1]).all() else views_p)
    return {"uri": sprite_uri(pictures), "side": pictures.shape[-1], "count": len(pictures)}


def _figures(numbers: Mapping[str, Any]) -> list[dict[str, str]]:
    """The few numbers at the top."""
    found = []
    views = numbers["views"]
    if views is not None:
        name, block = next(iter(views["models"].items()))
        psnr, best = block["psnr"]["mean_beyond_30"], views["baselines"]["best"]["psnr"]["mean_beyond_30"]
        # Named, because a report holds the simple baselines only: no training cohort is at hand for the others.
        others = " and ".join(label_of(other) for other in views["baselines"] if other != "best")
        words = f"{label_of(name)}, views at least 30° away; best of {others}: {best:.1f} dB"
        found.append({"value": f"{psnr:.1f}", "unit": "dB", "words": words})
        r2 = block["r2"]["mean_beyond_30"]
        words = "of what sets this patient’s far views apart from the mean view is explained (R²)"
        found.append({"value": f"{100 * r2:.0f}".replace("-", "−"), "unit": "%", "words": words})
    scores = (numbers["volume"] or {}).get("scores")
    if scores:
        words = f"mean absolute error of the volume inside the body; lung Dice {scores['lung_dice']:.2f}"
        found.append({"value": f"{scores['mae_hu']:.0f}", "unit": "HU", "words": words})
    return found


def _rows(views: Mapping[str, Any]) -> list[dict[str, Any]]:
    rows = []
    for group in ("models", "baselines"):
        for name, block in views[group].items():
            cells = []
            for metric, spec in (("psnr", ".1f"), ("ssim", ".3f"), ("r2", ".2f")):
                for key in ("mean", "mean_beyond_30"):
                    value = block[metric][key]
                    cells.append("–" if value is None else format(value, spec).replace("-", "−"))
            label = label_of(name)
            rows.append({"label": label, "model": group == "models" and name not in _COLOURS, "cells": cells})
    return rows


def _curve(views: Mapping[str, Any], result: Result, colours: Mapping[str, str]) -> str:
    """PSNR per angle as SVG; the script moves the line `cursor` along. Numbers only, so nothing needs escaping."""
    blocks = {**views["models"], **views["baselines"]}
    series = {name: [(float(a), v) for a, v in blocks[name]["psnr"]["per_angle"].items()] for name in colours}
    values = [v for points in series.values() for _, v in points]
    low, high = 5 * np.floor(min(values) / 5), 5 * np.ceil(max(values) / 5)
    box, yaw = _CHART, STANDARD_ARC
    across, down = box["width"] - box["left"] - box["right"], box["height"] - box["top"] - box["bottom"]

    def x(angle: float) -> float:
        return box["left"] + (angle - yaw[0]) / (yaw[-1] - yaw[0]) * across

    def y(value: float) -> float:
        return box["top"] + (high - value) / max(high - low, 1) * down

    label = "PSNR of models and baselines at each angle"
    parts = [f'<svg class="chart" viewBox="0 0 {box["width"]} {box["height"]}" role="img" aria-label="{label}">']
    left, right, foot = box["left"], box["left"] + across, box["height"] - 12
    for value in np.arange(low, high + 1, 5 if high - low <= 35 else 10):
        parts.append(f'<line class="grid" x1="{left}" x2="{right}" y1="{y(value):.1f}" y2="{y(value):.1f}"/>')
        parts.append(f'<text x="{left - 8}" y="{y(value) + 4:.1f}" text-anchor="end">{value:.0f}</text>')
    for angle in range(int(yaw[0]), int(yaw[-1]) + 1, 30):
        anchor = "start" if angle == yaw[0] else "end" if angle == yaw[-1] else "middle"
        parts.append(f'<text x="{x(angle):.1f}" y="{foot}" text-anchor="{anchor}">{_degrees(angle)}</text>')
    parts.append(f'<text x="{left}" y="11">PSNR in dB</text>')
    top, bottom, at = box["top"], box["top"] + down, x(result.input_yaw_deg)
    parts.append(f'<line class="input" x1="{at:.1f}" x2="{at:.1f}" y1="{top}" y2="{bottom}"/>')
    for name, points in reversed(series.items()):
        width = 2.6 if name == result.form else 1.5
        for part in (
            [p for p in points if p[0] < result.input_yaw_deg],
            [p for p in points if p[0] > result.input_yaw_deg],
        ):
            line = " ".join(f"{x(angle):.1f},{y(value):.1f}" for angle, value in part)
            parts.append(f'<polyline points="{line}" stroke="{colours[name]}" stroke-width="{width}"/>')
    parts.append(f'<g id="cursor"><line class="cursor" x1="0" x2="0" y1="{top}" y2="{bottom}"/></g></svg>')
    return "".join(parts)


def _volume_words(result: Result) -> dict[str, Any] | None:
    if result.volume is None:
        return None
    words, scores = "", result.volume_scores
    if scores:
        tissues = ", ".join(f"{name} {error:.0f}" for name, error in scores["mae_hu_by_tissue"].items())
        words = (
            f"Inside the body: PSNR {scores['psnr']:.1f} dB over 2,500 HU, SSIM {scores['ssim']:.2f}, "
            f"mean absolute error in HU {tissues}; lung Dice {scores['lung_dice']:.2f}."
        )
    return {"truth": result.true_volume is not None, "words": words}


def _ood(ood: OutOfDistribution | None) -> dict[str, Any] | None:
    if ood is None:
        return None
    title = "Unlike what the model has learned from" if ood.warn else "Like what the model has learned from"
    return {"title": title, "words": ood.words, "warn": ood.warn, "percent": round(100 * ood.percentile)}


def _finding(found: Finding) -> dict[str, Any]:
    known = "" if found.planted is None else ("yes" if found.planted else "no")
    return {"label": label_of(found.label), "percent": round(100 * found.probability), "planted": known}


def _probe_table(probes: Mapping[str, Any] | None) -> dict[str, Any] | None:
    if not probes:
        return None
    names = probes["features"]
    rows = []
    for label, result in probes["labels"].items():
        cells = []
        for name in names:
            found = (result.get("auroc") or {}).get(name)
            bounds = found and found.get("ci95")
            interval = f" [{bounds[0]:.2f}, {bounds[1]:.2f}]" if bounds else ""
            cells.append(f"{found['value']:.2f}{interval}" if found else "–")
        rows.append({"label": label_of(label), "cells": cells})
    words = (
        f"Linear probes on {probes['n_train']} virtual patients, tested on {probes['n_test']} others; 95 % "
        "patient-bootstrap intervals. Planted labels: whether they can be recovered, not clinical performance."
    )
    return {"features": names, "rows": rows, "words": words}


def _flat(settings: Mapping[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    rows: list[tuple[str, str]] = []
    for name, value in settings.items():
        if isinstance(value, Mapping):
            rows += _flat(value, f"{prefix}{name}.")
        else:
            text = ", ".join(map(str, value)) if isinstance(value, list) else "–" if value is None else str(value)
            rows.append((f"{prefix}{name}".replace("_", " "), text))
    return rows


def _degrees(yaw_deg: float) -> str:
    return (f"{yaw_deg:+g}°" if yaw_deg else "0°").replace("-", "−")


def _view_name(yaw_deg: float) -> str:
    for name, angle in NAMED_VIEWS.items():
        if angle == yaw_deg:
            return {"pa": "frontal, PA", "ap": "frontal, AP"}.get(name, name.replace("_", " "))
    return "" if abs(yaw_deg) > 90 else f"between {'left' if yaw_deg > 0 else 'right'} lateral and PA"


def script_json(content: Any) -> str:
    """JSON that cannot end the script element it stands in."""
    text = json.dumps(content, allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace("&", "\\u0026")
