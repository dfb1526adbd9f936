"""`xray2xray evaluate probes`: are a virtual patient's findings written in the world model's latents?

The question is asked of one frontal view three times: of the volumetric features (what M imagines from other angles
beside V's latents), of V alone, and of the raw pixels. Patients of the probes are neither those of the world model's
training (seeds from 0) nor, for the training half, those of any test (seeds from 1,000,000).
"""

import os
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from ..core.errors import InputError, UsageError
from ..core.evidence import VIRTUAL
from ..core.seeds import FIRST_PROBE_SEED, FIRST_TEST_SEED
from ..data.store import ViewStore
from ..io.files import progress, write_json, write_text
from ..probing.probe import Comparison, Difference, compare_probes, pixel_features, save_probes
from ..projection.geometry import Geometry, preset
from .metrics import Array

FEATURES = ("volumetric", "vision", "pixels")


class FeatureModel(Protocol):
    """The part of `WorldModel` that is probed."""

    @property
    def size(self) -> int: ...

    def features(self, views_p: Array, kind: str = "volumetric") -> Array: ...


def evaluate_probes(
    out: str | Path,
    n_train: int = 500,
    n_test: int = 250,
    *,
    source: str | Path = "tiny",
    seed: int = 0,
    device: str = "cpu",
    store: str | Path | None = None,
    workers: int | None = None,
    model: FeatureModel | None = None,
) -> dict[str, Any]:
    """Probe the six planted labels of virtual patients; write probes.json, probes.md and probes.npz.

    Args:
        out: output folder, made if missing.
        n_train, n_test: virtual patients, seeds from 500,000 + `seed` and from 1,000,000 + `seed`.
        source: weights, as in `WorldModel.from_pretrained`; its `direct` form is probed.
        store: a view store in which the rendered frontals are kept, so that another model or an interrupted run need
            not render them again.
        workers: processes that render; all cores by default.
        model: probed instead of loading `source`.

    Returns:
        the content of probes.json; probes.npz holds the volumetric probes, see `downstream.probe.load_probes`.

    Raises:
        UsageError: too few patients, or so many that training and test seeds would meet.
        InputError: no label has enough positives and negatives.
    """
    if n_train < 20 or n_test < 10:
        raise UsageError(f"probes need at least 20 training and 10 test patients, got {n_train} and {n_test}")
    if seed < 0 or FIRST_PROBE_SEED + seed + n_train > FIRST_TEST_SEED:
        raise UsageError(f"--n-train {n_train} with --seed {seed} would reach the test patients (seeds from 1,000,000)")
    from ..phantoms import LABELS, patient_labels

    if model is None:
        from ..models.world_model import WorldModel

        model = WorldModel.from_pretrained(source, form="direct", device=device)
    geometry = preset("chest", model.size)
    seeds = {
        "train": range(FIRST_PROBE_SEED + seed, FIRST_PROBE_SEED + seed + n_train),
        "test": range(FIRST_TEST_SEED + seed, FIRST_TEST_SEED + seed + n_test),
    }
    labels = {part: [patient_labels(s) for s in seeds[part]] for part in seeds}
    by_name = {part: {name: np.array([row[name] for row in rows]) for name in LABELS} for part, rows in labels.items()}
    frontals = frontal_views([*seeds["train"], *seeds["test"]], geometry, store, workers)
    features = embed(model, frontals[:n_train], frontals[n_train:])
    comparison = compare_probes(features, by_name["train"], by_name["test"], seed=seed)
    result = summarise_probes(comparison, by_name["train"], by_name["test"])
    result["settings"] = {
        "source": str(source),
        "first_train_seed": FIRST_PROBE_SEED + seed,
        "first_test_seed": FIRST_TEST_SEED + seed,
        "dimensions": {name: int(train.shape[1]) for name, (train, _) in features.items()},
    }
    out = Path(out)
    out.mkdir(parents=True, exist_ok=True)
    write_json(out / "probes.json", result)
    table = probes_markdown(result)
    write_text(out / "probes.md", table)
    save_probes(out / "probes.npz", [found["volumetric"].probe for found in comparison.results.values()])
    print(table)
    return result


def embed(model: FeatureModel, train_p: Array, test_p: Array, batch: int = 64) -> dict[str, tuple[Array, Array]]:
    """The three kinds of features of frontal views p (n, h, w), as name -> (train, test)."""

    def through(views_p: Array, kind: str) -> Array:
        starts = progress(range(0, len(views_p), batch), f"{kind} features")
        return np.concatenate([model.features(views_p[i : i + batch], kind=kind) for i in starts])

    found = {kind: (through(train_p, kind), through(test_p, kind)) for kind in FEATURES if kind != "pixels"}
    return {**found, "pixels": pixel_features(train_p, test_p)}


def frontal_views(
    seeds: Sequence[int], geometry: Geometry, store: str | Path | None = None, workers: int | None = None
) -> Array:
    """Frontal views p (n, h, w) of virtual patients; those that `store` holds are read, the others rendered into it.

    Raises:
        UsageError: the store is of another geometry.
        InputError: a study in the store has no frontal.
    """
    kept = None if store is None else ViewStore.create(store, geometry, resume=True)
    known = set() if kept is None else set(kept.studies())
    names = {seed: f"thorax-{seed:07d}" for seed in seeds}
    missing = [seed for seed in seeds if names[seed] not in known]
    views = np.empty((len(seeds), geometry.size, geometry.size), np.float32)
    row = {seed: i for i, seed in enumerate(seeds)}
    for seed, view in zip(missing, _rendered(missing, geometry, workers), strict=True):
        views[row[seed]] = view
        if kept is not None:
            kept.write(names[seed], view[None], [0.0], {"seed": seed})
    if kept is not None:
        for seed in set(seeds) - set(missing):
            study = kept.read(names[seed])
            frontal = np.flatnonzero(np.abs(study.yaw_deg) < 1e-3)
            if len(frontal) == 0:
                raise InputError(f"{kept.path(names[seed])} has no view at 0 degrees; name another store")
            views[row[seed]] = study.views_p[frontal[0]]
    return views


def _rendered(seeds: Sequence[int], geometry: Geometry, workers: int | None) -> Iterator[Array]:
    """Frontals in the order of the seeds; spawned processes, as making a patient holds the interpreter."""
    workers = min(workers or os.cpu_count() or 1, max(1, len(seeds) // 8))
    if workers == 1:
        yield from progress(map(partial(_frontal, geometry=geometry, threads=None), seeds), "rendering", len(seeds))
        return
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        found = pool.map(partial(_frontal, geometry=geometry, threads=1), seeds, chunksize=4)
        yield from progress(found, "rendering", len(seeds))


def _frontal(seed: int, geometry: Geometry, threads: int | None) -> Array:
    from ..phantoms import patient_volume
    from ..projection.render import render

    return render(patient_volume(seed), geometry, [0.0], threads=threads)[0]


# ---------------------------------------------------------------- what is written


def summarise_probes(
    comparison: Comparison, labels_train: Mapping[str, Array], labels_test: Mapping[str, Array]
) -> dict[str, Any]:
    """A comparison as strict JSON, in the layout that the report shows."""

    def value(found: float, bounds: tuple[float, float] | None) -> dict[str, Any]:
        return {"value": float(found), "ci95": None if bounds is None else list(bounds)}

    def differences(found: Mapping[str, Difference]) -> dict[str, Any]:
        return {pair: value(d.value, d.ci95) for pair, d in found.items()}

    rows: dict[str, Any] = {}
    for label in labels_train:
        rows[label] = {
            "train_positives": int(np.sum(labels_train[label])),
            "test_positives": int(np.sum(labels_test[label])),
        }
        if label in comparison.left_out:
            rows[label] |= {"auroc": None, "difference": None, "reason": comparison.left_out[label]}
            continue
        results = comparison.results[label]
        rows[label] |= {
            "auroc": {name: value(r.auroc, r.ci95) for name, r in results.items()},
            "difference": differences(comparison.differences[label]),
            "inverse_penalty": {name: r.probe.inverse_penalty for name, r in results.items()},
        }
    return {
        "rung": VIRTUAL,
        "n_train": len(next(iter(labels_train.values()))),
        "n_test": len(next(iter(labels_test.values()))),
        "features": list(comparison.mean_auroc),
        "labels": rows,
        "mean": {
            "auroc": {name: value(*found) for name, found in comparison.mean_auroc.items()},
            "difference": differences(comparison.mean_differences),
        },
    }


def probes_markdown(result: Mapping[str, Any]) -> str:
    """probes.json as a table to read."""
    names = result["features"]
    pairs = list(result["mean"]["difference"])
    lines = [
        f"Linear probes on one frontal of {result['n_train']} virtual patients, tested on {result['n_test']} unseen "
        "ones: AUROC with a 95 % patient-bootstrap interval; differences are paired by patient. The findings were "
        "planted: this shows whether they can be recovered, not clinical performance.",
        "",
        "| | positives | " + " | ".join([*names, *pairs]) + " |",
        "|---|---:|" + "---:|" * (len(names) + len(pairs)),
    ]
    for label, row in [*result["labels"].items(), ("**mean**", result["mean"])]:
        positives = f"{row['train_positives']} / {row['test_positives']}" if "train_positives" in row else ""
        if row["auroc"] is None:
            cells = ["–"] * (len(names) + len(pairs))
        else:
            cells = [_cell(row["auroc"][name], ".3f") for name in names]
            cells += [_cell(row["difference"][pair], "+.3f") for pair in pairs]
        lines.append("| " + " | ".join([label.replace("_", " "), positives, *cells]) + " |")
    return "\n".join(lines) + "\n"


def _cell(found: Mapping[str, Any], spec: str) -> str:
    bounds = found["ci95"]
    return f"{found['value']:{spec}}" + (f" [{bounds[0]:{spec}}, {bounds[1]:{spec}}]" if bounds else "")
