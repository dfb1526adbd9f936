"""What `evaluate controls` writes: controls.json as it is, as tables, and as two figures."""

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from ..evaluation.drift import START_DEG
from ..io.files import atomic_path, write_json, write_text
from .pictures import STYLE, curve_axis, yaw_axis
from .tables import heading, interval, table

DRIFT_YAW_DEG = (-60, -30, 0, 30, 60, 90)  # where every way arrives
SPACES = {"latents": "latents", "pixels": "pixels", "row_sums": "row sums"}

Panel = tuple[str, Callable[[Any], None]]
"""A title, and what draws on a matplotlib axis."""


def write_controls(out: Path, result: Mapping[str, Any]) -> None:
    """controls.json, controls.md, controls.png and alignment.png; prints the tables."""
    out.mkdir(parents=True, exist_ok=True)
    write_json(out / "controls.json", result)
    text = controls_markdown(result)
    write_text(out / "controls.md", text)
    _figure(out / "controls.png", list(_control_panels(result)))
    _figure(out / "alignment.png", [*_retrieval_panels(result["retrieval"]), *_drift_panels(result)])
    print(text)


# ---------------------------------------------------------------- tables


def controls_markdown(result: Mapping[str, Any]) -> str:
    """controls.json as tables to read."""
    lines = [
        f"Input: the frontal. PSNR (dB) on {result['unit']}, data range 1; R2 = 1 - MSE / MSE(mean view); far = at "
        "least 30 degrees from the input; cost = the prediction as it is minus the control, PSNR far, paired within "
        "each patient. 95 % patient-bootstrap intervals in brackets.",
        "",
    ]
    for rung, group in result["groups"].items():
        for form, measured in group["models"].items():
            lines += [f"### {heading(rung, group['n'])}, {form}", "", *_control_table(result, group, measured), ""]
            start = f"{START_DEG:g}"
            lines += [f"Drift from {start} degrees: PSNR (dB) at each angle on the way, R2 at its end.", ""]
            lines += [*_drift_table(measured["drift"]), ""]
    found = result["retrieval"]
    lines += [
        f"### Retrieval among {found['candidates']} unseen virtual patients",
        "",
        "The patient's true view at an angle, found from the one predicted for it (cosine, centred). By chance: "
        f"top-1 {found['chance']['top1']:.3f}, top-5 {found['chance']['top5']:.3f}, median rank "
        f"{found['chance']['median_rank']:g}.",
        "",
        *_retrieval_table(found),
        "",
    ]
    if result["failed"]:
        lines += ["Left out:", ""] + [f"- {row['case']}: {row['reason']}" for row in result["failed"]] + [""]
    return "\n".join(lines)


def _control_table(result: Mapping[str, Any], group: Mapping[str, Any], measured: Mapping[str, Any]) -> list[str]:
    rows = []
    for name, block in [*measured["controls"].items(), *group["baselines"].items()]:
        said, r2, cost = result["controls"].get(name), block["r2"], block.get("cost")
        rows.append(
            [
                f"{name.replace('_', ' ')}: {said}" if said else f"`{name}`",
                f"{block['psnr']['mean_beyond_30']:.2f}",
                f"{r2['mean_beyond_30']:z.2f}{interval(r2['ci95_beyond_30'], 'z.2f')}",
                f"{cost['mean']:z.2f}{interval(cost['ci95'], 'z.2f')}" if cost else "",
            ]
        )
    return table(["", "PSNR far", "R2 far", "cost"], rows)


def _drift_table(drift: Mapping[str, Any]) -> list[str]:
    rows = []
    for name, block in [*drift["routes"].items(), *drift["baselines"].items()]:
        label = name.replace("_", " ") if name in drift["routes"] else f"`{name}`"
        psnr = [f"{block['psnr']['per_angle'][f'{yaw}']:.2f}" for yaw in DRIFT_YAW_DEG]
        rows.append([label, *psnr, f"{block['r2']['per_angle'][f'{DRIFT_YAW_DEG[-1]}']:z.2f}"])
    return table(["", *(f"{yaw:+d}" if yaw else "0" for yaw in DRIFT_YAW_DEG), "R2 at +90"], rows)


def _retrieval_table(found: Mapping[str, Any]) -> list[str]:
    rows, angles = [], []
    for space, words in SPACES.items():
        for name, one in found[space].items():
            angles = list(one["per_angle"])
            rows.append(
                [
                    f"`{name}`, {words}",
                    f"{one['top1']:.2f}{interval(one['top1_ci95'], '.2f')}",
                    f"{one['top5']:.2f}",
                    f"{one['median_rank']:g}",
                    *(f"{at['top1']:.2f}" for at in one["per_angle"].values()),
                ]
            )
    return table(["", "top-1", "top-5", "median rank", *(f"top-1 at {yaw}" for yaw in angles)], rows)


# ---------------------------------------------------------------- figures


def _control_panels(result: Mapping[str, Any]) -> Iterator[Panel]:
    for rung, group in result["groups"].items():
        for form, measured in group["models"].items():
            curves = {"models": measured["controls"], "baselines": group["baselines"]}
            title = f"{form} under controls: {heading(rung, group['n'])}"
            yield title, partial(_psnr, group=curves, input_yaw_deg=result["input_yaw_deg"])


def _drift_panels(result: Mapping[str, Any]) -> Iterator[Panel]:
    for rung, group in result["groups"].items():
        for form, measured in group["models"].items():
            curves = {"models": measured["drift"]["routes"], "baselines": measured["drift"]["baselines"]}
            title = f"{form}, on the way from {START_DEG:g}: {heading(rung, group['n'])}"
            yield title, partial(_psnr, group=curves, input_yaw_deg=START_DEG)


def _retrieval_panels(found: Mapping[str, Any]) -> Iterator[Panel]:
    """Row sums are of the frontal alone: one more curve beside those of pixels."""
    alone = {f"{name}, row sums": one for name, one in found["row_sums"].items()}
    for space, named in (("latents", found["latents"]), ("pixels", found["pixels"] | alone)):
        title = f"retrieval among {found['candidates']} virtual patients, {space}"
        yield title, partial(_top1, named=named, chance=found["chance"]["top1"])


def _psnr(axis: Any, group: Mapping[str, Any], input_yaw_deg: float) -> None:
    curve_axis(axis, group, "psnr", input_yaw_deg)
    axis.set_ylabel("PSNR (dB)")


def _top1(axis: Any, named: Mapping[str, Any], chance: float) -> None:
    for name, one in named.items():
        yaw_deg, top1 = zip(*((float(yaw), at["top1"]) for yaw, at in one["per_angle"].items()), strict=True)
        style = STYLE.get(name, {"color": "#000000", "lw": 1.0})
        # the thin above the thick: where all find everyone, all can be seen
        axis.plot(yaw_deg, top1, label=name, marker="o", ms=4, zorder=5 - style["lw"], **style)
    axis.axhline(chance, color="#999999", lw=1, ls=(0, (3, 2)), label="chance")
    axis.set_ylim(-0.03, 1.03)
    axis.set_ylabel("top-1")
    yaw_axis(axis)


def _figure(path: Path, panels: list[Panel]) -> None:
    """The panels two in a row."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    columns = min(2, len(panels))
    rows = -(-len(panels) // columns)
    figure = Figure(figsize=(5.5 * columns, 4.5 * rows), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(rows, columns, squeeze=False).ravel()
    for axis, (title, draw) in zip(axes, panels):
        draw(axis)
        axis.set_title(title, fontsize=10, loc="left")
        axis.legend(loc="upper center", bbox_to_anchor=(0.5, -0.14), frameon=False, fontsize=8, ncols=4)
    for axis in axes[len(panels) :]:
        axis.set_visible(False)
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=130)
