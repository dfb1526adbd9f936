"""What `evaluate views` writes: views.json, the tables, the error at each angle, and pictures of the examples."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path

from PIL.Image import Image

from ..core.evidence import FROM_CT
from ..evaluation.scoring import CEILINGS, Block, Summary
from ..evaluation.views import Example, ViewsResult
from ..projection.geometry import STANDARD_ARC
from ..statistics.intervals import FEW
from .curves import Panel, curve_axis, save_panels
from .pictures import PICTURE_YAW_DEG, case_picture, save_picture
from .sharpness import DEFINITIONS, sharpness_tables
from .tables import ADJUSTED, OVER_PATIENTS, estimate, heading, interval, left_out, number, p_value, table, write_result

CEILING_LABELS = {False: "V on the truth (ceiling)", True: "V on the truth, quantised"}


def write_views(out: str | Path, result: ViewsResult) -> str:
    """Write views.json, views.md, views.png and case-NAME.png; return the tables."""
    out, text = Path(out), views_markdown(result)
    write_result(out, "views", result, text)
    save_panels(out / "views.png", list(_panels(result)))
    for example in result.examples:
        save_picture(out / f"case-{example.name}.png", _picture(example, result.input_yaw_deg))
    return text


def views_markdown(result: ViewsResult) -> str:
    """The tables of each evidence level."""
    lines = [
        f"Input view at {result.input_yaw_deg:g} degrees; the input angle is left out. PSNR (dB) and SSIM on "
        f"{result.unit}, data range 1; R2 = 1 - MSE / MSE(mean view); {OVER_PATIENTS}; "
        "far = at least 30 degrees from the input; body: only rays that meet the true body."
        + (f" Baselines learned from {cohort}." if (cohort := result.settings.get("baselines")) else "")
        + (" Couches were removed." if result.settings.get("remove_couch") else ""),
        "",
    ]
    if result.sharpness is not None:
        lines += [DEFINITIONS, ""]
    for level, group in result.by_level.items():
        lines += [f"### {heading(level, group.n)}", "", *_table(group), ""]
        if level == FROM_CT:
            lines += [line for scan, part in (result.scans or {}).items() for line in _scans(result, scan, part)]
        if group.contrast is not None:
            bounds = interval(group.contrast.ci95, ".2f") + p_value(group.contrast.p)
            lines += [f"Primary contrast, {group.contrast.name}: {group.contrast.mean:+.2f} dB{bounds}.", ""]
        if group.over_best:
            gains = (f"`{name}` {estimate(gain, '+.2f')}" for name, gain in group.over_best.items())
            lines += [f"Minus best, PSNR far, {ADJUSTED} but for the primary one: {', '.join(gains)}.", ""]
        if result.sharpness is not None:
            lines += [*sharpness_tables(result.sharpness[level], _labels(group))]
    if skipped := result.skipped_baselines | (result.skipped_samples or {}):
        lines += [f"Not run: {name} ({why})." for name, why in skipped.items()] + [""]
    return "\n".join(lines + left_out(result.failed))


def _table(group: Summary) -> list[str]:
    labels = _labels(group)
    rows = [[labels[name], *_cells(block)] for name, block in (group.models | group.baselines).items()]
    return table(["", "PSNR", "PSNR far", "body", "body far", "SSIM", "SSIM far", "R2", "R2 far"], rows)


def _scans(result: ViewsResult, scan: str, group: Summary) -> list[str]:
    """The views of whole chests or of cut scans apart; few are printed one by one."""
    labels = _labels(group)
    blocks = group.models | group.baselines
    head = [f"{group.n} {scan}{'s' if group.n != 1 else ''}, far", "PSNR", "body", "SSIM", "R2"]
    cells = {
        name: [
            "" if metric is None else number(metric.mean_beyond_30, spec)
            for metric, spec in ((block.psnr, ".2f"), (block.psnr_body, ".2f"), (block.ssim, ".3f"), (block.r2, ".2f"))
        ]
        for name, block in blocks.items()
    }
    if group.n < FEW:
        cases = [one for one in result.cases if one.scan == scan and one.evidence_level == FROM_CT]
        head += [one.case for one in cases]
        for one in cases:
            for name, scores in (one.models | one.baselines).items():
                cells[name].append(number(scores["psnr_beyond_30"], ".2f"))
    return [*table(head, ([labels[name], *found] for name, found in cells.items())), ""]


def _labels(group: Summary) -> dict[str, str]:
    labels = {name: CEILING_LABELS[CEILINGS[name]] if name in CEILINGS else f"**{name}**" for name in group.models}
    return labels | {name: f"`{name}`" for name in group.baselines}


def _cells(block: Block) -> Iterator[str]:
    for metric, spec in ((block.psnr, ".2f"), (block.psnr_body, ".2f"), (block.ssim, ".3f")):
        yield "" if metric is None else f"{metric.mean:{spec}} ± {metric.sd:{spec}}"
        yield "" if metric is None else number(metric.mean_beyond_30, spec)
    yield f"{block.r2.mean:.2f}{interval(block.r2.ci95, '.2f')}"
    yield number(block.r2.mean_beyond_30, ".2f") + interval(block.r2.ci95_beyond_30, ".2f")


def _panels(result: ViewsResult) -> Iterator[Panel]:
    for level, group in result.by_level.items():
        for metric in ("psnr", "r2"):
            curves = group.models | group.baselines
            draw = partial(curve_axis, curves=curves, metric=metric, input_yaw_deg=result.input_yaw_deg)
            yield heading(level, group.n), draw


def _picture(example: Example, input_yaw_deg: float) -> Image:
    shown = sorted({*PICTURE_YAW_DEG, input_yaw_deg})
    at = [STANDARD_ARC.index(yaw) for yaw in shown]
    predicted = {name: views[at] for name, views in example.predicted_p.items()}
    return case_picture(example.truth_p[at], predicted, shown, input_yaw_deg)
