"""One self-contained report.html that opens offline, and report.json with all its numbers.

The page is a template with its style and script in `templates/`; pictures travel inside it as sprite sheets of 8-bit
grey (PNG, no loss), from which the script computes every display window and error map.
"""

import base64
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import Any

import jinja2
import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray
from PIL import Image

from ..core.evidence import FROM_CT, RADIOGRAPH, VIRTUAL
from ..core.version import VERSION
from ..evaluation.metrics import P_MAX, Array, unit
from ..evaluation.ood import OutOfDistribution
from ..evaluation.results import as_json
from ..evaluation.scoring import Cohort, score, summarise
from ..evaluation.volumes import display_planes, resample, volume_scores
from ..io.files import write_json, write_text
from ..projection.geometry import NAMED_VIEWS, STANDARD_ARC
from ..radiograph.display import WINDOW, to_gray
from ..volume.volume import Volume, canonical
from .pictures import ERROR_P, error_colours

_RUNG_WORDS = {
    VIRTUAL: "A program made this patient: this shows whether planted anatomy is recovered, nothing clinical.",
    FROM_CT: "The views were computed from a real CT scan; a detector’s scatter, noise and processing are not in them.",
    RADIOGRAPH: "Nobody knows this patient’s other views, so nothing on this page can be checked.",
}
_LABELS = {
    "direct": "direct",
    "autoregressive": "autoregressive",
    "v_ceiling": "V on the truth (ceiling)",
    "mean_view": "mean view",
    "copy_input": "copy of the input",
    "knn10": "ten nearest cases",
    "ridge_pca": "ridge regression",
    "best": "best of these baselines",
}
_COLOURS = {
    "direct": "#0072b2",
    "autoregressive": "#d55e00",
    "v_ceiling": "#8a8f98",
    "mean_view": "#009e73",
    "copy_input": "#cc79a7",
    "knn10": "#56b4e9",
    "ridge_pca": "#e69f00",
}
_CHART = {"width": 900, "height": 290, "left": 46, "right": 12, "top": 24, "bottom": 34}


@dataclass(frozen=True)
class Report:
    """What a report can show; only the first four are needed.

    Attributes:
        title: the case, such as `thorax-1000000`; never a patient's name.
        rung: of the evidence ladder: `VIRTUAL`, `FROM_CT` or `RADIOGRAPH`.
        input_p: (h, w), the given view as line integrals p.
        predicted_p: model -> (angles, h, w); the first is shown first.
        truth_p: (angles, h, w) where it is known; then `baselines_p` must hold `mean_view`, the zero of R2.
        ceiling_p: (angles, h, w), V's reconstruction of the truth.
        volume, true_volume: reconstruction, and the scan as it was read (it is resampled here).
        findings: rows {"label", "probability", "planted": bool or None} of a probe on this case.
        probes: the content of probes.json, see `downstream.probe`.
        settings: name -> value, shown and kept as they are.
        notes: sentences, such as that the grey scale is uncalibrated.
    """

    title: str
    rung: str
    input_p: Array
    predicted_p: Mapping[str, Array]
    input_yaw_deg: float = 0.0
    yaw_deg: Sequence[float] = STANDARD_ARC
    truth_p: Array | None = None
    baselines_p: Mapping[str, Array] = field(default_factory=dict)
    ceiling_p: Array | None = None
    volume: Volume | None = None
    true_volume: Volume | None = None
    ood: OutOfDistribution | None = None
    findings: Sequence[Mapping[str, Any]] = ()
    probes: Mapping[str, Any] | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)
    notes: Sequence[str] = ()


def write_report(out: str | Path, report: Report) -> dict[str, Any]:
    """Write report.html and report.json into the folder `out`; return the content of the latter.

    Raises:
        ValueError: the truth is known but the mean view is not among the baselines.
    """
    out = Path(out)
    out.mkdir(parents=True, exist_ok=True)
    true_volume = None
    if report.volume is not None and report.true_volume is not None:
        true_volume = resample(report.true_volume, canonical(report.volume))
    numbers = report_numbers(report, true_volume)
    write_json(out / "report.json", numbers)
    page = _template().render(_context(report, numbers, true_volume))
    write_text(out / "report.html", page)
    return numbers


def report_numbers(report: Report, true_volume: Volume | None = None) -> dict[str, Any]:
    """The content of report.json; `true_volume` is already on the grid of the reconstruction."""
    numbers: dict[str, Any] = {
        "title": report.title,
        "rung": report.rung,
        "input_yaw_deg": float(report.input_yaw_deg),
        "yaw_deg": [float(yaw) for yaw in report.yaw_deg],
        "views": _view_numbers(report),
        "volume": None,
        "out_of_distribution": None if report.ood is None else {**asdict(report.ood), "words": report.ood.words},
        "findings": [dict(row) for row in report.findings],
        "probes": report.probes,
        "settings": {name: _plain(value) for name, value in report.settings.items()},
        "versions": {"xray2xray": VERSION, **report.versions},
        "notes": list(report.notes),
    }
    if report.volume is not None:
        volume = canonical(report.volume)
        numbers["volume"] = {"shape": list(volume.shape), "spacing_mm": [float(mm) for mm in volume.spacing_mm]}
        if true_volume is not None:
            numbers["volume"]["scores"] = volume_scores(volume, true_volume)
    return numbers


def _view_numbers(report: Report) -> dict[str, Any] | None:
    """Scores of this one case in the layout of views.json, None where no truth is known."""
    if report.truth_p is None:
        return None
    if "mean_view" not in report.baselines_p:
        raise ValueError("a report with truth needs the mean_view baseline: skill is measured against it")
    truth = unit(report.truth_p)[None]
    models = dict(report.predicted_p)
    if report.ceiling_p is not None:
        models["v_ceiling"] = report.ceiling_p
    cohort = Cohort(
        tuple(float(yaw) for yaw in report.yaw_deg),
        float(report.input_yaw_deg),
        [report.title],
        [report.rung],
        {name: score(unit(views)[None], truth) for name, views in models.items()},
        {name: score(unit(views)[None], truth) for name, views in report.baselines_p.items()},
    )
    return as_json(summarise(cohort))


def _plain(value: Any) -> Any:
    """Settings as JSON has them; anything unknown as text."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, float) and not np.isfinite(value):
        return None
    return value if isinstance(value, str | int | float | bool | None) else str(value)


# ---------------------------------------------------------------- the page


def _template() -> jinja2.Template:
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True)
    return environment.from_string(_page_file("report.html.j2"))


def _page_file(name: str) -> str:
    return (files(__package__) / "templates" / name).read_text(encoding="utf-8")


def _context(report: Report, numbers: Mapping[str, Any], true_volume: Volume | None) -> dict[str, Any]:
    views = numbers["views"]
    shown = {**report.predicted_p, **report.baselines_p}
    others = len(report.yaw_deg) - (report.input_yaw_deg in report.yaw_deg)
    lead = f"From one view at {_degrees(report.input_yaw_deg)} the model predicted {others} others."
    if report.volume is not None:
        lead += " The volume is reconstructed from the predictions."
    return {
        "title": report.title,
        "headline": report.title,
        "lead": lead,
        "rung": report.rung,
        "rung_words": _RUNG_WORDS.get(report.rung, ""),
        "figures": _figures(numbers),
        "input_uri": _png_uri(to_gray(report.input_p)),
        "input_caption": _view_name(report.input_yaw_deg),
        "has_truth": report.truth_p is not None,
        "choices": [(name, _LABELS.get(name, name)) for name in shown],
        "error_p": f"{ERROR_P:g}",
        "last_angle": len(report.yaw_deg) - 1,
        "first_shown": len(report.yaw_deg) - 1,
        "curve": None if views is None else Markup(_curve(views, report)),
        "legend": [] if views is None else _legend(views),
        "rows": [] if views is None else _rows(views),
        "volume": _volume_words(numbers, true_volume),
        "ood": _ood(report.ood),
        "findings": [_finding(row) for row in report.findings],
        "findings_known": any(row.get("planted") is not None for row in report.findings),
        "probes": _probe_table(report.probes),
        "notes": report.notes,
        "settings": [*_flat(numbers["settings"]), *_flat(numbers["versions"])],
        "version": VERSION,
        "css": Markup(_page_file("report.css")),
        "js": Markup(_page_file("report.js")),
        "data": Markup(_script_json(_page_data(report, shown, views, true_volume))),
    }


def _page_data(
    report: Report, shown: Mapping[str, Array], views: Mapping[str, Any] | None, true_volume: Volume | None
) -> dict[str, Any]:
    """What the script needs; see templates/report.js for the coding of the sprite sheets."""
    sheets = {name: _sprite_uri(_grey_of_p(p)) for name, p in shown.items()}
    if report.truth_p is not None:
        sheets["truth"] = _sprite_uri(_grey_of_p(report.truth_p))
    height, width = next(iter(report.predicted_p.values())).shape[1:]
    yaw = list(report.yaw_deg)
    blocks = {} if views is None else {**views["models"], **views["baselines"]}
    data: dict[str, Any] = {
        "views": {
            "yaw": yaw,
            "input_index": yaw.index(report.input_yaw_deg) if report.input_yaw_deg in yaw else -1,
            "names": [_view_name(angle) for angle in yaw],
            "width": width,
            "height": height,
            "sheets": sheets,
            "per_angle": {name: block["psnr"]["per_angle"] for name, block in blocks.items()},
        },
        "window": list(WINDOW),
        "error_p": ERROR_P,
        "error_colours": error_colours(np.linspace(0, ERROR_P, 256)).tolist(),
        "chart": {"left": _CHART["left"], "width": _CHART["width"] - _CHART["left"] - _CHART["right"]},
        "volume": None,
    }
    if report.volume is not None:
        planes, spacing = display_planes(report.volume)
        volumes = {"reconstructed": _volume_uri(planes)}
        if true_volume is not None:
            volumes["truth"] = _volume_uri(display_planes(true_volume)[0])
        data["volume"] = {"shape": planes.shape, "spacing": spacing, "sheets": volumes}
    return data


def _figures(numbers: Mapping[str, Any]) -> list[dict[str, str]]:
    """The few numbers at the top."""
    found = []
    views = numbers["views"]
    if views is not None:
        name, block = next(iter(views["models"].items()))
        psnr, best = block["psnr"]["mean_beyond_30"], views["baselines"]["best"]["psnr"]["mean_beyond_30"]
        # Named, because a report holds the simple baselines only: no training cohort is at hand for the others.
        others = " and ".join(_LABELS.get(other, other) for other in views["baselines"] if other != "best")
        words = f"{_LABELS.get(name, name)}, views at least 30° away; best of {others}: {best:.1f} dB"
        found.append({"value": f"{psnr:.1f}", "unit": "dB", "words": words})
        r2 = block["r2"]["mean_beyond_30"]
        words = "of what sets this patient’s far views apart from the mean view is explained (R²)"
        found.append({"value": f"{100 * r2:.0f}".replace("-", "−"), "unit": "%", "words": words})
    scores = (numbers["volume"] or {}).get("scores")
    if scores:
        words = f"mean absolute error of the volume inside the body; lung Dice {scores['lung_dice']:.2f}"
        found.append({"value": f"{scores['mae_hu']:.0f}", "unit": "HU", "words": words})
    ood = numbers["out_of_distribution"]
    if ood:
        words = "V’s error on the input, relative to a typical training view"
        found.append({"value": f"{ood['ratio']:.1f}", "unit": "×", "words": words + ": out of range" * ood["warn"]})
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
            label = _LABELS.get(name, name)
            rows.append({"label": label, "model": name in ("direct", "autoregressive"), "cells": cells})
    return rows


def _curve_names(views: Mapping[str, Any]) -> list[str]:
    return [name for name in [*views["models"], *views["baselines"]] if name in _COLOURS]


def _legend(views: Mapping[str, Any]) -> list[dict[str, str]]:
    return [{"label": _LABELS[name], "colour": _COLOURS[name]} for name in _curve_names(views)]


def _curve(views: Mapping[str, Any], report: Report) -> str:
    """PSNR per angle as SVG; the script moves the line `cursor` along. Numbers only, so nothing needs escaping."""
    blocks = {**views["models"], **views["baselines"]}
    series = {
        name: [(float(a), v) for a, v in blocks[name]["psnr"]["per_angle"].items()] for name in _curve_names(views)
    }
    values = [v for points in series.values() for _, v in points]
    low, high = 5 * np.floor(min(values) / 5), 5 * np.ceil(max(values) / 5)
    box, yaw = _CHART, report.yaw_deg
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
    top, bottom, at = box["top"], box["top"] + down, x(report.input_yaw_deg)
    parts.append(f'<line class="input" x1="{at:.1f}" x2="{at:.1f}" y1="{top}" y2="{bottom}"/>')
    for name, points in reversed(series.items()):
        width = 2.6 if name in report.predicted_p else 1.5
        for part in (
            [p for p in points if p[0] < report.input_yaw_deg],
            [p for p in points if p[0] > report.input_yaw_deg],
        ):
            line = " ".join(f"{x(angle):.1f},{y(value):.1f}" for angle, value in part)
            parts.append(f'<polyline points="{line}" stroke="{_COLOURS[name]}" stroke-width="{width}"/>')
    parts.append(f'<g id="cursor"><line class="cursor" x1="0" x2="0" y1="{top}" y2="{bottom}"/></g></svg>')
    return "".join(parts)


def _volume_words(numbers: Mapping[str, Any], true_volume: Volume | None) -> dict[str, Any] | None:
    if numbers["volume"] is None:
        return None
    words = ""
    scores = numbers["volume"].get("scores")
    if scores:
        tissues = ", ".join(f"{name} {error:.0f}" for name, error in scores["mae_hu_by_tissue"].items())
        words = (
            f"Inside the body: PSNR {scores['psnr']:.1f} dB over 2,500 HU, SSIM {scores['ssim']:.2f}, "
            f"mean absolute error in HU {tissues}; lung Dice {scores['lung_dice']:.2f}."
        )
    return {"truth": true_volume is not None, "words": words}


def _ood(ood: OutOfDistribution | None) -> dict[str, Any] | None:
    if ood is None:
        return None
    title = "Out of distribution." if ood.warn else "Within the training distribution."
    return {"title": title, "words": ood.words, "warn": ood.warn, "percent": round(100 * ood.percentile)}


def _finding(row: Mapping[str, Any]) -> dict[str, Any]:
    planted = row.get("planted")
    known = "" if planted is None else ("yes" if planted else "no")
    label = str(row["label"]).replace("_", " ")
    return {"label": label, "percent": round(100 * float(row["probability"])), "planted": known}


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
        rows.append({"label": label.replace("_", " "), "cells": cells})
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


# ---------------------------------------------------------------- pictures inside the page


def _grey_of_p(p: Array) -> NDArray[np.uint8]:
    return np.rint(np.clip(np.asarray(p, np.float32) / P_MAX, 0, 1) * 255).astype(np.uint8)


def _volume_uri(planes: NDArray[np.uint8]) -> str:
    """(nx, ny, nz) -> axial tiles, one below the other in z, rows along y, columns along x."""
    return _sprite_uri(np.ascontiguousarray(planes.transpose(2, 1, 0)))


def _sprite_uri(pictures: NDArray[np.uint8]) -> str:
    """Grey pictures (n, h, w) as one near-square PNG sheet, row by row."""
    count, height, width = pictures.shape
    columns = int(np.ceil(np.sqrt(count)))
    lines = -(-count // columns)
    sheet = np.zeros((lines * columns, height, width), np.uint8)
    sheet[:count] = pictures
    tiled = sheet.reshape(lines, columns, height, width).transpose(0, 2, 1, 3).reshape(lines * height, columns * width)
    return _png_uri(tiled)


def _png_uri(gray: NDArray[np.uint8]) -> str:
    buffer = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(gray)).save(buffer, format="PNG", compress_level=6)
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")


def _script_json(content: Any) -> str:
    """JSON that cannot end the script element it stands in."""
    text = json.dumps(content, allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace("&", "\\u0026")
