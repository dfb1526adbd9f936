"""Controls of a group of cases: what accuracy depends on the action, what on the patient, and how errors grow."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..core.errors import InputError
from ..parallel.progress import progress
from ..projection.geometry import STANDARD_ARC
from .actions import AS_IT_IS, CONTROLS, INPUT_YAW_DEG, score_controls
from .cases import Case, rendered, sources
from .drift import Drift, measure_drift
from .metrics import DATA_RANGE, Array, unit
from .predictors import CopyInput, MeanView, Predictor
from .results import Estimate, Failure, contrasts
from .retrieval import RENDERED_YAW_DEG, Retrieval, embed_candidates, summarise_retrieval
from .scoring import Block, Cohort, Scores, block, gain, score
from .seen import watched
from .views import UNIT, Settings, as_stores, load_models, named_cases, open_bench

if TYPE_CHECKING:
    from ..models.world_model import WorldModel

FRONTAL = STANDARD_ARC.index(INPUT_YAW_DEG)
BATCH = 4


@dataclass(frozen=True)
class Control(Block):
    """A predictor under one control. `cost`: how many dB of PSNR, at least 30 degrees from the input and paired within
    each patient, it loses against the prediction as it is."""

    cost: Estimate


@dataclass(frozen=True)
class Measured:
    """One form on one group of cases."""

    controls: dict[str, Control]
    drift: Drift


@dataclass(frozen=True)
class ControlGroup:
    """The cases of one evidence level."""

    n: int
    cases: list[str]
    baselines: dict[str, Block]
    models: dict[str, Measured]


@dataclass(frozen=True)
class ControlsResult:
    """The content of controls.json."""

    input_yaw_deg: float
    unit: str
    data_range: float
    controls: dict[str, str]
    groups: dict[str, ControlGroup]
    retrieval: Retrieval
    failed: list[Failure]
    settings: Settings


def evaluate_controls(
    ct: Sequence[str | Path] = (),
    procedural: int = 0,
    train: str | Path | None = None,
    *,
    models: Sequence[str] = (),
    candidates: int = 100,
    source: str | Path = "tiny",
    seed: int = 0,
    device: str = "cpu",
    series: str | None = None,
) -> ControlsResult:
    """Controls of the action and of the patient, cross-view retrieval, and drift, on real CTs and virtual patients.

    The cases are held in memory with their predictions, 5 MB each at 128 pixels. Retrieval is among virtual patients
    only: a few real CTs among them would be found because they are not virtual.

    Args:
        ct: chest CTs: NIfTI files, DICOM folders or zips; a folder of NIfTI files means each of them.
        procedural: number of virtual patients, seeds from 1,000,000 + `seed`.
        train: view store of the training cohort; with it `ridge_pca` takes part in the retrieval.
        models: forms of the transition model; by default each form that the source holds.
        candidates: virtual patients among whom the right one is to be found, seeds from 1,000,000 + `seed`.
        source: weights, as in `WorldModel.from_pretrained`.
        seed: offset of the virtual patients, and the seed of the shuffling and of the bootstrap.

    Raises:
        UsageError: nothing to evaluate.
        InputError: no case, or fewer than two candidates, could be used.
    """
    chosen = named_cases(ct, procedural, seed, series)
    bench = open_bench(INPUT_YAW_DEG, train, source)
    loaded = load_models(source, models, device)
    failed: list[Failure] = []
    cases = list(watched(rendered(chosen, bench.geometry, failed, description="rendering"), as_stores(train)))
    if not cases:
        raise InputError("no case could be evaluated; each is named above with what is wrong")
    mean_views = bench.predictors["mean_view"].predict(unit(cases[0].views_p[FRONTAL])[None])[0]
    groups = {
        level: measure([case for case in cases if case.evidence_level == level], loaded, mean_views, seed)
        for level in sorted({case.evidence_level for case in cases}, reverse=True)
    }
    gallery = rendered(
        list(sources(procedural=candidates, seed=seed)), bench.geometry, failed, RENDERED_YAW_DEG, "retrieval"
    )
    ridge = {name: bench.predictors[name] for name in ("ridge_pca",) if name in bench.predictors}
    return ControlsResult(
        input_yaw_deg=INPUT_YAW_DEG,
        unit=UNIT,
        data_range=DATA_RANGE,
        controls=CONTROLS,
        groups=groups,
        retrieval=summarise_retrieval(embed_candidates(gallery, loaded, ridge), seed),
        failed=failed,
        settings=bench.settings(source, train, seed),
    )


def measure(
    cases: Sequence[Case], models: Mapping[str, "WorldModel"], mean_views: Array, seed: int = 0
) -> ControlGroup:
    """Controls and drift of each form on cases of one evidence level; `mean_views` unit (angles, h, w)."""
    names, level = [case.name for case in cases], cases[0].evidence_level
    views_p = np.stack([case.views_p for case in cases])
    truth = unit(views_p)
    cohort = Cohort(STANDARD_ARC, INPUT_YAW_DEG, names, [level] * len(names), {}, {})
    simple: dict[str, Predictor] = {"mean_view": MeanView(mean_views), "copy_input": CopyInput()}
    baselines = {
        name: Scores.joined([score(one.predict(true[None, FRONTAL]), true[None]) for true in truth])
        for name, one in simple.items()
    }
    null = baselines["mean_view"]
    measured: dict[str, Measured] = {}
    for form, model in models.items():
        frontals = [views_p[i : i + BATCH, FRONTAL] for i in range(0, len(views_p), BATCH)]
        predicted = np.concatenate([unit(model.imagine(f)) for f in progress(frontals, f"controls, {form}, {level}")])
        scores = score_controls(predicted, truth, seed)
        as_it_is = scores[AS_IT_IS]
        lost = {name: gain(cohort, as_it_is, one) for name, one in scores.items()}
        cost = {AS_IT_IS: Estimate.of(lost.pop(AS_IT_IS), seed), **contrasts(lost, seed)}
        controls = {
            name: Control(**vars(block(cohort, one, null, seed)), cost=cost[name]) for name, one in scores.items()
        }
        measured[form] = Measured(controls, measure_drift(model, views_p, names, level, mean_views, seed))
    return ControlGroup(
        len(cases), names, {name: block(cohort, one, null, seed) for name, one in baselines.items()}, measured
    )
