"""What `evaluate controls` writes: controls.json, the tables, and two figures."""

from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from ..evaluation.controls import ControlGroup, ControlsResult, Measured
from ..evaluation.drift import START_DEG, Drift
from ..evaluation.retrieval import Found, Retrieval
from ..evaluation.scoring import Block
from .curves import Panel, curve_axis, save_panels, styles, yaw_axis
from .tables import ADJUSTED, OVER_PATIENTS, estimate, heading, interval, left_out, number, table, write_result

DRIFT_YAW_DEG = (-60, -30, 0, 30, 60, 90)  # where every roll-out has a view
SPACES = {"latents": "latents", "pixels": "pixels", "row_sums": "row sums"}


def write_controls(out: str | Path, result: ControlsResult) -> str:
    """Write controls.json, controls.md, controls.png and alignment.png; return the tables."""
    out, text = Path(out), controls_markdown(result)
    write_result(out, "controls", result, text)
    save_panels(out / "controls.png", list(_control_panels(result)))
    save_panels(out / "alignment.png", [*_retrieval_panels(result.retrieval), *_drift_panels(result)])
    return text


# ---------------------------------------------------------------- tables


def controls_markdown(result: ControlsResult) -> str:
    """Tables of the controls and of the drift of each form, and of the retrieval."""
    lines = [
        f"Input: the frontal. PSNR (dB) on {result.unit}, data range 1; R2 = 1 - MSE / MSE(mean view); far = at "
        "least 30 degrees from the input; cost = the prediction as it is minus the control, PSNR far, paired within "
        f"each patient, {ADJUSTED}. {OVER_PATIENTS} in brackets.",
        "",
    ]
    for level, group in result.groups.items():
        for form, measured in group.models.items():
            lines += [f"### {heading(level, group.n)}, {form}", "", *_control_table(result, group, measured), ""]
            lines += [f"Drift from {START_DEG:g} degrees: PSNR (dB) at each angle on the way, R2 at its end.", ""]
            lines += [*_drift_table(measured.drift), ""]
    found = result.retrieval
    lines += [
        f"### Retrieval among {found.candidates} unseen virtual patients",
        "",
        "The patient's true view at an angle, found from the one predicted for it (cosine, centred). By chance: "
        f"top-1 {found.chance.top1:.3f}, top-5 {found.chance.top5:.3f}, median rank {found.chance.median_rank:g}.",
        "",
        *_retrieval_table(found),
        "",
    ]
    return "\n".join(lines + left_out(result.failed))


def _control_table(result: ControlsResult, group: ControlGroup, measured: Measured) -> list[str]:
    rows = []
    for name, control in measured.controls.items():
        label = f"{name.replace('_', ' ')}: {result.controls[name]}"
        rows.append([label, *_far(control), estimate(control.cost, "z.2f")])
    rows += [[f"`{name}`", *_far(block), ""] for name, block in group.baselines.items()]
    return table(["", "PSNR far", "R2 far", "cost"], rows)


def _far(block: Block) -> list[str]:
    r2 = block.r2
    return [
        number(block.psnr.mean_beyond_30, ".2f"),
        number(r2.mean_beyond_30, "z.2f") + interval(r2.ci95_beyond_30, "z.2f"),
    ]


def _drift_table(drift: Drift) -> list[str]:
    labels = {name: name.replace("_", " ") for name in drift.routes} | {name: f"`{name}`" for name in drift.baselines}
    rows = []
    for name, block in (drift.routes | drift.baselines).items():
        psnr = [f"{block.psnr.per_angle[f'{yaw}']:.2f}" for yaw in DRIFT_YAW_DEG]
        rows.append([labels[name], *psnr, f"{block.r2.per_angle[f'{DRIFT_YAW_DEG[-1]}']:z.2f}"])
    return table(["", *(f"{yaw:+d}" if yaw else "0" for yaw in DRIFT_YAW_DEG), "R2 at +90"], rows)


def _retrieval_table(found: Retrieval) -> list[str]:
    rows, angles = [], []
    for space, words in SPACES.items():
        for name, one in getattr(found, space).items():
            angles = list(one.per_angle)
            rows.append(
                [
                    f"`{name}`, {words}",
                    f"{one.top1:.2f}{interval(one.top1_ci95, '.2f')}",
                    f"{one.top5:.2f}",
                    f"{one.median_rank:g}",
                    *(f"{at.top1:.2f}" for at in one.per_angle.values()),
                ]
            )
    return table(["", "top-1", "top-5", "median rank", *(f"top-1 at {yaw}" for yaw in angles)], rows)


# ---------------------------------------------------------------- figures


def _control_panels(result: ControlsResult) -> Iterator[Panel]:
    for level, group in result.groups.items():
        for form, measured in group.models.items():
            title = f"{form} under controls: {heading(level, group.n)}"
            yield title, _psnr(measured.controls | group.baselines, result.input_yaw_deg)


def _drift_panels(result: ControlsResult) -> Iterator[Panel]:
    for level, group in result.groups.items():
        for form, measured in group.models.items():
            title = f"{form}, roll-out from {START_DEG:g}: {heading(level, group.n)}"
            yield title, _psnr(measured.drift.routes | measured.drift.baselines, START_DEG)


def _psnr(curves: Mapping[str, Block], input_yaw_deg: float) -> Any:
    return partial(curve_axis, curves=curves, metric="psnr", input_yaw_deg=input_yaw_deg)


def _retrieval_panels(found: Retrieval) -> Iterator[Panel]:
    """Row sums are of the frontal alone: one more curve beside those of pixels."""
    alone = {f"{name}, row sums": one for name, one in found.row_sums.items()}
    for space, named in (("latents", found.latents), ("pixels", found.pixels | alone)):
        title = f"retrieval among {found.candidates} virtual patients, {space}"
        yield title, partial(_top1, named=named, chance=found.chance.top1)


def _top1(axis: Any, named: Mapping[str, Found], chance: float) -> None:
    for name, style in styles(named).items():
        points = [(float(yaw), at.top1) for yaw, at in named[name].per_angle.items()]
        # thin curves above thick ones: where all are 1, all can be seen
        axis.plot(*zip(*points, strict=True), label=name, marker="o", ms=4, zorder=5 - style["lw"], **style)
    axis.axhline(chance, color="#999999", lw=1, ls=(0, (3, 2)), label="chance")
    axis.set_ylim(-0.03, 1.03)
    axis.set_ylabel("top-1")
    yaw_axis(axis)
