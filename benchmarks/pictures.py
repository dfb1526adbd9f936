"""The picture of the README, and with CTs those of the pages on geometry and on the virtual cohort.

python -m benchmarks.pictures [CT...] [--out docs/pictures]

The README shows a virtual patient of no training. The first CT is drawn within the set; all of them stand beside as
many virtual patients.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from xray2xray.core.seeds import FIRST_TEST_SEED
from xray2xray.phantoms import patient_volume
from xray2xray.projection import NAMED_VIEWS, STANDARD_ARC, Geometry, preset, render
from xray2xray.projection.geometry import rays_mm, source_mm
from xray2xray.radiograph import radiograph, save_png
from xray2xray.reporting.pictures import PICTURE_YAW_DEG, save_picture, unfold_picture
from xray2xray.session.session import Session
from xray2xray.session.study import open_procedural
from xray2xray.volume import Volume, canonical, isocentre_mm, read_volume, remove_couch

DRAWN_YAW = 30.0  # the view whose fan is drawn
TITLES = {
    "right_lateral": "right lateral, -90°",
    "right_anterior_oblique": "right anterior oblique, -45°",
    "pa": "PA, 0°",
    "left_anterior_oblique": "left anterior oblique, 45°",
    "left_lateral": "left lateral, 90°",
    "ap": "AP, 180° (mirrored for display)",
}
SIDES = {  # what the left and the right edge of the picture show
    "right_lateral": ("P", "A"),
    "right_anterior_oblique": ("R", "L"),
    "pa": ("R", "L"),
    "left_anterior_oblique": ("R", "L"),
    "left_lateral": ("A", "P"),
    "ap": ("R", "L"),
}


def named_views(volume: Volume, path: Path) -> None:
    """Six views with a name, hung as a radiographer hangs them."""
    geometry = preset("chest", 384)
    views = radiograph(render(volume, geometry, [NAMED_VIEWS[name] for name in TITLES]))
    figure = Figure(figsize=(10.5, 7.4), facecolor="black", layout="tight")
    for axes, (name, title), view in zip(figure.subplots(2, 3).flat, TITLES.items(), views):
        axes.imshow(view[:, ::-1] if name == "ap" else view, cmap="gray", vmin=0, vmax=255)
        axes.set_title(title, color="white", fontsize=11)
        for x, side in zip((0.04, 0.96), SIDES[name]):
            axes.text(x, 0.5, side, color="white", fontsize=14, ha="center", va="center", transform=axes.transAxes)
        axes.set_axis_off()
    figure.savefig(path, dpi=95)


def drawing(volume: Volume, path: Path) -> None:
    """The set to scale about a real chest: from above the head, the same from near, and from the patient's right."""
    geometry = preset("chest", 33)
    figure = Figure(figsize=(12, 7.4), facecolor="white", layout="constrained")
    panels = figure.subplot_mosaic([["above", "near"], ["above", "beside"]], width_ratios=(1.15, 1.0))
    _from_above(panels["above"], volume, geometry)
    _from_near(panels["near"], volume, geometry)
    _from_the_right(panels["beside"], volume, geometry)
    figure.savefig(path, dpi=95)


def _slice(axes: Any, volume: Volume, axis: int) -> None:
    """The plane of the volume through the isocentre, across x (0) or z (2), in mm about it."""
    isocentre = isocentre_mm(volume)
    index = np.linalg.inv(volume.affine) @ [*isocentre, 1]
    plane = np.take(volume.hu, round(index[axis]), axis=axis)
    first, last = (
        volume.affine[:3, :3] @ (corner - index[:3]) for corner in (np.full(3, -0.5), np.array(volume.shape) - 0.5)
    )
    across, up = (0, 1) if axis == 2 else (1, 2)
    axes.imshow(
        np.where(plane.T > -1000, plane.T, np.nan),  # room air is exactly that once the couch is gone
        extent=(first[across], last[across], first[up], last[up]),
        origin="lower",
        cmap="gray",
        vmin=-1000,
        vmax=400,
    )


def _fan(axes: Any, geometry: Geometry) -> np.ndarray:
    """The rays of the middle row, and the detector; returns its pixels, (size, 3)."""
    starts, ends = rays_mm(geometry, DRAWN_YAW)
    row = geometry.size // 2
    for start, end in zip(starts[row, ::4], ends[row, ::4]):
        axes.plot([start[0], end[0]], [start[1], end[1]], color="tab:orange", linewidth=0.6)
    axes.plot(ends[row, :, 0], ends[row, :, 1], color="black", linewidth=4, label=f"detector at yaw {DRAWN_YAW:g}°")
    return ends[row]


def _from_above(axes: Any, volume: Volume, geometry: Geometry) -> None:
    _slice(axes, volume, axis=2)
    arc = np.array([source_mm(geometry, yaw) for yaw in STANDARD_ARC])
    axes.plot(arc[:, 0], arc[:, 1], ".", color="tab:blue", markersize=6, label="source on the standard arc, every 5°")
    for name, yaw in NAMED_VIEWS.items():
        x, y, _ = source_mm(geometry, yaw)
        axes.plot(x, y, "o", color="tab:blue")
        label = f"{name.replace('_', ' ') if len(name) > 2 else name.upper()}\n{yaw:g}°"
        axes.text(0.84 * x, 0.9 * y, label, ha="center", va="center", fontsize=9)
    _fan(axes, geometry)
    turn = np.array([source_mm(geometry, yaw) for yaw in np.linspace(4, DRAWN_YAW - 4, 40)]) * 1.08
    axes.plot(turn[:, 0], turn[:, 1], color="tab:red")
    axes.annotate("", turn[-1, :2], turn[-3, :2], arrowprops={"arrowstyle": "->", "color": "tab:red", "lw": 2})
    axes.text(*(turn[20, :2] * 1.06), "positive yaw", color="tab:red", ha="left", fontsize=9)
    axes.set(title="From above the head (mm)", aspect="equal", xlim=(-1750, 1750), ylim=(-1900, 1900))
    axes.legend(loc="upper left", fontsize=8)


def _from_near(axes: Any, volume: Volume, geometry: Geometry) -> None:
    _slice(axes, volume, axis=2)
    pixels = _fan(axes, geometry)
    for pixel, text, ha in ((pixels[0], "first column", "left"), (pixels[-1], "last column", "right")):
        axes.text(pixel[0] * 1.1, pixel[1] + 18, text, fontsize=8, ha=ha)
    axes.plot([0], [0], "+", color="tab:red", markersize=14)
    for x, y, letter in ((290, 0, "R\n+x"), (-290, 0, "L"), (0, 215, "A  +y"), (0, -235, "P")):
        axes.text(x, y, letter, ha="center", va="center", fontsize=11, weight="bold")
    axes.set(title="The same from near", aspect="equal")
    axes.set(xlim=(-420, 420), ylim=(-270, 370))


def _from_the_right(axes: Any, volume: Volume, geometry: Geometry) -> None:
    _slice(axes, volume, axis=0)
    starts, ends = rays_mm(geometry, 0.0)
    column = geometry.size // 2
    for start, end in zip(starts[::4, column], ends[::4, column]):
        axes.plot([start[1], end[1]], [start[2], end[2]], color="tab:orange", linewidth=0.6)
    axes.plot(ends[:, column, 1], ends[:, column, 2], color="black", linewidth=4)
    source, detector = source_mm(geometry, 0.0)[1], ends[0, column, 1]
    axes.plot(source, 0, "o", color="tab:blue")
    for z, right, text in ((-300, 0.0, f"SOD {geometry.sod_mm:g}"), (-420, detector, f"SDD {geometry.sdd_mm:g}")):
        axes.annotate("", (source, z), (right, z), arrowprops={"arrowstyle": "<->"})
        axes.text((source + right) / 2, z + 20, text, ha="center", fontsize=10)
    axes.plot([0], [0], "+", color="tab:red", markersize=14)
    axes.annotate("isocentre", (0, 0), (-560, 250), fontsize=9, color="tab:red", arrowprops={"arrowstyle": "-"})
    for row in (0, -1):
        axes.text(detector + 30, ends[row, column, 2], f"row {row % geometry.size}", fontsize=8, va="center")
    axes.text(source, 50, "source", ha="center", fontsize=9)
    size = f"detector\n{geometry.detector_mm:g} x {geometry.detector_mm:g}"
    axes.text(detector, ends[0, column, 2] + 30, size, ha="center", fontsize=9)
    axes.text(-60, ends[0, column, 2] + 40, "S  +z", ha="center", fontsize=11, weight="bold")
    axes.set(title=f"A PA view of preset '{geometry.name}' from the patient's right (mm)", aspect="equal")
    axes.set(xlim=(source - 130, detector + 230), ylim=(-480, 420))


def beside_virtual(volumes: Sequence[Volume], path: Path) -> None:
    """Frontals and left laterals of real CTs (above) and of as many virtual patients, the first of the test seeds."""
    virtual = [patient_volume(FIRST_TEST_SEED + number, 160) for number in range(len(volumes))]
    geometry = preset("chest", 256)
    rows = []
    for cohort in (volumes, virtual):
        views = [radiograph(render(volume, geometry, [0.0, 90.0])) for volume in cohort]
        rows += [np.hstack([pair[view] for pair in views]) for view in (0, 1)]
    save_png(path, np.vstack(rows))


def unfolded(path: Path, pixels: int = 256) -> None:
    """A virtual patient's frontal, what the packaged model makes of it, and the truth."""
    session = Session.open(pixels=pixels)
    result = session.analyse(open_procedural(FIRST_TEST_SEED, session.geometry))
    assert result.truth_p is not None
    assert result.samples_p is not None
    shown = [STANDARD_ARC.index(yaw) for yaw in PICTURE_YAW_DEG]
    expected, possible = result.predicted_p[shown], result.samples_p[0, shown]
    rows = {"expected": expected, "one possible chest": possible, "truth": result.truth_p[shown]}
    save_picture(path, unfold_picture(result.input_p, rows, PICTURE_YAW_DEG, side=190))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("ct", type=Path, nargs="*", help="a chest CT: NIfTI, DICOM folder or zip")
    parser.add_argument("--out", type=Path, default=Path("docs/pictures"))
    options = parser.parse_args()
    unfolded(options.out / "unfold.png")
    if not options.ct:
        return
    volumes = [remove_couch(canonical(read_volume(path))) for path in options.ct]
    drawing(volumes[0], options.out / "geometry.png")
    named_views(volumes[0], options.out / "named_views.png")
    beside_virtual(volumes, options.out / "cohort.png")


if __name__ == "__main__":
    main()
