"""Uncertainty: what one frontal leaves open, and whether the samples of a model are calibrated."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from ..core.errors import InputError, UsageError
from ..core.evidence import VIRTUAL
from ..core.seeds import FIRST_PROBE_SEED, FIRST_TEST_SEED
from ..projection.geometry import STANDARD_ARC, Geometry
from ..projection.geometry import preset as geometry_preset
from ..statistics.ensembles import energy_score
from .anatomy import BODY_P, ENDPOINTS
from .cases import Case, Source, rendered, sources
from .consistency import consistency
from .counterfactual import PairSummary, evaluate_pairs
from .metrics import Array
from .results import NOT_JSON, Estimate, Failure
from .spread import (
    LEVELS,
    Agreement,
    Marginals,
    RegionScores,
    of_normal,
    of_samples,
    summarise_endpoint,
    summarise_marginals,
)
from .volume_rows import empty_grid, sampled_volumes
from .volume_table import covered, mean_coverage

if TYPE_CHECKING:
    from ..models.transitions.base import State
    from ..models.world_model import WorldModel

SCORED_DEG = (-90.0, -60.0, -30.0, -10.0, 10.0, 30.0, 60.0, 90.0)
REGIONS = ("body", "lung field", "outside the lungs", "soft tissue alone", "bone")
LUNG_MM = 20.0  # of gas along a ray make it one of the lung field
BONE_MM = 10.0  # of bone along a ray make it one of bone
VOXELS = 64  # along each edge of the volumes of a form that keeps a chest
LEAST_SAMPLES = 39  # the fewest of which a 95 % interval can be made
FRONTAL = STANDARD_ARC.index(0.0)
ENOUGH = 10  # patients give a variance between patients
CONSISTENT = 2  # cases of an evidence level, and samples of each, whose consistency is measured over the whole arc


@dataclass(frozen=True)
class Residuals:
    """Errors of the expected views on patients of their own: SD (angles, h, w) in p, and of each endpoint."""

    sd: Array
    endpoints: dict[str, float]
    patients: int


@dataclass
class Found:
    """What the cases of one evidence level gave, one entry a case."""

    names: list[str] = field(default_factory=list)
    marginals: dict[str, list[Marginals]] = field(default_factory=dict)
    energy: dict[str, list[float]] = field(default_factory=dict)
    endpoints: dict[str, list[tuple[float, float, Array]]] = field(default_factory=dict)
    truths: list[Array] = field(default_factory=list)
    variances: list[Array] = field(default_factory=list)
    regions: list[np.ndarray] = field(default_factory=list)
    consistency: dict[str, list[dict[str, float]]] = field(default_factory=dict)
    voxels: list[dict[str, float]] = field(default_factory=list)


@dataclass(frozen=True)
class Example:
    """What a picture needs: p of the frontal (h, w), and of truth, prediction and spread (angles, h, w), samples."""

    name: str
    evidence_level: str
    frontal: Array
    truth: Array
    mean: Array
    samples: Array
    sd: Array


@dataclass(frozen=True, kw_only=True)
class EndpointScores(Agreement):
    """An endpoint (`anatomy.ENDPOINTS`) over the patients."""

    words: str
    unit: str
    yaw_deg: float


@dataclass(frozen=True)
class VarianceRatio:
    """Posterior/prior variance ratio of a region: 0 where the frontal determines the view, 1 where it says nothing."""

    mean: float
    per_angle: dict[str, float]


@dataclass(frozen=True)
class Group:
    """The cases of one evidence level; fewer than `ENOUGH` have no variance ratio.

    `voxels`, of a form that keeps a chest: coverage of the volumes' voxels by tissue, as `volume_table.covered`.
    """

    n: int
    cases: list[str]
    pixels: dict[str, dict[str, RegionScores]]
    energy: dict[str, Estimate]
    endpoints: dict[str, EndpointScores]
    consistency: dict[str, dict[str, float]]
    voxels: dict[str, Estimate] | None = None
    variance_ratio: dict[str, VarianceRatio] | None = None
    variance_ratio_map: Array | None = field(default=None, metadata=NOT_JSON)


@dataclass(frozen=True)
class UncertaintyResult:
    """The content of uncertainty.json, and the examples to draw."""

    input_yaw_deg: float
    yaw_deg: tuple[float, ...]
    levels: tuple[float, ...]
    samples: int
    groups: dict[str, Group]
    counterfactual_pairs: dict[str, PairSummary]
    failed: list[Failure]
    settings: dict[str, str | int | bool]
    examples: list[Example] = field(default_factory=list, metadata=NOT_JSON)


def evaluate_uncertainty(
    ct: Sequence[str | Path] = (),
    procedural: int = 0,
    *,
    samples: int = 40,
    calibration: int = 40,
    pairs: int = 0,
    source: str | Path = "tiny",
    form: str = "auto",
    seed: int = 0,
    device: str = "cpu",
    series: str | None = None,
    remove_couch: bool = False,
    pictures: int = 2,
) -> UncertaintyResult:
    """Score samples from the frontal: their pixels, anatomical endpoints, whole chests, and counterfactual pairs.

    Beside the sampler stands a normal distribution about the prediction whose SD at each pixel is that of the
    prediction's errors on `calibration` other patients.

    Args:
        ct: chest CTs: NIfTI files, DICOM folders or zips; a folder of NIfTI files means each of them.
        procedural: number of virtual patients, seeds from 1,000,000 + `seed`.
        samples: of each patient; 39 are the fewest that a 95 % interval can be made of.
        calibration: virtual patients, seeds from 500,000 + `seed`, that give the normal distribution its SD.
        pairs: counterfactual pairs of each kind, seeds from 1,000,000 + `seed`; 0 leaves them out.
        source, form: weights of a form that can be sampled from, as in `WorldModel.from_pretrained`.
        seed: offset of the patients, and the seed of samples, noise and bootstrap.
        remove_couch: see `cases.sources`.
        pictures: examples of each evidence level to keep.

    Raises:
        UsageError: nothing to evaluate, too few samples, or a model without a sampler.
        InputError: no case could be used.
    """
    chosen = list(sources(ct, procedural, seed, series, remove_couch))
    if not chosen and not pairs:
        raise UsageError("nothing to evaluate: name chest CTs, give --procedural N or --counterfactual-pairs N")
    if samples < LEAST_SAMPLES:
        raise UsageError(f"--samples is {samples}; a 95 % interval takes at least {LEAST_SAMPLES}")
    model = _with_sampler(source, form, device)
    geometry = geometry_preset("chest", model.size)
    failed: list[Failure] = []
    groups: dict[str, Group] = {}
    examples: list[Example] = []
    if chosen:
        residuals = fit_residuals(model, geometry, calibration, seed, failed)
        grid = empty_grid(VOXELS) if model.transition.renders else None
        cases = rendered(
            chosen, geometry, failed, STANDARD_ARC, "uncertainty", with_lungs=True, bone_yaw_deg=SCORED_DEG, grid=grid
        )
        found, examples = measure(cases, model, geometry, residuals, samples, seed, pictures)
        if not found:
            raise InputError("no case could be evaluated; each is named above with what is wrong")
        groups = {level: summarise(found[level], residuals, seed) for level in sorted(found, reverse=True)}
    return UncertaintyResult(
        input_yaw_deg=0.0,
        yaw_deg=SCORED_DEG,
        levels=LEVELS,
        samples=samples,
        groups=groups,
        counterfactual_pairs=evaluate_pairs(model, geometry, pairs, samples, seed) if pairs else {},
        failed=failed,
        settings={
            "source": str(source),
            "seed": seed,
            "first_test_seed": FIRST_TEST_SEED + seed,
            "calibration_patients": calibration if chosen else 0,
            "first_calibration_seed": FIRST_PROBE_SEED + seed,
            "geometry": geometry.name,
            "size": geometry.size,
            "remove_couch": remove_couch,
        },
        examples=examples,
    )


def fit_residuals(
    model: "WorldModel", geometry: Geometry, patients: int, seed: int, failed: list[Failure]
) -> Residuals | None:
    """The prediction's errors on virtual patients that nothing else here is measured on; None for fewer than two."""
    from ..phantoms import patient_volume

    first = FIRST_PROBE_SEED + seed
    chosen = [Source(f"thorax-{n}", VIRTUAL, partial(patient_volume, n)) for n in range(first, first + patients)]
    square, endpoints, count = np.zeros(()), {name: [] for name in ENDPOINTS}, 0  # type: ignore[var-annotated]
    for case in rendered(chosen, geometry, failed, (0.0, *SCORED_DEG), "residuals"):
        truth, predicted = case.views_p[1:], model.imagine(case.views_p[0], yaw_deg=SCORED_DEG)
        square = square + np.square((predicted - truth).astype(np.float64))
        count += 1
        for name in ENDPOINTS:
            endpoints[name].append(float(_endpoint(name, predicted, geometry) - _endpoint(name, truth, geometry)))
    if count < 2:
        return None
    sd = {name: float(np.sqrt(np.mean(np.square(values)))) for name, values in endpoints.items()}
    return Residuals(np.sqrt(square / count), sd, count)


# ---------------------------------------------------------------- the core: cases in, numbers out


def measure(
    cases: Iterable[Case],
    model: "WorldModel",
    geometry: Geometry,
    residuals: Residuals | None,
    samples: int,
    seed: int = 0,
    pictures: int = 0,
) -> tuple[dict[str, Found], list[Example]]:
    """Draw samples of every case from its frontal, by evidence level; cases hold the standard arc and `lung_mm`, and
    their bones at `SCORED_DEG`."""
    found: dict[str, Found] = {}
    examples: list[Example] = []
    at = [STANDARD_ARC.index(yaw) for yaw in SCORED_DEG]
    for number, case in enumerate(cases):
        group = found.setdefault(case.evidence_level, Found())
        frontal, truth = case.views_p[FRONTAL], case.views_p[at]
        state = model.observe([(frontal, 0.0)])
        mean = model.predict(state, SCORED_DEG)[0]
        drawn = model.sample(state, SCORED_DEG, _generator(seed, number), samples)[:, 0]
        regions = _regions(case, mean, at)
        _add(group.marginals, "sampler", of_samples(drawn, truth, regions, seed + number))
        _add(group.energy, "sampler", energy_score(drawn.reshape(samples, -1), truth.ravel()))
        _add(group.energy, "prediction", float(np.sqrt(np.mean(np.square(mean - truth)))))
        if residuals is not None:
            _add(group.marginals, "gaussian", of_normal(mean, residuals.sd, truth, regions))
            noise = np.random.default_rng([seed, number]).standard_normal(drawn.shape, np.float32)
            normal = mean + residuals.sd.astype(np.float32) * noise
            _add(group.energy, "gaussian", energy_score(normal.reshape(samples, -1), truth.ravel()))
        for name in ENDPOINTS:
            values = np.array([_endpoint(name, one, geometry) for one in drawn])
            _add(group.endpoints, name, (_endpoint(name, truth, geometry), _endpoint(name, mean, geometry), values))
        group.truths.append(truth)
        group.variances.append(drawn.var(axis=0, ddof=1))
        group.regions.append(regions)
        if case.truth is not None:
            volumes = sampled_volumes(model, state, geometry, VOXELS, samples, _generator(seed, number))
            group.voxels.append(covered(volumes, case.truth))
        if len(group.names) < CONSISTENT:
            for name, views in _chests(model, state, case.views_p, seed, number):
                _add(group.consistency, name, consistency(views, geometry))
        if len(group.names) < pictures:
            examples.append(
                Example(case.name, case.evidence_level, frontal, truth, mean, drawn[:3], drawn.std(axis=0, ddof=1))
            )
        group.names.append(case.name)
    return found, examples


def summarise(found: Found, residuals: Residuals | None, seed: int = 0) -> Group:
    """The numbers of the cases of one evidence level."""
    endpoints: dict[str, EndpointScores] = {}
    for name, rows in found.endpoints.items():
        truth, predicted = (np.array([row[i] for row in rows]) for i in (0, 1))
        drawn = np.stack([row[2] for row in rows], axis=1)
        one, sd = ENDPOINTS[name], None if residuals is None else residuals.endpoints[name]
        agreement = vars(summarise_endpoint(truth, predicted, drawn, sd, seed))
        endpoints[name] = EndpointScores(words=one.words, unit=one.unit, yaw_deg=one.yaw_deg, **agreement)
    enough = len(found.names) >= ENOUGH
    return Group(
        n=len(found.names),
        cases=found.names,
        pixels={name: summarise_marginals(cases, REGIONS, SCORED_DEG, seed) for name, cases in found.marginals.items()},
        energy={name: Estimate.of(np.array(values), seed) for name, values in found.energy.items()},
        endpoints=endpoints,
        consistency={
            name: {test: float(np.mean([row[test] for row in rows])) for test in rows[0]}
            for name, rows in found.consistency.items()
        },
        voxels=mean_coverage(found.voxels, seed) if found.voxels else None,
        variance_ratio=variance_ratio(found) if enough else None,
        variance_ratio_map=variance_ratio_map(found) if enough else None,
    )


def variance_ratio(found: Found) -> dict[str, VarianceRatio]:
    """Of each region, from `variances`."""
    posterior, prior = variances(found)
    share = np.mean(found.regions, axis=0)  # how often a pixel is of a region
    result: dict[str, VarianceRatio] = {}
    for r, name in enumerate(REGIONS):
        left = (share[r] * posterior).sum(axis=(1, 2)) / np.maximum((share[r] * prior).sum(axis=(1, 2)), 1e-9)
        per_angle = {f"{yaw:g}": float(v) for yaw, v in zip(SCORED_DEG, left, strict=True)}
        result[name] = VarianceRatio(float(left.mean()), per_angle)
    return result


def variance_ratio_map(found: Found) -> Array:
    """Posterior over prior variance (angles, h, w); NaN where fewer than half of the patients have their body."""
    posterior, prior = variances(found)
    body = np.mean(found.regions, axis=0)[REGIONS.index("body")] >= 0.5
    return np.where(body, posterior / np.maximum(prior, 1e-9), np.nan)


def variances(found: Found) -> tuple[Array, Array]:
    """(angles, h, w) each: of a patient's samples, mean over patients; and of the patients' true views."""
    return np.mean(found.variances, axis=0), np.var(found.truths, axis=0, ddof=1)


def _regions(case: Case, mean: Array, at: Sequence[int]) -> np.ndarray:
    """bool (`REGIONS`, angles, h, w).

    The body is where truth or prediction is thick: chosen by the truth alone, it would leave out where a forecast sees
    more body than there is.
    """
    assert case.lung_mm is not None
    body = (case.views_p[at] > BODY_P) | (mean > BODY_P)
    lung = body & (case.lung_mm[at] > LUNG_MM)
    bone = np.zeros_like(body) if case.bone_mm is None else body & (case.bone_mm > BONE_MM)
    return np.stack([body, lung, body & ~lung, body & ~lung & ~bone, bone])


def _chests(model: "WorldModel", state: "State", truth: Array, seed: int, number: int) -> Iterable[tuple[str, Array]]:
    """Sets of views of the whole arc whose consistency is compared. `mixed` takes every view from another sample: what
    samples would be without one noise for all angles."""
    yield "truth", truth
    yield "prediction", model.predict(state)[0]
    yield from (("sample", one[0]) for one in model.sample(state, STANDARD_ARC, _generator(seed, number), CONSISTENT))
    generator = _generator(seed, number)
    yield "mixed", np.concatenate([model.sample(state, [yaw], generator)[0] for yaw in STANDARD_ARC])


def _endpoint(name: str, views_p: Array, geometry: Geometry) -> float:
    one = ENDPOINTS[name]
    return one.measure(views_p[SCORED_DEG.index(one.yaw_deg)], geometry)


def _generator(seed: int, number: int) -> torch.Generator:
    return torch.Generator().manual_seed(1_000 * seed + number)


def _add(named: dict[str, list[Any]], name: str, value: Any) -> None:
    named.setdefault(name, []).append(value)


def _with_sampler(source: str | Path, form: str, device: str) -> "WorldModel":
    from ..models.world_model import WorldModel

    model = WorldModel.from_pretrained(source, form, device)
    if not model.transition.has_sampler:
        raise UsageError(
            f"the {model.config.form} form of {source} was not trained to be sampled from: name another form, or train "
            "a sampler of direct with `xray2xray train --stage sampler`"
        )
    return model
