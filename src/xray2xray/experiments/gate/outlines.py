"""Training what outlines lungs and heart: half of Wingspan and virtual patients; tested on JSRT and the other half.

    python -m xray2xray.experiments.gate.outlines DATA --out DIR

DATA holds cxr_ctr/, radiographs with masks. `Outlines.from_pretrained(DIR/model)` takes the result; DIR/outlines.md
says how far lungs, heart and cardiothoracic ratio are from the masks.
"""

import argparse
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ...data.radiographs import half_of
from ...io.model_folder import write_part
from ...models.input_statistics import InputStatistics
from ...models.outlines import HEART, LUNGS, PART, OutlineConfig
from ...parallel.progress import progress
from ...phantoms import make_volume, sample_patient
from ...projection.geometry import preset
from ...projection.render import render
from ...radiograph.display import radiograph
from ...radiograph.picture import resized_square
from ...radiograph.quantiles import match_quantiles
from ...radiograph.read import read_radiograph
from ..adaptation.images import Entry, labels, list_entries
from ..adaptation.segmentation import dice, ratios, segment, train_segmentation
from ..command import command, parser, write_result
from ..realism.masks import projected
from ..realism.report import table

SIZE, SEED = 128, 0  # the seed deals Wingspan's halves as for the packaged adapter
FIRST_PATIENT, WIDTHS = 5000, (8, 16, 32, 48)


def main(words: Sequence[str] | None = None) -> dict[str, Any]:
    made = parser("gate.outlines", __doc__)
    made.add_argument("data", type=Path)
    made.add_argument("--patients", type=int, default=40, help="virtual patients to learn from besides")
    made.add_argument("--steps", type=int, default=600)
    made.add_argument("--seed", type=int, default=0)
    made.add_argument("--out", type=Path, required=True)
    return command(made, run, words)


def run(options: argparse.Namespace) -> dict[str, Any]:
    quantiles = InputStatistics.load("tiny").frontal_quantiles
    entries = list_entries(options.data, ("jsrt", "wingspan"))
    learned = [one for one in entries if one.dataset == "wingspan" and half_of(one.patient, SEED) == "first"]
    views_p, masks = real(learned, quantiles)
    if options.patients:
        virtual_p, virtual_masks = virtual(options.patients, quantiles)
        views_p, masks = np.concatenate([views_p, virtual_p]), np.concatenate([masks, virtual_masks])
    network = train_segmentation(views_p, masks, options.steps, options.seed, OutlineConfig(WIDTHS))
    results: dict[str, Any] = {"radiographs": len(learned), "virtual": options.patients, "steps": options.steps}
    results["tests"] = {}
    for name in ("jsrt", "wingspan"):
        tested = [one for one in entries if one.dataset == name and one not in learned]
        views_p, masks = real(tested, quantiles)
        results["tests"][name] = agreement(segment(network, views_p), masks)
    wing = results["tests"]["wingspan"]
    notes = {"training": {key: results[key] for key in ("radiographs", "virtual", "steps")}}
    write_part(options.out / "model", PART, network, notes)
    write_result(options.out, "outlines", results, markdown(results))
    return results | {"ctr_sd": wing["ctr_sd"]}


def real(entries: Sequence[Entry], quantiles: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Views (n, 128, 128) p as a verb makes them of a radiograph, and masks of 0, `LUNGS` and `HEART`."""
    views, masks = [], []
    for entry in progress(entries, "radiographs"):
        assert entry.mask is not None
        views.append(match_quantiles(read_radiograph(entry.path, SIZE).gray, quantiles))
        masks.append(_reduced(labels(entry.mask)))
    return np.stack(views), np.stack(masks)


def virtual(count: int, quantiles: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The same of virtual patients, as a radiograph shows them."""
    views, masks, geometry = [], [], preset("chest", SIZE)
    for seed in progress(range(FIRST_PATIENT, FIRST_PATIENT + count), "virtual patients"):
        volume, tissue = make_volume(sample_patient(seed))
        views.append(match_quantiles(radiograph(render(volume, geometry, (0.0,))[0]), quantiles))
        heart, lungs = projected(volume, tissue)
        masks.append(_reduced(np.where(heart, HEART, np.where(lungs, LUNGS, 0)).astype(np.uint8)))
    return np.stack(views), np.stack(masks)


def agreement(found: np.ndarray, truth: np.ndarray) -> dict[str, float]:
    """Mean Dice of lungs and heart, and of the cardiothoracic ratio error, bias, SD and correlation."""
    ratio, true = ratios(found), ratios(truth)
    return {
        "n": len(found),
        "dice_lungs": float(dice(found, truth, LUNGS).mean()),
        "dice_heart": float(dice(found, truth, HEART).mean()),
        "ctr_error": float(np.abs(ratio - true).mean()),
        "ctr_bias": float((ratio - true).mean()),
        "ctr_sd": float((ratio - true).std(ddof=1)),
        "ctr_r": float(np.corrcoef(ratio, true)[0, 1]),
        "ctr_off_95": float(np.quantile(np.abs(ratio - true), 0.95)),
    }


def markdown(results: dict[str, Any]) -> str:
    head = ("", "n", "Dice, lungs", "Dice, heart", "error of CTR", "bias", "SD", "r", "95 % are within")
    keys = ("dice_lungs", "dice_heart", "ctr_error", "ctr_bias", "ctr_sd", "ctr_r", "ctr_off_95")
    rows: Iterable[Sequence[Any]] = [
        (name, str(one["n"]), *(one[key] for key in keys)) for name, one in results["tests"].items()
    ]
    return (
        f"# Outlines\n\nLearned from {results['radiographs']} radiographs, {results['virtual']} virtual patients.\n\n"
        + table(head, rows)
    )


def _reduced(mask: np.ndarray) -> np.ndarray:
    """A mask (n, n) of few values at `SIZE`, each pixel that of which it has most."""
    shares = [resized_square((mask == value).astype(np.float32), SIZE) for value in (0, LUNGS, HEART)]
    return np.argmax(shares, axis=0).astype(np.uint8)


if __name__ == "__main__":
    main()
