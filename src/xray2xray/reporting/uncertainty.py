"""What `evaluate uncertainty` writes: uncertainty.json, the tables, two figures, and pictures of the examples."""

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from PIL.Image import Image

from ..evaluation.counterfactual import Pair, PairSummary
from ..evaluation.spread import LEVELS, Agreement, RegionScores
from ..evaluation.uncertainty import Example, Group, UncertaintyResult, VarianceRatio
from ..radiograph.display import to_gray
from .curves import COLOURS, Panel, save_panels, yaw_axis
from .pictures import colour_map, contact_sheet, error_colours, save_picture
from .tables import OVER_PATIENTS, estimate, heading, interval, left_out, table, write_result
from .volume import coverage_table

LABELS = {
    "sampler": "**sampler**",
    "gaussian": "normal, SD of held-out errors",
    "prediction": "the prediction, no spread",
    "sample": "a sample",
    "mixed": "every view of another sample",
    "truth": "the truth (floor)",
}
PICTURE_YAW_DEG = (-90.0, -30.0, 30.0, 90.0)


def write_uncertainty(out: str | Path, result: UncertaintyResult) -> str:
    """Write uncertainty.json, uncertainty.md, the figures and the pictures; return the tables."""
    out, text = Path(out), uncertainty_markdown(result)
    write_result(out, "uncertainty", result, text)
    if result.groups:
        save_panels(out / "calibration.png", list(_calibration_panels(result)), columns=3)
        endpoints = list(_endpoint_panels(result))
        save_panels(out / "endpoints.png", endpoints, columns=len(endpoints) // len(result.groups))
    for example in result.examples:
        save_picture(out / f"case-{example.name}.png", _case_picture(example, result.yaw_deg))
    maps = {level: group.variance_ratio_map for level, group in result.groups.items()}
    rows = [(level, list(colour_map(found, "viridis"))) for level, found in maps.items() if found is not None]
    if rows:
        save_picture(out / "variance-ratio.png", contact_sheet(rows, [f"{yaw:+g}°" for yaw in result.yaw_deg]))
    pairs = [row for one in result.counterfactual_pairs.values() if one.example for row in _pair_rows(one.example)]
    if pairs:
        save_picture(out / "counterfactual-pairs.png", contact_sheet(pairs, ["0°", "-90°", "+90°"]))
    return text


# ---------------------------------------------------------------- tables


def uncertainty_markdown(result: UncertaintyResult) -> str:
    """Tables of each evidence level, and of the counterfactual pairs."""
    lines = [
        f"Input: the frontal. {result.samples} samples a patient, scored at "
        f"{', '.join(f'{yaw:g}' for yaw in result.yaw_deg)} degrees. CRPS, error (of the forecast's mean) and width in "
        f"line integrals p; coverage in % of pixels, every patient alike; {OVER_PATIENTS} in brackets.",
        "",
    ]
    for level, group in result.groups.items():
        lines += [f"### {heading(level, group.n)}", "", *_pixel_table(group), ""]
        if group.voxels is not None:
            lines += ["Voxels of 6 mm inside the central intervals of the volumes that are drawn, %:", ""]
            lines += [*coverage_table({"volume": group.voxels}), ""]
        lines += ["The joint vector of all pixels of all angles, energy score over the root of its length, in p:", ""]
        energy = [[LABELS[name], estimate(one, ".4f")] for name, one in group.energy.items()]
        lines += [*table(["", "energy score"], energy), ""]
        lines += ["Anatomy measured on the views (bias and limits: prediction minus truth, Bland and Altman):", ""]
        lines += [*_endpoint_table(group), "", "Are the 37 views of one chest? Relative, 0 is consistent:", ""]
        lines += [*_consistency_table(group.consistency), ""]
        if group.variance_ratio is not None:
            lines += ["Posterior/prior variance ratio: variance of the samples over that between patients.", ""]
            lines += [*_ratio_table(group.variance_ratio), ""]
    if result.counterfactual_pairs:
        lines += ["### Counterfactual pairs: virtual patients without and with one lesion", ""]
        lines += [*_pair_table(result.counterfactual_pairs), ""]
    return "\n".join(lines + left_out(result.failed))


def _pixel_table(group: Group) -> list[str]:
    rows = []
    for name, regions in group.pixels.items():
        for region, one in regions.items():
            levels = [
                f"{100 * one.covered[k]:.1f}{interval(_percent(one.covered_ci95[k]), '.1f')} ({width:.2f})"
                for k, width in one.width.items()
            ]
            crps = f"{one.crps:.4f}{interval(one.crps_ci95, '.4f')}"
            rows.append([f"{LABELS[name]}, {region}", crps, f"{one.error:.4f}", *levels])
    return table(["", "CRPS", "error", *(f"{100 * level:g} % (width)" for level in LEVELS)], rows)


def _endpoint_table(group: Group) -> list[str]:
    rows = []
    for one in group.endpoints.values():
        low, high = one.limits_of_agreement
        agreement = [
            f"{one.truth_mean:.0f} ± {one.truth_sd:.0f}",
            f"{one.bias:+.1f}{interval(one.bias_ci95, '.1f')}",
            f"{low:.1f} to {high:.1f}",
        ]
        for name, forecast in one.forecasts.items():
            covered = [f"{100 * v:.0f} ({forecast.width[k]:.0f})" for k, v in forecast.covered.items()]
            words = f"{one.words}, {one.unit}, at {one.yaw_deg:g}: {LABELS[name]}"
            rows.append([words, *agreement, f"{forecast.crps:.2f}", *covered])
            agreement = ["", "", ""]
    head = ["", "truth", "bias", "limits of agreement", "CRPS", *(f"{100 * level:g} %" for level in LEVELS)]
    return table(head, rows)


def _consistency_table(consistency: Mapping[str, Mapping[str, float]]) -> list[str]:
    tests = {"row_sums": "row sums", "mirror": "mirrored +-90", "range": "left by the best volume"}
    rows = [[LABELS[name], *(f"{one[test]:.4f}" for test in tests)] for name, one in consistency.items()]
    return table(["", *tests.values()], rows)


def _ratio_table(ratios: Mapping[str, VarianceRatio]) -> list[str]:
    angles = list(next(iter(ratios.values())).per_angle)
    rows = [[name, f"{one.mean:.2f}", *(f"{v:.2f}" for v in one.per_angle.values())] for name, one in ratios.items()]
    return table(["", "mean", *angles], rows)


def _pair_table(kinds: Mapping[str, PairSummary]) -> list[str]:
    head = ["", "pairs", "frontal change, SD of noise", "lateral change, p", "kept in the lateral", "identified"]
    head += ["spread at the place", "spread elsewhere"]
    rows = []
    for kind, one in kinds.items():
        found = (one.frontal_change, one.lateral_p, one.kept, one.identified, one.spread, one.spread_elsewhere)
        rows.append([kind, str(one.n), *(estimate(cell, ".2f") for cell in found)])
    return table(head, rows)


def _percent(bounds: Sequence[float] | None) -> list[float] | None:
    return None if bounds is None else [100 * bound for bound in bounds]


# ---------------------------------------------------------------- pictures


def _case_picture(one: Example, yaw_deg: Sequence[float]) -> Image:
    """Truth, prediction, three samples, the prediction's error and the spread, on one colour scale; the input right."""
    at = [list(yaw_deg).index(yaw) for yaw in PICTURE_YAW_DEG]
    rows: list[tuple[str, Sequence[Any]]] = [("truth", [*to_gray(one.truth[at]), to_gray(one.frontal)])]
    rows.append(("prediction", list(to_gray(one.mean[at]))))
    rows += [(f"sample {number}", list(to_gray(views[at]))) for number, views in enumerate(one.samples, 1)]
    rows.append(("|error|", list(error_colours(one.mean[at] - one.truth[at]))))
    rows.append(("spread (SD)", list(error_colours(one.sd[at]))))
    return contact_sheet(rows, [*(f"{yaw:+g}°" for yaw in PICTURE_YAW_DEG), "0° (input)"])


def _pair_rows(pair: Pair) -> list[tuple[str, Sequence[Any]]]:
    return [
        (f"{pair.kind}: without", list(to_gray(pair.without_p))),
        (f"{pair.kind}: with", list(to_gray(pair.with_p))),
        ("difference x 4", list(error_colours(4 * (pair.with_p - pair.without_p)))),
    ]


# ---------------------------------------------------------------- figures


def _calibration_panels(result: UncertaintyResult) -> Iterator[Panel]:
    """For each group: PIT in the body, coverage by nominal level, and coverage at each angle."""
    for level, group in result.groups.items():
        title = heading(level, group.n)
        yield title, partial(_pit, pixels=group.pixels)
        yield title, partial(_coverage, pixels=group.pixels)
        yield title, partial(_coverage_at_angles, pixels=group.pixels)


Pixels = Mapping[str, Mapping[str, RegionScores]]


def _pit(axis: Any, pixels: Pixels) -> None:
    for colour, (name, regions) in zip(COLOURS, pixels.items(), strict=False):
        density = np.array(regions["body"].pit)
        axis.stairs(density * len(density), np.linspace(0, 1, len(density) + 1), color=colour, lw=2, label=name)
    axis.axhline(1, color="#999999", lw=1)
    axis.set(xlabel="PIT (body)", ylabel="density", ylim=(0, None))


def _coverage(axis: Any, pixels: Pixels) -> None:
    for colour, (name, regions) in zip(COLOURS, pixels.items(), strict=False):
        for style, (region, one) in zip(("-", "--", ":"), regions.items(), strict=False):
            points = [(float(nominal), 100 * covered) for nominal, covered in one.covered.items()]
            axis.plot(*zip(*points, strict=True), color=colour, ls=style, marker="o", ms=3, label=f"{name}, {region}")
    axis.plot([40, 100], [40, 100], color="#999999", lw=1)
    axis.set(xlabel="nominal (%)", ylabel="covered (%)")


def _coverage_at_angles(axis: Any, pixels: Pixels) -> None:
    nominal = [f"{100 * level:g}" for level in LEVELS]
    for colour, (name, regions) in zip(COLOURS, pixels.items(), strict=False):
        for style, level in zip((":", "-", "--"), nominal, strict=True):
            known = [(float(yaw), one.covered[level]) for yaw, one in regions["body"].per_angle.items()]
            points = [(yaw, 100 * covered) for yaw, covered in known if covered is not None]
            axis.plot(*zip(*points, strict=True), color=colour, ls=style, label=f"{name}, {level} %")
    for level in nominal:
        axis.axhline(float(level), color="#cccccc", lw=1)
    axis.set_ylabel("covered (%), body")
    yaw_axis(axis)


def _endpoint_panels(result: UncertaintyResult) -> Iterator[Panel]:
    for level, group in result.groups.items():
        for one in group.endpoints.values():
            title = f"{one.words} at {one.yaw_deg:g}°: {heading(level, group.n)}"
            yield title, partial(_bland_altman, found=one, unit=one.unit)


def _bland_altman(axis: Any, found: Agreement, unit: str) -> None:
    """Difference over mean of prediction and truth, with bias and limits of agreement."""
    truth, predicted = np.array(found.pairs).T
    axis.scatter((truth + predicted) / 2, predicted - truth, s=14, color=COLOURS[0])
    axis.axhline(found.bias, color="#000000", lw=1.2)
    for limit in found.limits_of_agreement:
        axis.axhline(limit, color="#000000", lw=1, ls="--")
    axis.set(xlabel=f"mean of both ({unit})", ylabel=f"prediction - truth ({unit})")
