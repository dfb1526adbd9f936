"""Shape of heart and lungs on a frontal, of real masks and of projected ones: cardiothoracic ratio, area, aspect."""

import csv
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.ndimage import binary_dilation, binary_opening

from ...models.outlines import Mask, cardiothoracic_ratio, width
from ...phantoms import TISSUES
from ...projection.forward import project
from ...projection.geometry import preset
from ...volume.chest import isocentre_mm
from ...volume.volume import Volume

PIXELS = 256  # of the real masks
JSRT_MM = 358.4  # edge of a JSRT film: 2048 pixels of 0.175 mm (Shiraishi et al., AJR 174 (2000) 71)
MEASURES = ("ctr", "lung_area_fraction", "lung_aspect", "lung_fill")

# Least path in mm that counts. A reader sees the heart's border where little of it lies in the beam, but calls lung
# only what is neither heart nor mediastinum nor below the dome of the diaphragm.
HEART_MM, LUNG_MM, HIDING_MM = 2.0, 10.0, 10.0
RIM = 3  # pixels, 4 mm in the patient: the pericardium and its fat are part of the heart's shadow
HILUM = 4  # pixels: what is thinner than twice this is a bronchus, which readers leave in the lung


def measures(heart: Mask, lungs: Mask, frame_pixels: float) -> dict[str, float]:
    """The four `MEASURES` of two masks (h, w).

    Lung area is a fraction of a square frame with an edge of `frame_pixels`; aspect is height over width of the lungs'
    bounding box, and fill the share of that box that is lung.
    """
    height, across = width(lungs.T), width(lungs)
    return {
        "ctr": cardiothoracic_ratio(heart, lungs),
        "lung_area_fraction": float(lungs.sum() / frame_pixels**2),
        "lung_aspect": height / max(across, 1),
        "lung_fill": float(lungs.sum() / max(height * across, 1)),
    }


def projected(volume: Volume, tissue: NDArray[np.uint8]) -> tuple[Mask, Mask]:
    """Heart and lungs (256, 256) as a reader would outline them on the PA radiograph of a virtual patient."""
    geometry, isocentre = preset("chest", PIXELS), isocentre_mm(volume)

    def path_mm(*names: str) -> NDArray[np.float32]:
        inside = np.isin(tissue, [TISSUES.index(name) for name in names]).astype(np.float32)
        return project(inside, volume.affine, geometry, [0.0], isocentre, threads=1)[0]

    heart, mediastinum = path_mm("heart") > HEART_MM, path_mm("mediastinum")
    heart |= binary_dilation(heart, iterations=RIM) & (mediastinum > HEART_MM)
    hidden = heart | binary_opening(mediastinum > HIDING_MM, iterations=HILUM) | (path_mm("abdomen") > HIDING_MM)
    return heart, (path_mm("lung_right", "lung_left") > LUNG_MM) & ~hidden


def virtual_frame_pixels() -> float:
    """Edge of a JSRT film in pixels of `projected`."""
    return JSRT_MM / preset("chest", PIXELS).pixel_mm


def load(folder: Path) -> dict[str, NDArray[np.float64]]:
    """`MEASURES` of the real masks by data set: jsrt (247) and wingspan (130), (n, 4), and `ctr_mask` of the table.

    In the masks 1 and 2 are the lungs, 3 the heart.
    """
    with open(folder / "labels.csv", newline="") as file:
        table = list(csv.DictReader(file))
    found: dict[str, NDArray[np.float64]] = {}
    for name in sorted({row["dataset"] for row in table}):
        chosen = [row for row in table if row["dataset"] == name]
        values = []
        for row in chosen:
            with Image.open(folder / name / f"{row['id']}_mask.png") as image:
                mask = np.asarray(image)
            values.append(list(measures(mask == 3, (mask == 1) | (mask == 2), len(mask)).values()))
        found[name] = np.array(values)
        found[f"{name}_ctr_mask"] = np.array([float(row["ctr_mask"]) for row in chosen])
    return found


def spread(values: NDArray[np.float64]) -> dict[str, float]:
    """Mean, SD, 5 % and 95 % of one measure."""
    low, high = np.quantile(values, [0.05, 0.95]) if len(values) else (np.nan, np.nan)
    return {
        "n": len(values),
        "mean": float(np.mean(values)),
        "sd": float(np.std(values)),
        "q05": float(low),
        "q95": float(high),
    }


def compare(real: dict[str, NDArray[np.float64]], virtual: NDArray[np.float64], large: Mask, effusion: Mask) -> dict:
    """CTR of normal and of large hearts, and the shape of the lungs, real beside virtual.

    Args:
        real: from `load`.
        virtual: (n, 4) `MEASURES` of erect virtual patients.
        large, effusion: bool (n,), who of them has cardiomegaly, who a pleural effusion.
    """
    jsrt, wingspan = real["jsrt"][:, 0], real["wingspan"][:, 0]
    found: dict = {
        "largest_deviation_from_table": max(
            float(np.abs(real[name][:, 0] - real[f"{name}_ctr_mask"]).max()) for name in ("jsrt", "wingspan")
        ),
        "ctr": {
            "JSRT, CTR <= 0.5": spread(jsrt[jsrt <= 0.5]),
            "virtual, neither cardiomegaly nor effusion": spread(virtual[~effusion & ~large, 0]),
            "Wingspan, CTR > 0.5": spread(wingspan[wingspan > 0.5]),
            "virtual, cardiomegaly": spread(virtual[~effusion & large, 0]),
        },
    }
    for index, name in enumerate(MEASURES[1:], 1):
        found[name] = {
            "JSRT": spread(real["jsrt"][:, index]),
            "Wingspan": spread(real["wingspan"][:, index]),
            "virtual": spread(virtual[:, index]),
        }
    return found
