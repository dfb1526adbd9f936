"""How good reconstructions of real CTs are: few parallel views of five slices, and the standard arc in a cone beam.

    python -m benchmarks.reconstruction CT.nii.gz... [--json FILE] [--pictures DIR]

The slices and the pictures are of the first CT.
"""

import argparse
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from scipy import ndimage

from xray2xray.evaluation.volumes import HU_RANGE, resample
from xray2xray.io.files import write_json
from xray2xray.projection.forward import project
from xray2xray.projection.geometry import STANDARD_ARC, Geometry, preset
from xray2xray.projection.render import render
from xray2xray.reconstruction.reconstruct import Reconstruction, centred_affine, reconstruct
from xray2xray.volume.attenuation import hu_to_mu
from xray2xray.volume.chest import Chest, body_mask
from xray2xray.volume.nifti import read_nifti
from xray2xray.volume.volume import Volume, canonical

SLICES = {"apex": 0.9, "arch": 0.7, "carina": 0.55, "heart": 0.35, "base": 0.1}
"""Height of each slice as a share of the planes with lung, from the lowest to the highest."""
SLICE_PIXELS = 128
MARKS_DB = {10: 27.2, 20: 31.0, 30: 33.4, 50: 36.3}
"""Parallel views K, and what the mean PSNR over the slices should reach."""

VOXELS, WIDTH_MM = 128, 384.0
CONE_METHODS: dict[str, dict[str, Any]] = {
    "fdk": {"method": "fdk"},
    "os_sart": {"method": "os_sart"},
    # TV pays for faster and noisier updates than the default's
    "os_sart+tv": {"method": "os_sart", "subsets": 12, "relaxation": 1.0, "tv": 4.0},
    "cgls": {"method": "cgls"},
    "cgls+tv": {"method": "cgls", "tv": 4.0},
}


def slice_settings(views: int) -> dict[str, Any]:
    """Settings of `reconstruct` for so many parallel views: updates by single views, the less TV the more there are.

    The streaks of K views fall off faster than 1 / K, hence the square.
    """
    return {
        "method": "os_sart",
        "subsets": views,
        "relaxation": 1.0,
        "iterations": 1000 // views,
        "tv": 2500 / views**2,
    }


def slice_planes(volume: Volume) -> dict[str, int]:
    """The z index of each of `SLICES` in a canonical volume; planes with hardly any gas (the trachea) do not count."""
    area = Chest.of(volume).lungs.sum((0, 1))
    planes = np.flatnonzero(area > 0.05 * area.max())
    first, last = int(planes[0]), int(planes[-1])
    return {name: round(first + share * (last - first)) for name, share in SLICES.items()}


def small_slice(hu: np.ndarray) -> np.ndarray:
    """(n, n) HU to (1, 128, 128): antialiased, -1000..1500, air outside the inscribed circle.

    The Gaussian before the linear interpolation is scikit-image's own choice, sigma (n / 128 - 1) / 2.
    """
    factor = SLICE_PIXELS / len(hu)
    blurred = ndimage.gaussian_filter(hu, max(0.0, (1 / factor - 1) / 2))
    small = ndimage.zoom(blurred, factor, order=1, mode="nearest", grid_mode=True)
    return np.where(circle(), np.clip(small, *HU_RANGE), HU_RANGE[0])[None].astype(np.float32)


def circle() -> np.ndarray:
    """bool (128, 128): the inscribed circle."""
    x = np.arange(SLICE_PIXELS) - (SLICE_PIXELS - 1) / 2
    return np.hypot(x[:, None], x) <= SLICE_PIXELS / 2 - 0.5


def slice_beam(voxel_mm: float) -> tuple[Geometry, np.ndarray]:
    """A parallel beam with pixels as wide as voxels, and the affine of a single slice that one row of it falls on.

    One slice at a time, for total variation would take five distant ones for neighbours. Its axes run along z, x and y.
    """
    affine = centred_affine(SLICE_PIXELS, SLICE_PIXELS * voxel_mm)
    affine[2, 3] = voxel_mm / 2
    affine[:3, :3] = np.roll(affine[:3, :3], 1, axis=1)
    return Geometry("slices", "parallel", 1800.0, 1550.0, SLICE_PIXELS * voxel_mm, SLICE_PIXELS), affine


def slice_psnr(hu: np.ndarray, views: int, voxel_mm: float) -> float:
    """PSNR in dB over 2,500 HU and all of the slice, reconstructed from its own `views` clean parallel views."""
    geometry, affine = slice_beam(voxel_mm)
    yaw = np.arange(views) * 180 / views
    found = reconstruct(
        project(hu_to_mu(hu), affine, geometry, yaw, backend="sparse"),
        geometry,
        yaw,
        shape=(1, SLICE_PIXELS, SLICE_PIXELS),
        affine=affine,
        support=circle()[None],
        backend="sparse",
        threads=1,
        show_progress=False,
        **slice_settings(views),
    )
    return psnr(found.volume.hu, hu)


def psnr(hu: np.ndarray, truth: np.ndarray) -> float:
    """In dB over 2,500 HU, both clipped to -1000..1500."""
    error = np.mean(np.square(np.clip(hu, *HU_RANGE) - np.clip(truth, *HU_RANGE), dtype=np.float64))
    return float(20 * np.log10(HU_RANGE[1] - HU_RANGE[0]) - 10 * np.log10(error))


def slices_table(volume: Volume) -> dict[int, dict[str, float]]:
    """PSNR of every slice, its mean, the mark and the seconds, for each number of views in `MARKS_DB`."""
    volume = canonical(volume)
    slices = {name: small_slice(volume.hu[:, :, plane]) for name, plane in slice_planes(volume).items()}
    voxel_mm = float(volume.extent_mm[0]) / SLICE_PIXELS
    table = {}
    for views, mark in MARKS_DB.items():
        start = time.perf_counter()
        row = {name: slice_psnr(hu, views, voxel_mm) for name, hu in slices.items()}
        row |= {"mean": float(np.mean(list(row.values()))), "mark": mark, "seconds": time.perf_counter() - start}
        table[views] = row
        print(f"K = {views}: " + ", ".join(f"{name} {value:.2f}" for name, value in row.items()), flush=True)
    return table


class Cone:
    """One CT, its truth on the grid of the reconstructions, and its views in the `chest` geometry."""

    def __init__(self, volume: Volume) -> None:
        self.volume = Chest.of(volume)
        self.grid = Volume(np.zeros((VOXELS,) * 3), centred_affine(VOXELS, WIDTH_MM))
        self.truth = resample(self.volume, self.grid)
        self.body = body_mask(self.truth)
        self.geometry = preset("chest", 128)

    def reconstruct(self, yaw_deg: Sequence[float], **settings: Any) -> Reconstruction:
        views = render(self.volume, self.geometry, yaw_deg)
        return reconstruct(views, self.geometry, yaw_deg, VOXELS, WIDTH_MM, show_progress=False, **settings)

    def psnr(self, found: Reconstruction) -> float:
        return psnr(found.volume.hu[self.body], self.truth.hu[self.body])

    def shading(self, found: Reconstruction) -> tuple[float, float]:
        """Mean error in HU of soft tissue in the posterior and in the anterior third of the grid."""
        soft = self.body & (self.truth.hu > -100) & (self.truth.hu < 200)
        error = np.where(soft, found.volume.hu - self.truth.hu, np.nan)
        third = VOXELS // 3
        return float(np.nanmean(error[:, :third])), float(np.nanmean(error[:, -third:]))


def cone_table(volumes: dict[str, Volume]) -> dict[str, dict[str, dict[str, Any]]]:
    """PSNR inside the body, seconds (views included) and residuals of each CT by each of `CONE_METHODS`."""
    table: dict[str, dict[str, dict[str, Any]]] = {}
    for name, volume in volumes.items():
        cone = Cone(volume)
        table[name] = {}
        for label, settings in CONE_METHODS.items():
            start = time.perf_counter()
            found = cone.reconstruct(STANDARD_ARC, **settings)
            seconds = time.perf_counter() - start
            table[name][label] = {
                "psnr": cone.psnr(found),
                "seconds": seconds,
                "residuals": found.residuals.tolist(),
            }
            row = table[name][label]
            print(f"{name}, {label}: {row['psnr']:.2f} dB, {seconds:.1f} s, residual {found.residuals[-1]:.4f}")
    return table


def short_arc_picture(path: Path, volume: Volume) -> None:
    """One axial and one coronal plane: truth, half a turn and a full turn, by FDK and by OS-SART with TV.

    Prints how far each is shaded from back to front.
    """
    from matplotlib import pyplot

    cone = Cone(volume)
    arcs = {"-90..90°, 37 views": STANDARD_ARC, "full turn, 72 views": tuple(range(-180, 180, 5))}
    shown = {"truth": cone.truth.hu}
    for arc, yaw in arcs.items():
        for label in ("fdk", "os_sart+tv"):
            found = cone.reconstruct(yaw, find_body=False, **CONE_METHODS[label])
            shown[f"{label}\n{arc}\n{cone.psnr(found):.1f} dB"] = found.volume.hu
            back, front = cone.shading(found)
            print(f"{arc}, {label}: soft tissue {back:+.0f} HU at the back, {front:+.0f} HU at the front", flush=True)
    middle = VOXELS // 2
    figure, axes = pyplot.subplots(2, len(shown), figsize=(2.3 * len(shown), 5.2), layout="constrained")
    for column, (title, hu) in zip(axes.T, shown.items()):
        # the patient's right on the left, anterior or the head up
        planes = hu[::-1, ::-1, middle].T, hu[::-1, middle, ::-1].T
        for axis, plane in zip(column, planes):
            axis.imshow(plane, cmap="gray", vmin=-1000, vmax=400)
            axis.set_axis_off()
        column[0].set_title(title, fontsize=9)
    _save(figure, path)


def residuals_picture(path: Path, rows: dict[str, dict[str, Any]]) -> None:
    """|A x - p| / |p| against iterations, of the methods that iterate."""
    from matplotlib import pyplot

    figure, axis = pyplot.subplots(figsize=(5, 3.2), layout="constrained")
    for label, row in rows.items():
        if len(row["residuals"]) > 1:
            axis.semilogy(np.arange(1, len(row["residuals"]) + 1), row["residuals"], label=label)
    axis.set_xlabel("pass or step")
    axis.set_ylabel("|Ax - p| / |p|")
    axis.legend()
    _save(figure, path)


def _save(figure: Any, path: Path) -> None:
    from matplotlib import pyplot

    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=90)
    pyplot.close(figure)


def main(words: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("ct", nargs="+", type=Path, help="NIfTI files in HU")
    parser.add_argument("--json", type=Path, help="write all numbers here")
    parser.add_argument("--pictures", type=Path, help="write short_arc.png and residuals.png into this folder")
    options = parser.parse_args(words)
    matplotlib.use("Agg")
    volumes = {path.name.removesuffix(".nii.gz").removesuffix(".nii"): read_nifti(path) for path in options.ct}
    first = next(iter(volumes.values()))
    settings = {views: slice_settings(views) for views in MARKS_DB}
    for views, used in settings.items():
        print(f"K = {views}: " + ", ".join(f"{name}={value}" for name, value in used.items()))
    slices, cone = slices_table(first), cone_table(volumes)
    if options.json:
        write_json(options.json, {"slices": slices, "slice_settings": settings, "cone": cone})
    if options.pictures:
        residuals_picture(options.pictures / "residuals.png", next(iter(cone.values())))
        short_arc_picture(options.pictures / "short_arc.png", first)


if __name__ == "__main__":
    main()
