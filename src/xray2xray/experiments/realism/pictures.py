"""What the numbers cannot say: real and virtual chests side by side, histograms and spectra."""

from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from numpy.typing import NDArray
from PIL import Image

from .scans import CENTRES, NAMES

Array = NDArray[np.floating]
SHOWN = 12
DRAWN_BINS = 4  # of the histograms, drawn as one: 16 HU
RANGES_HU = {"fat": (-160, 0), "soft tissue": (-40, 160), "bone": (150, 1300), "bone, named": (-100, 1300)}


def contact_sheet(path: Path, real: Array, fine: Array, virtual: Array) -> None:
    """Frontals and laterals of up to 12 real and 12 virtual pairs, and the means of both cohorts in the last column.

    All are pairs (n, 2, 112, 112), standardised: `fine` the virtual ones to show, `virtual` those to average. The real
    ones are spread evenly over the cohort.
    """
    tight = ConstrainedLayoutEngine(w_pad=0.01, h_pad=0.01, wspace=0, hspace=0)
    figure = Figure(figsize=(1.25 * (SHOWN + 1), 5.4), facecolor="black", layout=tight)
    axes = figure.subplots(4, SHOWN + 1)
    kinds = [(*cohorts, view) for view in (0, 1) for cohorts in ((real, real), (fine, virtual))]
    names = ("real frontal", "virtual frontal", "real lateral", "virtual lateral")
    for line, name, (cohort, averaged, view) in zip(axes, names, kinds):
        chosen = np.linspace(0, len(cohort) - 1, min(SHOWN, len(cohort))).round().astype(int)
        shown = [*cohort[chosen, view], *[None] * (SHOWN - len(chosen)), averaged[:, view].mean(0)]
        for axis, image in zip(line, shown):
            axis.set(xticks=[], yticks=[], frame_on=False)
            if image is not None:
                axis.imshow(image, cmap="gray", vmin=-1.8, vmax=1.8)
        line[0].set_ylabel(name, color="white", fontsize=11)
    axes[0, -1].set_title("mean", color="white", fontsize=11)
    figure.savefig(path, dpi=100)


def outlines(path: Path, folder: Path, virtual: NDArray[np.uint8]) -> None:
    """Masks of eight JSRT films and of eight virtual patients (1 lung, 2 heart), on the fixed frames of each."""
    figure = Figure(figsize=(12, 3.2), layout="constrained")
    axes = figure.subplots(2, 8)
    files = sorted((folder / "jsrt").glob("*_mask.png"))[::31][:8]
    for axis, file in zip(axes[0], files):
        with Image.open(file) as image:
            mask = np.asarray(image)
        axis.imshow(np.select([mask == 3, mask > 0], [2, 1]), cmap="magma", vmin=0, vmax=3)
    for axis, mask in zip(axes[1], virtual[:8]):
        axis.imshow(np.where(mask >= 2, 2, mask), cmap="magma", vmin=0, vmax=3)
    for axis, name in zip(axes[:, 0], ("JSRT", "virtual")):
        axis.set_ylabel(name)
    for axis in axes.flat:
        axis.set(xticks=[], yticks=[])
    figure.savefig(path, dpi=80)


def histograms(path: Path, real: dict[str, dict[str, np.ndarray]], virtual: dict[str, np.ndarray]) -> None:
    """Share of a tissue's voxels per HU: each CT and the pooled virtual patients."""
    figure = Figure(figsize=(13, 7.5), layout="constrained")
    axes = figure.subplots(3, 3).flat
    for index, (name, axis) in enumerate(zip(NAMES, axes)):
        rows = {ct: arrays["histograms"][index] for ct, arrays in real.items()}
        for label, counts in {**rows, "virtual": virtual["histograms"][:, index].sum(0)}.items():
            if counts.any():
                coarse = counts[: len(counts) // DRAWN_BINS * DRAWN_BINS].reshape(-1, DRAWN_BINS).sum(1)
                middle = CENTRES[: len(coarse) * DRAWN_BINS].reshape(-1, DRAWN_BINS).mean(1)
                style = {"color": "black", "linewidth": 2.2} if label == "virtual" else {"linewidth": 1.0}
                axis.plot(middle, coarse / counts.sum(), label=label, **style)
        axis.set_title(name)
        axis.set_xlim(*RANGES_HU.get(name, (-1050, -480) if name.startswith("lung") else (-150, 450)))
    figure.axes[0].legend(fontsize=8)
    figure.supxlabel("HU")
    figure.savefig(path, dpi=80)


def spectra(path: Path, found: dict[str, Any]) -> None:
    """Radially averaged power in dB against the share of the Nyquist frequency, up to a half."""
    figure = Figure(figsize=(13, 3.6), layout="constrained")
    for axis, (kind, curves) in zip(figure.subplots(1, len(found)), found.items()):
        for name, curve in curves.items():
            share = np.arange(len(curve)) / len(curve)
            keep = (share > 0) & (share <= 0.5)
            style = {"color": "black", "linewidth": 2.2} if name == "virtual" else {"linewidth": 1.0}
            axis.plot(share[keep], np.array(curve)[keep], label=name, **style)
        axis.set(title=kind, xlabel="share of Nyquist", ylabel="dB")
        axis.legend(fontsize=7)
    figure.savefig(path, dpi=80)
