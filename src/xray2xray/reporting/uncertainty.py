"""What `evaluate uncertainty` writes: uncertainty.json as it is, as tables, and as pictures."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..evaluation.metrics import Array
from ..evaluation.twins import Twins
from ..io.files import atomic_path, write_json, write_text
from ..radiograph.display import to_gray
from .pictures import contact_sheet, error_colours
from .tables import heading, interval, table

LABELS = {
    "sampler": "**sampler**",
    "gaussian": "normal, SD of held-out errors",
    "prediction": "the prediction, no spread",
    "sample": "a sample",
    "mixed": "every view of another sample",
    "truth": "the truth (floor)",
}
COLOURS = {"sampler": "#0072B2", "gaussian": "#E69F00"}
SHOWN_DEG = (-90.0, -30.0, 30.0, 90.0)


@dataclass(frozen=True)
class Shown:
    """What a picture needs: p of the frontal (h, w), and of truth, prediction and spread (angles, h, w), samples."""

    name: str
    rung: str
    frontal: Array
    truth: Array
    mean: Array
    samples: Array
    sd: Array


def write_uncertainty(
    out: Path,
    result: Mapping[str, Any],
    shown: Sequence[Shown],
    pairs: Sequence[Twins],
    maps: Mapping[str, Array],
) -> None:
    """uncertainty.json, uncertainty.md and the pictures; prints the tables."""
    out.mkdir(parents=True, exist_ok=True)
    write_json(out / "uncertainty.json", result)
    text = uncertainty_markdown(result)
    write_text(out / "uncertainty.md", text)
    if result["groups"]:
        _calibration_figure(out / "calibration.png", result)
        _endpoint_figure(out / "endpoints.png", result)
    for one in shown:
        with atomic_path(out / f"case-{one.name}.png") as temporary:
            _case_picture(one, result["yaw_deg"]).save(temporary)
    for rung, told in maps.items():
        name = "told.png" if len(maps) == 1 else f"told-{rung.replace(' ', '-')}.png"
        columns = [f"{yaw:+g}°" for yaw in result["yaw_deg"]]
        with atomic_path(out / name) as temporary:
            contact_sheet([("open / all", list(_share_colours(told)))], columns).save(temporary)
    if pairs:
        rows = [row for pair in pairs for row in _twin_rows(pair)]
        with atomic_path(out / "twins.png") as temporary:
            contact_sheet(rows, ["0°", "-90°", "+90°"]).save(temporary)
    print(text)


# ---------------------------------------------------------------- tables


def uncertainty_markdown(result: Mapping[str, Any]) -> str:
    """uncertainty.json as tables to read."""
    lines = [
        f"Input: the frontal. {result['samples']} samples a patient, scored at {_list(result['yaw_deg'])} degrees. "
        "CRPS, error (of the forecast's mean) and width in line integrals p; coverage in % of pixels, every patient "
        "alike; 95 % patient-bootstrap intervals in brackets.",
        "",
    ]
    for rung, group in result["groups"].items():
        lines += [f"### {heading(rung, group['n'])}", "", *_pixel_table(group), ""]
        lines += ["The joint vector of all pixels of all angles, energy score over the root of its length, in p:", ""]
        energy = [[LABELS[k], f"{v['mean']:.4f}{interval(v['ci95'], '.4f')}"] for k, v in group["energy"].items()]
        lines += [*table(["", "energy score"], energy), ""]
        lines += ["Anatomy measured on the views (bias and limits: prediction minus truth, Bland and Altman):", ""]
        lines += [*_endpoint_table(group), "", "Are the 37 views of one chest? Relative, 0 is consistent:", ""]
        lines += [*_consistency_table(group["consistency"]), ""]
        if "told" in group:
            lines += ["What the frontal leaves open: variance of the samples over that between patients.", ""]
            lines += [*_told_table(group["told"]), ""]
    if result["twins"]:
        lines += ["### Twins: virtual pairs with and without one lesion", "", *_twin_table(result["twins"]), ""]
    if result["failed"]:
        lines += ["Left out:", ""] + [f"- {row['case']}: {row['reason']}" for row in result["failed"]] + [""]
    return "\n".join(lines)


def _pixel_table(group: Mapping[str, Any]) -> list[str]:
    rows = []
    for name, regions in group["pixels"].items():
        for region, one in regions.items():
            levels = [
                f"{100 * one['covered'][k]:.1f}{interval(_percent(one['covered_ci95'][k]), '.1f')} ({width:.2f})"
                for k, width in one["width"].items()
            ]
            crps = f"{one['crps']:.4f}{interval(one['crps_ci95'], '.4f')}"
            rows.append([f"{LABELS[name]}, {region}", crps, f"{one['error']:.4f}", *levels])
    return table(["", "CRPS", "error", "50 % (width)", "80 % (width)", "95 % (width)"], rows)


def _endpoint_table(group: Mapping[str, Any]) -> list[str]:
    rows = []
    for one in group["endpoints"].values():
        low, high = one["limits_of_agreement"]
        agreement = [
            f"{one['truth_mean']:.0f} ± {one['truth_sd']:.0f}",
            f"{one['bias']:+.1f}{interval(one['bias_ci95'], '.1f')}",
            f"{low:.1f} to {high:.1f}",
        ]
        for name, forecast in one["forecasts"].items():
            covered = [f"{100 * v:.0f} ({forecast['width'][k]:.0f})" for k, v in forecast["covered"].items()]
            words = f"{one['words']}, {one['unit']}, at {one['yaw_deg']:g}: {LABELS[name]}"
            rows.append([words, *agreement, f"{forecast['crps']:.2f}", *covered])
            agreement = ["", "", ""]
    return table(["", "truth", "bias", "limits of agreement", "CRPS", "50 %", "80 %", "95 %"], rows)


def _consistency_table(consistency: Mapping[str, Mapping[str, float]]) -> list[str]:
    tests = {"row_sums": "row sums", "mirror": "mirrored +-90", "range": "left by the best volume"}
    rows = [[LABELS[name], *(f"{one[test]:.4f}" for test in tests)] for name, one in consistency.items()]
    return table(["", *tests.values()], rows)


def _told_table(told: Mapping[str, Any]) -> list[str]:
    angles = list(next(iter(told.values()))["per_angle"])
    rows = [
        [name, f"{one['mean']:.2f}", *(f"{value:.2f}" for value in one["per_angle"].values())]
        for name, one in told.items()
    ]
    return table(["", "mean", *angles], rows)


def _twin_table(twins: Mapping[str, Any]) -> list[str]:
    head = ["", "pairs", "frontal change, SD of noise", "lateral change, p", "kept in the lateral", "told apart"]
    head += ["spread at the place", "spread elsewhere"]
    columns = ("frontal_change", "lateral_p", "kept", "told_apart", "spread", "spread_elsewhere")
    rows = []
    for kind, one in twins.items():
        cells = [f"{one[k]['mean']:.2f}{interval(one[k]['ci95'], '.2f')}" if k in one else "" for k in columns]
        rows.append([kind, str(one["n"]), *cells])
    return table(head, rows)


def _percent(bounds: Sequence[float] | None) -> list[float] | None:
    return None if bounds is None else [100 * bound for bound in bounds]


def _list(yaw_deg: Sequence[float]) -> str:
    return ", ".join(f"{yaw:g}" for yaw in yaw_deg)


# ---------------------------------------------------------------- pictures


def _case_picture(one: Shown, yaw_deg: Sequence[float]) -> Any:
    """Truth, prediction, three samples, the prediction's error and the spread, on one colour scale; the input right."""
    at = [list(yaw_deg).index(yaw) for yaw in SHOWN_DEG]
    rows: list[tuple[str, Sequence[Any]]] = [("truth", [*to_gray(one.truth[at]), to_gray(one.frontal)])]
    rows.append(("prediction", list(to_gray(one.mean[at]))))
    rows += [(f"sample {number}", list(to_gray(views[at]))) for number, views in enumerate(one.samples, 1)]
    rows.append(("|error|", list(error_colours(one.mean[at] - one.truth[at]))))
    rows.append(("spread (SD)", list(error_colours(one.sd[at]))))
    return contact_sheet(rows, [*(f"{yaw:+g}°" for yaw in SHOWN_DEG), "0° (input)"])


def _twin_rows(pair: Twins) -> list[tuple[str, Sequence[Any]]]:
    return [
        (f"{pair.kind}: without", list(to_gray(pair.without_p))),
        (f"{pair.kind}: with", list(to_gray(pair.with_p))),
        ("difference x 4", list(error_colours(4 * (pair.with_p - pair.without_p)))),
    ]


def _share_colours(share: Array) -> Any:
    """0 dark (all told) to 1 bright (nothing told); black outside the body, NaN."""
    from matplotlib import colormaps

    coloured = colormaps["viridis"].with_extremes(bad="black")(np.ma.masked_invalid(np.clip(share, 0, 1)), bytes=True)
    return np.ascontiguousarray(coloured[..., :3])


def _calibration_figure(path: Path, result: Mapping[str, Any]) -> None:
    """For each group: PIT in the body, coverage by nominal level, and coverage of 80 % at each angle."""
    figure, axes = _axes(len(result["groups"]), 3)
    for row, (rung, group) in zip(axes, result["groups"].items(), strict=True):
        for name, regions in group["pixels"].items():
            body, colour = regions["body"], COLOURS[name]
            bins = len(body["pit"])
            edges = np.linspace(0, 1, bins + 1)
            row[0].stairs(np.array(body["pit"]) * bins, edges, color=colour, lw=2, label=name)
            nominal = [float(level) for level in body["covered"]]
            for region, style in zip(regions, ("-", "--", ":"), strict=False):
                covered = [100 * v for v in regions[region]["covered"].values()]
                row[1].plot(nominal, covered, color=colour, ls=style, marker="o", ms=3, label=f"{name}, {region}")
            for level, style in (("50", ":"), ("80", "-"), ("95", "--")):
                points = [
                    (float(yaw), 100 * one["covered"][level])
                    for yaw, one in body["per_angle"].items()
                    if one["covered"][level] is not None
                ]
                row[2].plot(*zip(*points, strict=True), color=colour, ls=style, label=f"{name}, {level} %")
        row[0].axhline(1, color="#999999", lw=1)
        row[0].set(title=heading(rung, group["n"]), xlabel="PIT (body)", ylabel="density", ylim=(0, None))
        row[1].plot([40, 100], [40, 100], color="#999999", lw=1)
        row[1].set(xlabel="nominal (%)", ylabel="covered (%)")
        for nominal_level in (50, 80, 95):
            row[2].axhline(nominal_level, color="#cccccc", lw=1)
        row[2].set(xlabel="yaw (degrees)", ylabel="covered (%), body", xticks=range(-90, 91, 30))
    _save(figure, axes, path)


def _endpoint_figure(path: Path, result: Mapping[str, Any]) -> None:
    """Bland and Altman: difference over mean of prediction and truth, with bias and limits of agreement."""
    groups = result["groups"]
    figure, axes = _axes(len(groups), len(next(iter(groups.values()))["endpoints"]))
    for row, (rung, group) in zip(axes, groups.items(), strict=True):
        for axis, one in zip(row, group["endpoints"].values(), strict=True):
            truth, predicted = np.array(one["pairs"]).T
            axis.scatter((truth + predicted) / 2, predicted - truth, s=14, color="#0072B2")
            axis.axhline(one["bias"], color="#000000", lw=1.2)
            for limit in one["limits_of_agreement"]:
                axis.axhline(limit, color="#000000", lw=1, ls="--")
            axis.set(
                title=f"{one['words']} at {one['yaw_deg']:g}°",
                xlabel=f"mean of both ({one['unit']})",
                ylabel=f"prediction - truth ({one['unit']})",
            )
        row[0].annotate(heading(rung, group["n"]), (0, 1.12), xycoords="axes fraction", fontsize=9)
    _save(figure, axes, path, legend=False)


def _axes(rows: int, columns: int) -> tuple[Any, Any]:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(4.3 * columns, 3.8 * rows + 0.4), layout="constrained")
    FigureCanvasAgg(figure)
    return figure, figure.subplots(rows, columns, squeeze=False)


def _save(figure: Any, axes: Any, path: Path, legend: bool = True) -> None:
    for axis in axes.ravel():
        axis.spines[["top", "right"]].set_visible(False)
        if legend:
            axis.legend(loc="upper center", bbox_to_anchor=(0.5, -0.16), frameon=False, fontsize=7, ncols=3)
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=130)
