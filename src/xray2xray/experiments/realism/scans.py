"""Hounsfield units of tissues, and the frontal and the lung texture that spectra are taken of: real and virtual scans.

Two rules say what a tissue is. By HU and place, for every scan alike (the table then also tells how much of the body
each is); and by name, from labels, for the scan that has them and for virtual patients.
"""

import csv
from pathlib import Path

import nibabel as nib
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from ...phantoms import TISSUES
from ...projection.geometry import preset
from ...projection.render import render
from ...volume import read_volume
from ...volume.chest import Chest
from ...volume.volume import Volume
from . import spectra

Masks = dict[str, NDArray[np.bool_]]
Arrays = dict[str, np.ndarray]

EDGES = np.arange(-1100.0, 1604.0, 4.0)  # HU, of the histograms
CENTRES = (EDGES[1:] + EDGES[:-1]) / 2
LABELLED = "LIDC-IDRI-0001"
HU_RULES = {"lung": (-1024, -500), "fat": (-140, -40), "soft tissue": (-10, 130), "bone": (200, 3072)}
NAMED_RULES: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {  # ours, and the starts of the labels' names
    "lung, named": (("lung_right", "lung_left"), ("lung_",)),
    "blood in the heart": (("heart",), ("heart",)),
    "muscle, named": (("soft_tissue",), ("autochthon_",)),
    "abdomen": (("abdomen",), ("liver", "spleen", "stomach")),
    "bone, named": (("bone",), ("vertebrae_", "rib_", "sternum", "scapula_", "clavicula_")),
}
NAMES = (*HU_RULES, *NAMED_RULES)


def tissues_by_hu(hu: np.ndarray, body: NDArray[np.bool_]) -> Masks:
    """Voxels of the body (nx, ny, nz) in each of `HU_RULES`."""
    return {name: body & (hu > low) & (hu < high) for name, (low, high) in HU_RULES.items()}


def virtual_tissues(tissue: NDArray[np.uint8]) -> Masks:
    """`NAMED_RULES` in a virtual patient's tissue map."""
    return {name: np.isin(tissue, [TISSUES.index(part) for part in ours]) for name, (ours, _) in NAMED_RULES.items()}


def labelled_tissues(labels: NDArray[np.integer], names: dict[int, str]) -> Masks:
    """`NAMED_RULES` in a map of organ labels."""
    return {
        name: np.isin(labels, [i for i, label in names.items() if label.startswith(starts)])
        for name, (_, starts) in NAMED_RULES.items()
    }


def histogram(hu: np.ndarray, mask: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Counts over `EDGES` of the voxels in a mask; what lies outside goes to the ends."""
    values = np.clip(hu[mask], EDGES[0], EDGES[-1] - 1)
    return np.histogram(values, EDGES)[0]


def describe(counts: NDArray[np.integer]) -> dict[str, float] | None:
    """Mean, SD and 5, 50, 95 % quantiles in HU of counts over `EDGES`; None where there are none."""
    total = counts.sum()
    if total == 0:
        return None
    mean = float(counts @ CENTRES / total)
    below = np.concatenate([[0], np.cumsum(counts)]) / total
    q05, q50, q95 = (float(EDGES[1:][np.searchsorted(below[1:], share)]) for share in (0.05, 0.5, 0.95))
    sd = float(np.sqrt(counts @ np.square(CENTRES - mean) / total))
    return {"mean": mean, "sd": sd, "q05": q05, "q50": q50, "q95": q95}


def measure(volume: Volume, named: Masks) -> Arrays:
    """Everything that is compared between scans, of a canonical volume.

    Returns:
        `histograms` (9 of `NAMES`, bins), `body` voxels, the PA view `frontal` (128, 128) as line integrals, and the
        `lung_spectrum` in dB.
    """
    chest = Chest.of(volume)
    body = chest.body
    tissues = tissues_by_hu(volume.hu, body) | {
        # a voxel from every border, where partial volumes are
        name: ndimage.binary_erosion(mask) if mask.any() else mask
        for name, mask in named.items()
    }
    empty = np.zeros(len(CENTRES), np.int64)
    return {
        "histograms": np.stack([histogram(volume.hu, tissues[n]) if n in tissues else empty for n in NAMES]),
        "body": np.array(body.sum()),
        "frontal": render(chest, preset("chest"), [0.0], threads=1)[0],
        "lung_spectrum": spectra.lung_spectrum(volume.hu, chest.lungs),
    }


def load(folder: Path, labels: Path) -> dict[str, Arrays]:
    """`measure` of the real CTs by name; `labels` is the folder that has those of one of them."""
    found = {}
    for path in sorted(folder.glob("*.nii.gz")):
        name = path.name.removesuffix(".nii.gz").removesuffix("_2mm")
        named: Masks = {}
        if name == LABELLED:
            with open(labels / f"{name}_labels.csv", newline="") as file:
                names = {int(row["id"]): row["structure"] for row in csv.DictReader(file)}
            label_map = read_labels(labels / f"{name}_labels_2mm.nii.gz")
            named = labelled_tissues(label_map, names)
        found[name] = measure(read_volume(path), named)
    return found


def read_labels(path: Path) -> NDArray[np.integer]:
    """A label map with its axes turned to right, anterior, superior, as `read_volume` turns the scan."""
    image = nib.funcs.as_closest_canonical(nib.load(path))
    return np.asarray(image.dataobj).astype(np.int16)


def hu_table(real: dict[str, Arrays], virtual: Arrays) -> dict[str, dict]:
    """Per tissue: each CT, the pooled virtual patients and the range of their means, and the shares of the body."""
    table: dict[str, dict] = {}
    for index, name in enumerate(NAMES):
        counts = virtual["histograms"][:, index]
        means = [row["mean"] for row in map(describe, counts) if row]
        shares = counts.sum(1) / virtual["body"]
        row: dict = {"virtual": describe(counts.sum(0))}
        if row["virtual"]:
            low, high = np.quantile(means, [0.05, 0.95])
            row["virtual"] |= {"share": float(shares.mean()), "means_05": float(low), "means_95": float(high)}
        for ct, arrays in real.items():
            row[ct] = describe(arrays["histograms"][index])
            if row[ct]:
                row[ct]["share"] = float(arrays["histograms"][index].sum() / arrays["body"])
        table[name] = row
    return table
