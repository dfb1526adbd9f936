"""The lateral imagined from a real radiograph, against the CT of the same patient: outlines of the lungs.

    xray2xray cohort LIDC-IDRI --kind lidc --views all --out lidc.csv
    python -m xray2xray.experiments.radiographs.lidc lidc.csv --out OUT [--train STORE] [--adapter DIR]

Of each patient with a CT and a frontal radiograph, the radiograph is prepared as the verbs do, and its frontal and its
left lateral are imagined. The CT, without its couch, is rendered from both sides. Breath, arms and magnification
differ, so no grey values are compared but outlines of the lungs, found by one function on all views
(`evaluation.anatomy.lung_field`) and aligned on the frontals only (`outlines.py`). In the same way are scored
the mean training views, with --train ridge regression and ten neighbours, and as a ceiling what is imagined from the
CT's own frontal. A patient that cannot be used is listed with the reason. OUT gets lidc.json, lidc.md and lidc.png.
"""

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ...core.errors import InputError
from ...data.cohorts import read_cohort
from ...data.cohorts.table import Cohort, Sample
from ...data.store import ViewStore
from ...evaluation.anatomy import lung_field
from ...evaluation.baselines import fit_on_store, load_baselines, training_views
from ...evaluation.metrics import P_MAX, unit
from ...evaluation.predictors import Predictor
from ...io.files import atomic_path
from ...models.adaptation import Adapter
from ...models.world_model import WorldModel
from ...parallel.usable import each
from ...projection.geometry import STANDARD_ARC, Geometry
from ...radiograph import read_radiograph, to_gray
from ...radiograph.lung_field import normalise_radiograph
from ...reporting.pictures import contact_sheet
from ...reporting.tables import ADJUSTED, interval, p_value, table
from ...session.study import open_input
from ...statistics.contrasts import holm_by_name
from ...statistics.intervals import mean_interval, mean_p
from ..command import command, parser, write_result
from .outlines import Mask, compare, place_pair, placed

Array = NDArray[np.floating]

OURS, MEAN, CEILING = "ours", "mean_view", "from the CT's frontal"
PAIR_DEG = (0.0, 90.0)
PREPARATIONS = ("quantiles", "lung_field")
SHOWN, SIDE = 6, 384
METRICS = ("dice_unaligned", "dice", "distance_mm", "depth_error", "depth_ratio", "depth_to_height", "frontal_dice")
COMPARED = ("dice", "distance_mm", "depth_error")
TRUE, PREDICTED = (86, 180, 233), (230, 159, 0)
_ORDER = ("PA", "frontal", "AP", "")  # of the frontals of one patient, which is taken


@dataclass(frozen=True)
class Pair:
    """A CT and a frontal radiograph of one patient, and a lateral one where there is one."""

    patient: str
    ct: Sample
    frontal: Sample
    lateral: Sample | None = None


@dataclass(frozen=True, eq=False)
class Scored:
    """What came out for one patient.

    Attributes:
        scores: preparation -> method -> metric -> value.
        shown_p: radiograph as prepared, imagined frontal and lateral, true frontal and lateral: (5, h, w).
    """

    pair: Pair
    notes: tuple[str, ...]
    scores: Mapping[str, Mapping[str, Mapping[str, float]]]
    shown_p: Array


@dataclass(frozen=True)
class Bench:
    """The model, how it is given a radiograph, and what it is compared with.

    Attributes:
        predictors: unit frontals (n, h, w) -> unit views (n, 2, h, w), at `PAIR_DEG`.
    """

    model: WorldModel
    geometry: Geometry
    preparations: tuple[str, ...]
    adapter: Adapter | None
    predictors: Mapping[str, Predictor]


def main(words: Sequence[str] | None = None) -> dict[str, Any]:
    made = parser("radiographs.lidc", __doc__)
    made.add_argument("table", type=Path)
    made.add_argument("--out", type=Path, required=True)
    made.add_argument("--source", default="tiny", help="the world model")
    made.add_argument("--preparation", nargs="+", choices=PREPARATIONS, default=["quantiles"])
    made.add_argument("--adapter", type=Path, help="a third preparation, `adapted`")
    made.add_argument("--train", type=Path, help="view store of the training cohort, for ridge_pca and knn10")
    made.add_argument(
        "--unknown-as-frontal", action="store_true", help="take a radiograph whose view is not known for a frontal"
    )
    return command(made, run, words)


def run(options: argparse.Namespace) -> dict[str, Any]:
    bench = open_bench(options.source, options.preparation, options.adapter, options.train)
    pairs, failed, without = find_pairs(read_cohort(options.table, "csv"), options.unknown_as_frontal)
    found, more = each(pairs, lambda pair: score(pair, bench), lambda pair: pair.patient)
    result = {
        "patients": [_row(one) for one in found],
        "summary": summary([one.scores for one in found]),
        "failed": {**failed, **more},
        "without": without,
        "settings": {
            "source": str(options.source),
            "preparations": list(bench.preparations),
            "adapter": None if options.adapter is None else str(options.adapter),
            "train": None if options.train is None else str(options.train),
            "unknown_as_frontal": options.unknown_as_frontal,
            "geometry": bench.geometry.name,
            "size": bench.geometry.size,
        },
    }
    write_result(options.out, "lidc", result, markdown(result))
    with atomic_path(options.out / "lidc.png") as temporary:
        picture(found[:SHOWN], bench.geometry).save(temporary)
    return result


def open_bench(source: str, preparations: Sequence[str], adapter: Path | None, train: Path | None) -> Bench:
    """Everything that is needed but the patients.

    Raises:
        InputError: model, adapter or store cannot be read, or the baselines' views are of another size.
    """
    model = WorldModel.from_pretrained(source, "direct")
    ways = tuple(dict.fromkeys(preparations)) + (("adapted",) if adapter else ())
    at = [STANDARD_ARC.index(yaw) for yaw in PAIR_DEG]
    if train is not None:
        store = ViewStore.open(train)
        geometry, fitted = store.geometry, fit_on_store(training_views(store)[:, at], 0)
        predictors = {name: fitted[name] for name in (MEAN, "knn10", "ridge_pca")}
    else:
        shipped = load_baselines()
        geometry = shipped.geometry
        pair = replace(shipped, yaw_deg=shipped.yaw_deg[at], mean_views=shipped.mean_views[at])
        predictors = {MEAN: pair.predictors(0)[MEAN]}
    if geometry.size != model.size:
        raise InputError(
            f"the baselines' views have {geometry.size} pixels a side, the model's {model.size}; "
            "give --train, a store of the model's own training views"
        )
    return Bench(model, geometry, ways, None if adapter is None else Adapter.from_pretrained(adapter), predictors)


def find_pairs(cohort: Cohort, unknown_as_frontal: bool) -> tuple[list[Pair], dict[str, str], dict[str, int]]:
    """One pair a patient: the first CT and the first frontal, PA before AP.

    Returns:
        the pairs; patients whose radiographs do not say how they were taken, and rows of the table that cannot be
        used, with the reason; how many patients have no CT, and how many a CT alone.

    Raises:
        InputError: there is no pair.
    """
    owned: dict[str, list[Sample]] = {}
    for sample in cohort.samples:
        owned.setdefault(sample.patient, []).append(sample)
    order = _ORDER if unknown_as_frontal else _ORDER[:-1]
    pairs: list[Pair] = []
    failed, without = dict(cohort.failed), {"CT": 0, "radiograph": 0}
    for patient, samples in owned.items():
        ct = [one for one in samples if one.view == "CT"]
        frontals = sorted((one for one in samples if one.view in order), key=lambda one: order.index(one.view))
        lateral = [one for one in samples if one.view == "lateral"]
        if ct and frontals:
            pairs.append(Pair(patient, ct[0], frontals[0], lateral[0] if lateral else None))
        elif ct and any(one.view == "" for one in samples):
            failed[patient] = (
                "its radiographs do not say how they were taken; look at them and write PA, AP or lateral into the "
                "table, or take all such for frontals: --unknown-as-frontal"
            )
        else:
            without["radiograph" if ct else "CT"] += 1
    if not pairs:
        why = f"; {next(iter(failed))}: {next(iter(failed.values()))}" if failed else ""
        raise InputError(f"no patient has both a CT and a frontal radiograph (a table of --views all has both){why}")
    return pairs, failed, without


def score(pair: Pair, bench: Bench) -> Scored:
    """One patient in every preparation.

    Raises:
        InputError: CT or radiograph cannot be used, or no lungs are found.
    """
    ct = open_input(pair.ct.path, bench.geometry, pair.ct.series or None, name=pair.patient, remove_couch=True)
    truth_p = ct.truth_p(PAIR_DEG)
    if truth_p is None:
        raise InputError(f"{pair.ct.path}: no CT, though the table says so")
    truth = fields(truth_p, bench.geometry)
    pixel_mm = bench.geometry.field_mm / bench.geometry.size

    def compared(views: Mapping[str, Array]) -> dict[str, dict[str, float]]:
        return {name: compare(fields(views_p, bench.geometry), truth, pixel_mm) for name, views_p in views.items()}

    ceiling_p = bench.model.imagine(truth_p[0], yaw_deg=PAIR_DEG)
    same = compared({MEAN: predict(bench.predictors[MEAN], truth_p[0]), CEILING: ceiling_p})  # for any radiograph
    scores: dict[str, dict[str, dict[str, float]]] = {}
    notes: list[str] = []
    shown: list[Array] = []
    for way in bench.preparations:
        view_p, said = prepared(pair.frontal.path, way, bench)
        notes += [f"{way}: {note}" for note in said]
        views = {OURS: bench.model.imagine(view_p, yaw_deg=PAIR_DEG)}
        views |= {name: predict(one, view_p) for name, one in bench.predictors.items() if name not in same}
        scores[way] = compared(views) | same
        shown = shown or [view_p, *views[OURS], *truth_p]
    return Scored(pair, tuple(notes), scores, np.stack(shown))


def prepared(path: Path, way: str, bench: Bench) -> tuple[Array, tuple[str, ...]]:
    """A frontal radiograph as the model meets it, (h, w) p, and what has to be said of it."""
    if way == "lung_field":
        view_p, field = normalise_radiograph(read_radiograph(path, 2 * bench.geometry.size).gray, bench.geometry.size)
        return view_p.copy(), (f"likeness of the lung field {field.likeness:.2f}",)
    study = open_input(path, bench.geometry, adapter=bench.adapter if way == "adapted" else None)
    return study.view_p, study.notes


def predict(predictor: Predictor, view_p: Array) -> Array:
    """A baseline's frontal and lateral as line integrals, (2, h, w)."""
    return P_MAX * predictor.predict(unit(view_p[None]))[0]


def fields(views_p: Array, geometry: Geometry) -> tuple[Mask, Mask]:
    """The lungs on a frontal and a lateral."""
    return lung_field(views_p[0], geometry, frontal=True), lung_field(views_p[1], geometry, frontal=False)


# ---------------------------------------------------------------- numbers over patients


def summary(scores: Sequence[Mapping[str, Mapping[str, Mapping[str, float]]]]) -> dict[str, Any]:
    """preparation -> method -> means over patients with 95 % intervals, and `less`: ours less it, paired."""
    found: dict[str, Any] = {}
    for way, methods in scores[0].items():
        values = {
            name: {metric: np.array([one[way][name][metric] for one in scores]) for metric in METRICS}
            for name in methods
        }
        found[way] = {name: {metric: _mean(x) for metric, x in of.items()} for name, of in values.items()}
        apart = {
            (name, metric): values[OURS][metric] - values[name][metric]
            for name in methods
            if name != OURS
            for metric in COMPARED
        }
        p = holm_by_name({key: mean_p(x) for key, x in apart.items()})
        for (name, metric), x in apart.items():
            found[way][name].setdefault("less", {})[metric] = _mean(x) | {"p": p[name, metric]}
    return found


def _mean(values: Array) -> dict[str, Any]:
    bounds = mean_interval(values)
    return {"mean": float(values.mean()), "ci95": None if bounds is None else list(bounds)}


def _row(one: Scored) -> dict[str, Any]:
    pair = one.pair
    return {
        "patient": pair.patient,
        "ct": pair.ct.study,
        "radiograph": pair.frontal.study,
        "view": pair.frontal.view,
        "notes": list(one.notes),
        "scores": one.scores,
    }


_SPEC = {"distance_mm": ".1f", "depth_error": ".1%"}
_WORDS = {
    "dice_unaligned": "Dice, not aligned",
    "dice": "Dice",
    "distance_mm": "outlines apart, mm",
    "depth_error": "depth wrong by",
    "depth_ratio": "depth, predicted / true",
    "depth_to_height": "depth / height, not aligned, predicted / true",
    "frontal_dice": "Dice of the frontals",
}


def markdown(result: Mapping[str, Any]) -> str:
    lines = [
        "# LIDC-IDRI: radiograph to lateral, outlines of the lungs",
        "",
        f"{len(result['patients'])} patients; means with 95 % intervals over patients. Placed by shifts and by "
        "scales of height and width that were found on the frontals; of the lateral only its place from front to back "
        "is free.",
    ]
    for way, methods in result["summary"].items():
        cells = [
            [name, *(_cell(of[metric], _SPEC.get(metric, ".3f")) for metric in METRICS)] for name, of in methods.items()
        ]
        lines += ["", f"## `{way}`", "", *table(["", *(_WORDS[metric] for metric in METRICS)], cells)]
        apart = [
            [name, *(_cell(of["less"][metric], "+" + _SPEC.get(metric, ".3f")) for metric in COMPARED)]
            for name, of in methods.items()
            if "less" in of
        ]
        lines += ["", f"`{OURS}` less each, on the same patients, {ADJUSTED}:", ""]
        lines += table(["", *(_WORDS[metric] for metric in COMPARED)], apart)
    lines += [
        "",
        f"Patients without a CT: {result['without']['CT']}, with a CT alone: {result['without']['radiograph']}.",
    ]
    if result["settings"]["train"] is None:
        lines += ["Not run: ridge_pca and knn10 (they need the training views: --train STORE)."]
    if result["failed"]:
        lines += ["", "Left out:", "", *(f"- {name}: {why}" for name, why in result["failed"].items())]
    return "\n".join(lines) + "\n"


def _cell(value: Mapping[str, Any], spec: str) -> str:
    return f"{value['mean']:{spec}}{interval(value['ci95'], spec)}{p_value(value.get('p'))}"


# ---------------------------------------------------------------- the picture


def picture(found: Sequence[Scored], geometry: Geometry) -> Image.Image:
    """A row a patient, in the first preparation: true outlines blue, imagined ones, aligned, orange."""
    rows = []
    for one in found:
        view_p, frontal_p, lateral_p, true_frontal_p, true_lateral_p = one.shown_p
        predicted = fields(np.stack([frontal_p, lateral_p]), geometry)
        truth = fields(np.stack([true_frontal_p, true_lateral_p]), geometry)
        moves = place_pair(predicted, truth)
        frontal, lateral = (placed(mask, move) for mask, move in zip(predicted, moves))
        cells = [
            drawn(view_p, {PREDICTED: predicted[0]}),
            drawn(true_frontal_p, {TRUE: truth[0], PREDICTED: frontal}),
            drawn(placed(lateral_p, moves[1]), {TRUE: truth[1], PREDICTED: lateral}),
            drawn(true_lateral_p, {TRUE: truth[1], PREDICTED: lateral}),
        ]
        rows.append((one.pair.patient, [*cells, *_real_lateral(one.pair.lateral)]))
    heads = ["radiograph, prepared", "CT frontal", "imagined lateral, aligned", "CT lateral"]
    if any(len(cells) > len(heads) for _, cells in rows):
        heads.append("lateral radiograph")
    return contact_sheet(rows, heads, SIDE // 2)


def drawn(view_p: Array, masks: Mapping[tuple[int, int, int], NDArray[np.generic]]) -> NDArray[np.uint8]:
    """A view of line integrals, enlarged to `SIDE`, with outlines in colours; uint8 (SIDE, SIDE, 3)."""
    pixels = np.repeat(_enlarged(to_gray(view_p).astype(np.float32))[..., None], 3, axis=-1)
    for colour, mask in masks.items():
        inside = _enlarged(mask.astype(np.float32)) >= 0.5
        edge = np.zeros_like(inside)
        edge[1:] |= inside[1:] != inside[:-1]
        edge[:, 1:] |= inside[:, 1:] != inside[:, :-1]
        edge[1:] |= edge[:-1]
        edge[:, 1:] |= edge[:, :-1]
        pixels[edge] = colour
    return np.rint(pixels.clip(0, 255)).astype(np.uint8)


def _enlarged(image: Array) -> Array:
    return np.asarray(Image.fromarray(image).resize((SIDE, SIDE), Image.Resampling.BILINEAR), np.float32)


def _real_lateral(sample: Sample | None) -> list[NDArray[np.uint8]]:
    """The patient's lateral radiograph to look at, if there is one that can be read."""
    if sample is None:
        return []
    try:
        return [np.rint(255 * read_radiograph(sample.path, SIDE, lateral=True).gray).astype(np.uint8)]
    except InputError:
        return []


if __name__ == "__main__":
    main()
