"""Pictures of views for the README, the evaluation folder and the demo: Pillow for pixels, matplotlib for curves.

Views arrive as line integrals p and are shown through the one fixed window of `radiograph.display`; errors through
a fixed colour scale, so that any two pictures compare.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from ..evaluation.metrics import Array
from ..io.files import atomic_path
from ..radiograph.display import to_gray

Pixels = NDArray[np.uint8]

ERROR_P = 2.0  # |error| in p at the bright end of the colour scale
BACKGROUND, INK, FAINT, ACCENT = (13, 17, 23), (230, 237, 243), (139, 148, 158), (88, 166, 255)
_GAP = 6

# Okabe and Ito's colours, told apart by colour-blind readers too; what is not a model is drawn thinner
STYLE: dict[str, dict[str, Any]] = {
    "direct": {"color": "#0072B2", "lw": 2.4},
    "autoregressive": {"color": "#D55E00", "lw": 2.4},
    "v_ceiling": {"color": "#666666", "lw": 1.2, "ls": (0, (5, 2))},
    "v_ceiling_quantised": {"color": "#666666", "lw": 1.2, "ls": (0, (1, 1.5))},
    "copy_input": {"color": "#CC79A7", "lw": 1.2},
    "mean_view": {"color": "#999999", "lw": 1.2},
    "knn10": {"color": "#009E73", "lw": 1.2},
    "ridge_pca": {"color": "#E69F00", "lw": 1.2},
    "best": {"color": "#000000", "lw": 1.6, "ls": (0, (3, 2))},
    # of `evaluate controls`: what a model is told, and the ways along the arc
    "as_it_is": {"color": "#0072B2", "lw": 2.4},
    "removed": {"color": "#E69F00", "lw": 1.8},
    "shuffled": {"color": "#009E73", "lw": 1.8},
    "wrong_sign": {"color": "#D55E00", "lw": 1.8},
    "other_patient": {"color": "#56B4E9", "lw": 1.8},
    "jump": {"color": "#0072B2", "lw": 2.4},
    "steps_of_5": {"color": "#D55E00", "lw": 1.8},
    "steps_of_30": {"color": "#E69F00", "lw": 1.8, "marker": "o", "ms": 5},
}


def error_colours(error_p: Array) -> Pixels:
    """|error| in p, any shape -> RGB (..., 3): black at 0, through purple and orange to light yellow at `ERROR_P`."""
    from matplotlib import colormaps

    coloured = colormaps["inferno"](np.clip(np.abs(error_p) / ERROR_P, 0, 1), bytes=True)
    return np.ascontiguousarray(coloured[..., :3])


def contact_sheet(
    rows: Sequence[tuple[str, Sequence[Pixels]]],
    columns: Sequence[str] = (),
    side: int = 160,
    marked: int | None = None,
) -> Image.Image:
    """Labelled rows of equally many pictures, gray (h, w) or RGB (h, w, 3), on a dark ground.

    Args:
        rows: (label, pictures) from top to bottom.
        columns: headings, one a column.
        side: size of a picture in pixels.
        marked: a column to be framed, such as the input.
    """
    margin = max([_width(label, 15) for label, _ in rows] + [0]) + 3 * _GAP
    top = 30 if columns else _GAP
    count = max(len(pictures) for _, pictures in rows)
    sheet = Image.new("RGB", (margin + count * (side + _GAP), top + len(rows) * (side + _GAP)), BACKGROUND)
    draw = ImageDraw.Draw(sheet)
    for column, heading in enumerate(columns):
        at = (margin + column * (side + _GAP) + side / 2, top / 2)
        draw.text(at, heading, fill=ACCENT if column == marked else FAINT, font=_font(15), anchor="mm")
    for row, (label, pictures) in enumerate(rows):
        y = top + row * (side + _GAP)
        draw.text((margin - 2 * _GAP, y + side / 2), label, fill=INK, font=_font(15), anchor="rm")
        for column, picture in enumerate(pictures):
            sheet.paste(_scaled(picture, side), (margin + column * (side + _GAP), y))
    if marked is not None:
        x = margin + marked * (side + _GAP)
        draw.rectangle((x - 2, top - 2, x + side + 1, top + side + 1), outline=ACCENT, width=2)
    return sheet


def case_picture(
    truth_p: Array, predicted_p: Mapping[str, Array], yaw_deg: Sequence[float], input_yaw_deg: float = 0.0
) -> Image.Image:
    """Truth above each model's prediction above the error of the first model; p arrays (angles, h, w)."""
    rows: list[tuple[str, Sequence[Pixels]]] = [("truth", list(to_gray(truth_p)))]
    rows += [(name, list(to_gray(views))) for name, views in predicted_p.items()]
    for name, views in list(predicted_p.items())[:1]:
        rows.append((f"|error| {name}", list(error_colours(views - truth_p))))
    marked = list(yaw_deg).index(input_yaw_deg) if input_yaw_deg in yaw_deg else None
    return contact_sheet(rows, [_degrees(yaw, input_yaw_deg) for yaw in yaw_deg], marked=marked)


def unfold_picture(
    input_p: Array,
    predicted_p: Array,
    truth_p: Array | None,
    yaw_deg: Sequence[float],
    side: int = 150,
    input_label: str = "one radiograph",
) -> Image.Image:
    """The picture of the README: one radiograph, large, and what it unfolds into.

    Args:
        input_p: (h, w).
        predicted_p, truth_p: (angles, h, w); the truth stands below the prediction where it is known.
    """
    rows: list[tuple[str, Sequence[Pixels]]] = [("predicted", list(to_gray(predicted_p)))]
    if truth_p is not None:
        rows.append(("truth", list(to_gray(truth_p))))
    views = contact_sheet(rows, [_degrees(yaw) for yaw in yaw_deg], side)
    large = max(2 * side + _GAP, views.height - 30 - _GAP) if truth_p is not None else int(1.4 * side)
    height = max(views.height, large + 30 + _GAP)
    sheet = Image.new("RGB", (large + 3 * _GAP + 40 + views.width, height), BACKGROUND)
    draw = ImageDraw.Draw(sheet)
    draw.text((_GAP + large / 2, 15), input_label, fill=ACCENT, font=_font(15), anchor="mm")
    sheet.paste(_scaled(to_gray(input_p), large), (_GAP, 30))
    x, y = large + 3 * _GAP, 30 + large / 2
    draw.line((x, y, x + 22, y), fill=ACCENT, width=3)
    draw.polygon([(x + 20, y - 8), (x + 32, y), (x + 20, y + 8)], fill=ACCENT)
    sheet.paste(views, (x + 40, (height - views.height) // 2 if truth_p is None else 0))
    return sheet


def views_gif(
    path: str | Path,
    predicted_p: Array,
    truth_p: Array | None = None,
    yaw_deg: Sequence[float] | None = None,
    side: int = 256,
    ping_pong: bool = True,
    frame_ms: int = 70,
) -> None:
    """The X-ray source going round the patient: truth left, prediction right, one frame for each angle.

    Args:
        predicted_p, truth_p: (angles, h, w) line integrals.
        ping_pong: also go back, so that the loop has no jump.
    """
    count = len(predicted_p)
    panels = [("predicted", to_gray(predicted_p))]
    if truth_p is not None:
        panels.insert(0, ("truth", to_gray(truth_p)))
    frames = []
    for i in range(count):
        frame = Image.new("L", (len(panels) * (side + _GAP) + _GAP, side + 34), BACKGROUND[0])
        draw = ImageDraw.Draw(frame)
        for column, (label, views) in enumerate(panels):
            x = _GAP + column * (side + _GAP)
            frame.paste(_scaled(views[i], side).convert("L"), (x, 28))
            draw.text((x, 14), label, fill=INK[0], font=_font(14), anchor="lm")
        if yaw_deg is not None:
            draw.text((frame.width - _GAP, 14), _degrees(yaw_deg[i]), fill=FAINT[0] + 30, font=_font(14), anchor="rm")
        # 64 greys: the eye does not miss the others, and the file is a third smaller
        frames.append(frame.point([round(v / 255 * 63) * 255 // 63 for v in range(256)]))
    if ping_pong:
        frames += frames[-2:0:-1]
    with atomic_path(path) as temporary:
        frames[0].save(temporary, format="GIF", save_all=True, append_images=frames[1:], duration=frame_ms, loop=0)


def metric_curves(path: str | Path, result: Mapping[str, Any]) -> None:
    """PSNR and R2 at each angle for all models and baselines of a views.json, one row for each group of cases."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    groups = result.get("groups") or {result["cases"][0]["rung"]: result}
    figure = Figure(figsize=(11, 0.7 + 3.9 * len(groups)), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(len(groups), 2, squeeze=False)
    for row, (rung, group) in zip(axes, groups.items(), strict=True):
        for axis, (metric, label) in zip(row, (("psnr", "PSNR (dB)"), ("r2", "R2 over the mean view")), strict=True):
            curve_axis(axis, group, metric, result["input_yaw_deg"])
            axis.set_ylabel(label)
            axis.set_title(f"{rung}, {group['n']} case{'s' * (group['n'] != 1)}", fontsize=10, loc="left")
    handles, labels = axes[0][0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=5, frameon=False, fontsize=9)
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=130)


def curve_axis(axis: Any, group: Mapping[str, Any], metric: str, input_yaw_deg: float) -> None:
    """A metric at each angle, a curve for each of the "models" and "baselines" of a group, on a matplotlib axis."""
    for name, block in [*group["models"].items(), *group["baselines"].items()]:
        if metric == "r2" and name == "mean_view":
            continue  # zero by definition, drawn as the axis
        angles, values = zip(*((float(a), v) for a, v in block[metric]["per_angle"].items()), strict=True)
        # the curves do not run through the input angle, which is not scored
        label = name
        for side in (lambda a: a < input_yaw_deg, lambda a: a > input_yaw_deg):
            points = [(a, v) for a, v in zip(angles, values, strict=True) if side(a)]
            if points:
                axis.plot(*zip(*points, strict=True), label=label, **STYLE.get(name, {}))
                label = "_"
    axis.axvline(input_yaw_deg, color="#cccccc", lw=0.8, zorder=0)
    if metric == "r2":
        axis.axhline(0, color="#999999", lw=1)
        axis.set_ylim(max(axis.get_ylim()[0], -1.5), 1.0)
    yaw_axis(axis)


def yaw_axis(axis: Any) -> None:
    """The angles of the arc along a matplotlib axis, and a quiet frame."""
    axis.set_xticks(range(-90, 91, 30))
    axis.set_xlabel("yaw (degrees)")
    axis.spines[["top", "right"]].set_visible(False)
    axis.grid(axis="y", color="#eeeeee")


def _degrees(yaw_deg: float, input_yaw_deg: float | None = None) -> str:
    text = f"{yaw_deg:+g}°" if yaw_deg else "0°"  # a hyphen: Pillow's font has no minus sign
    return f"{text} (input)" if yaw_deg == input_yaw_deg else text


def _scaled(picture: Pixels, side: int) -> Image.Image:
    return Image.fromarray(np.ascontiguousarray(picture)).convert("RGB").resize((side, side), Image.Resampling.BICUBIC)


def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)


def _width(text: str, size: int) -> int:
    return int(_font(size).getlength(text))
