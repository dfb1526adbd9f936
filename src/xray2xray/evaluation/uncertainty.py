"""`xray2xray evaluate uncertainty`: what one frontal leaves open, and whether the samples say so honestly."""

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
from ..reporting.uncertainty import Shown, write_uncertainty
from ..statistics.ensembles import energy_score
from .anatomy import BODY_P, ENDPOINTS
from .cases import Case, Source, rendered, sources
from .consistency import consistency
from .metrics import Array, mean_interval
from .spread import LEVELS, Marginals, of_normal, of_samples, summarise_endpoint, summarise_marginals
from .twins import evaluate_twins

if TYPE_CHECKING:
    from ..models.world_model import WorldModel

SCORED_DEG = (-90.0, -60.0, -30.0, -10.0, 10.0, 30.0, 60.0, 90.0)
REGIONS = ("body", "lung field", "outside the lungs")
LUNG_MM = 20.0  # of gas along a ray make it one of the lung field
LEAST_SAMPLES = 39  # the fewest of which a 95 % interval can be made
FRONTAL = STANDARD_ARC.index(0.0)
ENOUGH = 10  # patients give a variance between patients
CONSISTENT = 2  # cases of a rung, and samples of each, whose consistency is looked at over the whole arc


@dataclass(frozen=True)
class Residuals:
    """What the prediction alone gets wrong on patients of its own: SD (angles, h, w) in p, and of each endpoint."""

    sd: Array
    endpoints: dict[str, float]
    patients: int


@dataclass
class Found:
    """What the cases of one rung gave, one entry a case."""

    names: list[str] = field(default_factory=list)
    marginals: dict[str, list[Marginals]] = field(default_factory=dict)
    energy: dict[str, list[float]] = field(default_factory=dict)
    endpoints: dict[str, list[tuple[float, float, Array]]] = field(default_factory=dict)
    truths: list[Array] = field(default_factory=list)
    variances: list[Array] = field(default_factory=list)
    regions: list[np.ndarray] = field(default_factory=list)
    consistency: dict[str, list[dict[str, float]]] = field(default_factory=dict)


def evaluate_uncertainty(
    ct: Sequence[str | Path] = (),
    procedural: int = 0,
    out: str | Path = "uncertainty",
    *,
    samples: int = 40,
    calibration: int = 40,
    twins: int = 0,
    source: str | Path = "tiny",
    seed: int = 0,
    device: str = "cpu",
    series: str | None = None,
    pictures: int = 2,
) -> dict[str, Any]:
    """Score samples from the frontal against the truth: of pixels, of anatomical endpoints, as chests, and on twins.

    Writes uncertainty.json, uncertainty.md, calibration.png, endpoints.png, told.png, twins.png and a picture of each
    of the first cases, and prints the tables. Beside the sampler stands a normal distribution about the prediction
    whose SD at each pixel is that of the prediction's errors on `calibration` other patients.

    Args:
        ct: chest CTs: NIfTI files, DICOM folders or zips; a folder of NIfTI files means each of them.
        procedural: number of virtual patients, seeds from 1,000,000 + `seed`.
        out: output folder, made if missing.
        samples: of each patient; 39 are the fewest that a 95 % interval can be made of.
        calibration: virtual patients, seeds from 500,000 + `seed`, that give the normal distribution its SD.
        twins: pairs of each kind, seeds from 1,000,000 + `seed`; 0 leaves them out.
        source: weights with a trained sampler, as in `WorldModel.from_pretrained`.
        seed: offset of the patients, and the seed of samples, noise and bootstrap.
        pictures: cases of each kind to draw.

    Returns:
        the content of uncertainty.json.

    Raises:
        UsageError: nothing to evaluate, too few samples, or a model without a sampler.
        InputError: no case could be used.
    """
    chosen = list(sources(ct, procedural, seed, series))
    if not chosen and not twins:
        raise UsageError("nothing to evaluate: name chest CTs, give --procedural N or --twins N")
    if samples < LEAST_SAMPLES:
        raise UsageError(f"--samples is {samples}; a 95 % interval takes at least {LEAST_SAMPLES}")
    model = _with_sampler(source, device)
    geometry = geometry_preset("chest", model.size)
    failed: list[dict[str, str]] = []
    groups: dict[str, Any] = {}
    shown: list[Shown] = []
    maps: dict[str, Array] = {}
    if chosen:
        residuals = fit_residuals(model, geometry, calibration, seed, failed)
        cases = rendered(chosen, geometry, failed, STANDARD_ARC, "uncertainty", with_lungs=True)
        found, shown = measure(cases, model, geometry, residuals, samples, seed, pictures)
        if not found:
            raise InputError("no case could be evaluated; each is named above with what is wrong")
        groups = {rung: summarise(found[rung], residuals, seed) for rung in sorted(found, reverse=True)}
        maps = {rung: told_map(one) for rung, one in found.items() if len(one.names) >= ENOUGH}
    told_apart, pairs = evaluate_twins(model, geometry, twins, samples, seed) if twins else ({}, [])
    result = {
        "input_yaw_deg": 0.0,
        "yaw_deg": list(SCORED_DEG),
        "levels": list(LEVELS),
        "samples": samples,
        "groups": groups,
        "twins": told_apart,
        "failed": failed,
        "settings": {
            "source": str(source),
            "seed": seed,
            "first_test_seed": FIRST_TEST_SEED + seed,
            "calibration_patients": calibration if chosen else 0,
            "first_calibration_seed": FIRST_PROBE_SEED + seed,
            "geometry": geometry.name,
            "size": geometry.size,
        },
    }
    write_uncertainty(Path(out), result, shown, pairs, maps)
    return result


def fit_residuals(
    model: "WorldModel", geometry: Geometry, patients: int, seed: int, failed: list[dict[str, str]]
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
) -> tuple[dict[str, Found], list[Shown]]:
    """Draw samples of every case from its frontal, by rung; cases hold the standard arc and `lung_mm`."""
    found: dict[str, Found] = {}
    shown: list[Shown] = []
    at = [STANDARD_ARC.index(yaw) for yaw in SCORED_DEG]
    for number, case in enumerate(cases):
        group = found.setdefault(case.rung, Found())
        frontal, truth = case.views_p[FRONTAL], case.views_p[at]
        mean = model.imagine(frontal, yaw_deg=SCORED_DEG)
        drawn = model.imagine(frontal, yaw_deg=SCORED_DEG, generator=_generator(seed, number), samples=samples)
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
        if len(group.names) < CONSISTENT:
            for name, views in _chests(model, case.views_p, seed, number):
                _add(group.consistency, name, consistency(views, geometry))
        if len(group.names) < pictures:
            shown.append(Shown(case.name, case.rung, frontal, truth, mean, drawn[:3], drawn.std(axis=0, ddof=1)))
        group.names.append(case.name)
    return found, shown


def summarise(found: Found, residuals: Residuals | None, seed: int = 0) -> dict[str, Any]:
    """A group of uncertainty.json."""
    result: dict[str, Any] = {
        "n": len(found.names),
        "cases": found.names,
        "pixels": {
            name: summarise_marginals(cases, REGIONS, SCORED_DEG, seed) for name, cases in found.marginals.items()
        },
        "energy": {},
        "endpoints": {},
        "consistency": {
            name: {test: float(np.mean([row[test] for row in rows])) for test in rows[0]}
            for name, rows in found.consistency.items()
        },
    }
    for name, values in found.energy.items():
        interval = mean_interval(np.array(values), seed=seed)
        result["energy"][name] = {"mean": float(np.mean(values)), "ci95": None if interval is None else list(interval)}
    for name, rows in found.endpoints.items():
        truth, predicted = (np.array([row[i] for row in rows]) for i in (0, 1))
        drawn = np.stack([row[2] for row in rows], axis=1)
        one, sd = ENDPOINTS[name], None if residuals is None else residuals.endpoints[name]
        words = {"words": one.words, "unit": one.unit, "yaw_deg": one.yaw_deg}
        result["endpoints"][name] = words | summarise_endpoint(truth, predicted, drawn, sd, seed)
    if len(found.names) >= ENOUGH:
        result["told"] = told(found)
    return result


def told(found: Found) -> dict[str, Any]:
    """What the frontal tells: posterior over prior variance in each region, 1 where nothing is; see `variances`."""
    posterior, prior = variances(found)
    result: dict[str, Any] = {}
    share = np.mean(found.regions, axis=0)  # how often a pixel is of a region
    for r, name in enumerate(REGIONS):
        left = (share[r] * posterior).sum(axis=(1, 2)) / np.maximum((share[r] * prior).sum(axis=(1, 2)), 1e-9)
        result[name] = {
            "mean": float(left.mean()),
            "per_angle": {f"{yaw:g}": float(v) for yaw, v in zip(SCORED_DEG, left, strict=True)},
        }
    return result


def told_map(found: Found) -> Array:
    """Posterior over prior variance (angles, h, w); NaN where fewer than half of the patients have their body."""
    posterior, prior = variances(found)
    body = np.mean(found.regions, axis=0)[REGIONS.index("body")] >= 0.5
    return np.where(body, posterior / np.maximum(prior, 1e-9), np.nan)


def variances(found: Found) -> tuple[Array, Array]:
    """(angles, h, w) each: of a patient's samples, mean over patients; and of the patients' true views."""
    return np.mean(found.variances, axis=0), np.var(found.truths, axis=0, ddof=1)


def _regions(case: Case, mean: Array, at: Sequence[int]) -> np.ndarray:
    """bool (regions, angles, h, w). The body is where truth or prediction is thick: chosen by the truth alone, it would
    leave out where a forecast sees more body than there is."""
    assert case.lung_mm is not None
    body = (case.views_p[at] > BODY_P) | (mean > BODY_P)
    lung = body & (case.lung_mm[at] > LUNG_MM)
    return np.stack([body, lung, body & ~lung])


def _chests(model: "WorldModel", truth: Array, seed: int, number: int) -> Iterable[tuple[str, Array]]:
    """Sets of views of the whole arc whose consistency is compared. `mixed` takes every view from another sample: what
    samples would be without one noise for all angles."""
    count = len(STANDARD_ARC)
    yield "truth", truth
    yield "prediction", model.imagine(truth[FRONTAL])
    drawn = model.imagine(truth[FRONTAL], generator=_generator(seed, number), samples=CONSISTENT)
    yield from (("sample", one) for one in drawn)
    generator = _generator(seed, number)
    yield (
        "mixed",
        np.concatenate(
            [model.imagine(truth[FRONTAL], yaw_deg=STANDARD_ARC[i : i + 1], generator=generator) for i in range(count)]
        ),
    )


def _endpoint(name: str, views_p: Array, geometry: Geometry) -> float:
    one = ENDPOINTS[name]
    return one.measure(views_p[SCORED_DEG.index(one.yaw_deg)], geometry)


def _generator(seed: int, number: int) -> torch.Generator:
    return torch.Generator().manual_seed(1_000 * seed + number)


def _add(named: dict[str, list[Any]], name: str, value: Any) -> None:
    named.setdefault(name, []).append(value)


def _with_sampler(source: str | Path, device: str) -> "WorldModel":
    from ..models.world_model import WorldModel

    model = WorldModel.from_pretrained(source, device=device)
    if model.sampler is None:
        raise UsageError(f"{source} holds no sampler: train one with `xray2xray train --stage sampler`")
    return model
