"""Do the endpoints measured on views (`evaluation/anatomy.py`) follow the anatomy? `python -m benchmarks.anatomy`

Virtual patients of the probes' seeds: what a function reads from a true view, beside what the tissue map says there.
"""

import argparse

import numpy as np
from scipy.stats import spearmanr

from xray2xray.core.seeds import FIRST_PROBE_SEED
from xray2xray.evaluation.anatomy import ENDPOINTS
from xray2xray.parallel.progress import progress
from xray2xray.phantoms import TISSUES, make_volume, sample_patient
from xray2xray.projection.forward import project
from xray2xray.projection.geometry import Geometry, preset
from xray2xray.reporting.tables import table
from xray2xray.volume.attenuation import hu_to_mu
from xray2xray.volume.chest import body_mask, isocentre_mm

TISSUE_OF = {
    "heart_width": ("heart",),
    "lung_area": ("lung_right", "lung_left"),
    "ap_diameter": (),  # the body
    "diaphragm_height": ("abdomen",),
}


def truth_of(name: str, path_mm: np.ndarray, geometry: Geometry) -> float:
    """The endpoint from (size, size) mm of a tissue along each ray."""
    mm, middle = geometry.field_mm / geometry.size, geometry.size // 2
    if name == "heart_width":
        return mm * float(np.ptp(np.flatnonzero((path_mm > 20).any(axis=0))))
    if name == "lung_area":
        return mm**2 / 100 * float(np.count_nonzero(path_mm > 20))
    if name == "ap_diameter":
        return mm * float(np.mean([np.count_nonzero(row > 20) for row in path_mm[middle - 6 : middle + 6]]))
    dome = np.flatnonzero((path_mm > 60).sum(axis=1) > 8)[0]
    return mm * float((geometry.size - 1) / 2 - dome)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--patients", type=int, default=32)
    geometry, found = preset("chest", 128), {name: [] for name in ENDPOINTS}  # type: ignore[var-annotated]
    for seed in progress(range(FIRST_PROBE_SEED, FIRST_PROBE_SEED + parser.parse_args().patients), "patients"):
        volume, tissue = make_volume(sample_patient(seed))
        body, centre = body_mask(volume), isocentre_mm(volume)
        for name, one in ENDPOINTS.items():
            own = np.isin(tissue, [TISSUES.index(t) for t in TISSUE_OF[name]]) if TISSUE_OF[name] else body
            view, path = (
                project(values, volume.affine, geometry, [one.yaw_deg], centre)[0]
                for values in (hu_to_mu(volume.hu, body), own.astype(np.float32))
            )
            found[name].append((one.measure(view, geometry), truth_of(name, path, geometry)))
    rows = []
    for name, one in ENDPOINTS.items():
        read, true = np.array(found[name]).T
        words = f"{one.words} ({one.unit}) at {one.yaw_deg:g}"
        rows.append(
            [
                words,
                f"{true.mean():.0f} ± {true.std():.0f}",
                f"{read.mean():.0f} ± {read.std():.0f}",
                f"{spearmanr(read, true).statistic:.2f}",
                f"{np.median(np.abs(read - true - np.median(read - true))):.0f}",
            ]
        )
    head = ["", "tissue map", "read from the view", "rank correlation", "median deviation"]
    print("\n".join(table(head, rows)))


if __name__ == "__main__":
    main()
