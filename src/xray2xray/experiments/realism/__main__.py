"""Is the virtual cohort like real chests?

    python -m xray2xray.experiments.realism --data DATA --patients N --out DIR

DATA holds ct/, ct_labels/, cxr_ctr/, cxr_nih/ and lidc_drr128/. DIR gets realism.json, realism.md, pictures, and the
virtual patients' small arrays, which a second run reads again unless the generator has changed.
"""

import argparse
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ...core.errors import UsageError
from ..command import command, parser, write_result
from . import findings, masks, pairs, pictures, scans, spectra
from .cohort import cohort
from .report import markdown


def main(words: Sequence[str] | None = None) -> None:
    made = parser("realism", __doc__)
    made.add_argument("--data", type=Path, default=os.environ.get("XRAY2XRAY_DATA"), help="or $XRAY2XRAY_DATA")
    made.add_argument("--patients", type=int, default=700, help="virtual pairs; the real set has 696")
    made.add_argument("--size", type=int, default=96, help="voxels along an edge of these patients")
    made.add_argument("--out", type=Path, required=True)
    command(made, run, words)


def run(options: argparse.Namespace) -> None:
    if options.data is None:
        raise UsageError("give --data or set XRAY2XRAY_DATA")
    if options.patients < 20:
        raise UsageError("--patients: a regression needs at least 20")

    data, out = Path(options.data), options.out
    out.mkdir(parents=True, exist_ok=True)
    virtual, radiographs, fine = cohort(out, options.patients, options.size)
    virtual_pairs = virtual["pairs"].astype(np.float32)
    ids, real_pairs = pairs.load(data / "lidc_drr128")
    cts = scans.load(data / "ct", data / "ct_labels")
    real_masks = masks.load(data / "cxr_ctr")
    results: dict[str, Any] = {
        "run": {
            "pairs": len(virtual_pairs),
            "size": options.size,
            "radiographs": len(radiographs["measures"]),
            "scans": len(fine["frontal"]),
            "real_pairs": len(ids),
            "cts": len(cts),
            "masks": len(real_masks["jsrt"]) + len(real_masks["wingspan"]),
        },
        "hardness": pairs.hardness(virtual_pairs, real_pairs),
        "tissues": scans.hu_table(cts, fine),
        "shape": masks.compare(
            real_masks, radiographs["measures"], radiographs["cardiomegaly"], radiographs["pleural_effusion"]
        ),
        "findings": findings.compare(data / "cxr_nih" / "labels.csv"),
        "spectra": spectra.compare(cts, fine, real_pairs),
    }
    write_result(out, "realism", results, markdown(results))
    pictures.contact_sheet(out / "contact_sheet.png", real_pairs, fine["pairs"], virtual_pairs)
    pictures.outlines(out / "outlines.png", data / "cxr_ctr", radiographs["masks"])
    pictures.histograms(out / "histograms.png", cts, fine)
    pictures.spectra(out / "spectra.png", results["spectra"]["curves_db"])


if __name__ == "__main__":
    main()
