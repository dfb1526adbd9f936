"""Linear probes on virtual patients: are their findings in the features of a world model?

One frontal view is read three times: from the volumetric features (hidden-state features on the way to other angles,
beside V's latents), from V alone, and from the raw pixels. Patients of the probes are neither those of the world
model's training (seeds from 0) nor, for the training half, those of any test (seeds from 1,000,000).
"""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Protocol

import numpy as np

from ..core.errors import UsageError
from ..core.evidence import VIRTUAL
from ..core.seeds import FIRST_PROBE_SEED, FIRST_TEST_SEED
from ..data.store import ViewStore
from ..parallel.executor import executor
from ..parallel.progress import progress
from ..probing.probe import Comparison, Difference, Probe, compare_probes, pixel_features
from ..projection.geometry import Geometry, preset
from .metrics import Array
from .results import NOT_JSON, Interval

FEATURES = ("volumetric", "vision", "pixels")


class FeatureModel(Protocol):
    """The part of `WorldModel` that is probed."""

    @property
    def size(self) -> int: ...

    def features(self, views_p: Array, kind: str = "volumetric") -> Array: ...


@dataclass(frozen=True)
class Value:
    """An AUROC, or a difference of two, with its 95 % interval; of a difference `p`, adjusted after Holm."""

    value: float
    ci95: Interval | None
    p: float | None = None


@dataclass(frozen=True)
class Reading:
    """AUROC of each kind of features, and their paired differences; None with a reason where a label has one class."""

    auroc: dict[str, Value] | None
    difference: dict[str, Value] | None


@dataclass(frozen=True)
class LabelReading(Reading):
    """One label."""

    train_positives: int
    test_positives: int
    inverse_penalty: dict[str, float] | None = None
    reason: str | None = None


@dataclass(frozen=True)
class ProbesResult:
    """The content of probes.json, and the fitted volumetric probes (see `probing.probe.save_probes`)."""

    evidence_level: str
    n_train: int
    n_test: int
    features: list[str]
    labels: dict[str, LabelReading]
    mean: Reading
    settings: dict[str, str | int | dict[str, int]] | None = None
    probes: list[Probe] = field(default_factory=list, metadata=NOT_JSON)


def evaluate_probes(
    n_train: int = 500,
    n_test: int = 250,
    *,
    source: str | Path = "tiny",
    seed: int = 0,
    device: str = "cpu",
    store: str | Path | None = None,
    workers: int | None = None,
    model: FeatureModel | None = None,
) -> ProbesResult:
    """Probe the six planted labels of virtual patients.

    Args:
        n_train, n_test: virtual patients, seeds from 500,000 + `seed` and from 1,000,000 + `seed`.
        source: weights, as in `WorldModel.from_pretrained`; its default form is probed.
        store: a view store in which the rendered frontals are kept, so that another model or an interrupted run need
            not render them again.
        workers: processes that render; all cores by default.
        model: probed instead of loading `source`.

    Raises:
        UsageError: too few patients, or so many that training and test seeds would meet.
        InputError: no label has enough positives and negatives.
    """
    if n_train < 20 or n_test < 10:
        raise UsageError(f"probes need at least 20 training and 10 test patients, got {n_train} and {n_test}")
    if seed < 0 or FIRST_PROBE_SEED + seed + n_train > FIRST_TEST_SEED:
        raise UsageError(f"--n-train {n_train} with --seed {seed} would reach the test patients (seeds from 1,000,000)")
    from ..phantoms import LABELS, patient_labels

    form = "given"
    if model is None:
        from ..models.world_model import WorldModel

        model = loaded = WorldModel.from_pretrained(source, device=device)
        form = loaded.config.form
    seeds = {
        "train": range(FIRST_PROBE_SEED + seed, FIRST_PROBE_SEED + seed + n_train),
        "test": range(FIRST_TEST_SEED + seed, FIRST_TEST_SEED + seed + n_test),
    }
    labels = {part: [patient_labels(s) for s in seeds[part]] for part in seeds}
    by_name = {part: {name: np.array([row[name] for row in rows]) for name in LABELS} for part, rows in labels.items()}
    frontals = frontal_views([*seeds["train"], *seeds["test"]], preset("chest", model.size), store, workers)
    features = embed(model, frontals[:n_train], frontals[n_train:])
    comparison = compare_probes(features, by_name["train"], by_name["test"], seed=seed)
    settings: dict[str, str | int | dict[str, int]] = {
        "source": str(source),
        "form": form,
        "first_train_seed": FIRST_PROBE_SEED + seed,
        "first_test_seed": FIRST_TEST_SEED + seed,
        "dimensions": {name: int(train.shape[1]) for name, (train, _) in features.items()},
    }
    return summarise_probes(comparison, by_name["train"], by_name["test"], settings)


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
    known = {} if kept is None else {seed: _name(seed) for seed in seeds if _name(seed) in kept}
    views = {} if kept is None else {seed: kept.read_at(name, 0.0) for seed, name in known.items()}
    missing = [seed for seed in seeds if seed not in known]
    workers = min(workers or os.cpu_count() or 1, max(1, len(missing) // 8))
    render_one = partial(_frontal, geometry=geometry, threads=1 if workers > 1 else None)
    made = executor(workers).map(render_one, missing)
    for seed, view in zip(missing, progress(made, "rendering", len(missing)), strict=True):
        views[seed] = view
        if kept is not None:
            kept.write(_name(seed), view[None], [0.0], {"seed": seed})
    return np.stack([views[seed] for seed in seeds])


def _name(seed: int) -> str:
    return f"thorax-{seed:07d}"


def _frontal(seed: int, geometry: Geometry, threads: int | None) -> Array:
    from ..phantoms import patient_volume
    from ..projection.render import render

    return render(patient_volume(seed), geometry, [0.0], threads=threads)[0]


def summarise_probes(
    comparison: Comparison,
    labels_train: Mapping[str, Array],
    labels_test: Mapping[str, Array],
    settings: dict[str, str | int | dict[str, int]] | None = None,
) -> ProbesResult:
    """A comparison as the numbers that the report shows."""

    def differences(found: Mapping[str, Difference]) -> dict[str, Value]:
        return {pair: Value(float(d.value), d.ci95, d.p) for pair, d in found.items()}

    rows: dict[str, LabelReading] = {}
    for label, train in labels_train.items():
        positives, results = (int(np.sum(train)), int(np.sum(labels_test[label]))), comparison.results.get(label)
        if results is None:
            rows[label] = LabelReading(None, None, *positives, reason=comparison.left_out[label])
            continue
        rows[label] = LabelReading(
            {name: Value(float(r.auroc), r.ci95) for name, r in results.items()},
            differences(comparison.differences[label]),
            *positives,
            inverse_penalty={name: r.probe.inverse_penalty for name, r in results.items()},
        )
    mean = {name: Value(float(value), ci95) for name, (value, ci95) in comparison.mean_auroc.items()}
    return ProbesResult(
        VIRTUAL,
        len(next(iter(labels_train.values()))),
        len(next(iter(labels_test.values()))),
        list(mean),
        rows,
        Reading(mean, differences(comparison.mean_differences)),
        settings,
        [found["volumetric"].probe for found in comparison.results.values() if "volumetric" in found],
    )
