"""Figures of curves: panels in rows, and what is the same in all of them."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import cycle
from pathlib import Path
from typing import Any

from ..evaluation.scoring import Block
from ..io.files import atomic_path

Panel = tuple[str, Callable[[Any], None]]
"""A title, and what draws on a matplotlib axis."""

Style = dict[str, Any]

# Okabe and Ito's colours, which colour-blind readers distinguish, too
COLOURS = ("#0072B2", "#D55E00", "#E69F00", "#009E73", "#56B4E9", "#CC79A7")
_GREY: Style = {"color": "#666666", "lw": 1.2}
STYLE: dict[str, Style] = {
    "v_ceiling": {**_GREY, "ls": (0, (5, 2))},
    "v_ceiling_quantised": {**_GREY, "ls": (0, (1, 1.5))},
    "copy_input": {"color": "#CC79A7", "lw": 1.2},
    "mean_view": {"color": "#999999", "lw": 1.2},
    "knn10": {"color": "#009E73", "lw": 1.2},
    "ridge_pca": {"color": "#E69F00", "lw": 1.2},
    "best": {"color": "#000000", "lw": 1.6, "ls": (0, (3, 2))},
}
"""Ceilings and baselines are thin, and look the same in every figure."""


def styles(names: Iterable[str]) -> dict[str, Style]:
    """The style of each curve: what is compared is thick, in the order of `COLOURS`."""
    colours = cycle(COLOURS)
    return {name: STYLE.get(name) or {"color": next(colours), "lw": 2.2} for name in names}


def curve_axis(axis: Any, curves: Mapping[str, Block], metric: str, input_yaw_deg: float) -> None:
    """A metric of `Block` at each angle, one curve a predictor, on a matplotlib axis."""
    for name, style in styles(curves).items():
        if metric == "r2" and name == "mean_view":
            continue  # zero by definition, drawn as the axis
        points = [(float(yaw), value) for yaw, value in getattr(curves[name], metric).per_angle.items()]
        if len(points) < 10:
            style = {**style, "marker": "o", "ms": 4}
        # the curves do not run through the input angle, which is not scored
        label = name.replace("_", " ")
        for side in ([p for p in points if p[0] < input_yaw_deg], [p for p in points if p[0] > input_yaw_deg]):
            if side:
                axis.plot(*zip(*side, strict=True), label=label, **style)
                label = "_"
    axis.axvline(input_yaw_deg, color="#cccccc", lw=0.8, zorder=0)
    axis.set_ylabel({"psnr": "PSNR (dB)", "ssim": "SSIM", "r2": "R2 over the mean view"}[metric])
    if metric == "r2":
        axis.axhline(0, color="#999999", lw=1)
        axis.set_ylim(max(axis.get_ylim()[0], -1.5), 1.0)
    yaw_axis(axis)


def yaw_axis(axis: Any) -> None:
    """The angles of the arc along a matplotlib axis."""
    axis.set_xticks(range(-90, 91, 30))
    axis.set_xlabel("yaw (degrees)")
    axis.grid(axis="y", color="#eeeeee")


def save_panels(path: Path, panels: Sequence[Panel], columns: int = 2) -> None:
    """The panels, `columns` in a row, each with its legend below where it has labels."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    columns = min(columns, len(panels))
    rows = -(-len(panels) // columns)
    width = 5.5 if columns < 3 else 4.3
    figure = Figure(figsize=(width * columns, 4.5 * rows), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(rows, columns, squeeze=False).ravel()
    for axis, (title, draw) in zip(axes, panels):
        draw(axis)
        axis.set_title(title, fontsize=10, loc="left")
        axis.spines[["top", "right"]].set_visible(False)
        if axis.get_legend_handles_labels()[0]:
            axis.legend(loc="upper center", bbox_to_anchor=(0.5, -0.14), frameon=False, fontsize=8, ncols=3)
    for axis in axes[len(panels) :]:
        axis.set_visible(False)
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=130)
