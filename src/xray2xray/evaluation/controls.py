"""`xray2xray evaluate controls`: what a prediction owes to the action, what to the patient, and where it drifts."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..core.errors import InputError, UsageError
from ..io.files import progress
from ..projection.geometry import STANDARD_ARC
from ..reporting.controls import write_controls
from .actions import AS_IT_IS, CONTROLS, INPUT_YAW_DEG, score_controls
from .baselines import CopyInput, MeanView, Predictor
from .cases import Case, rendered, sources
from .drift import measure_drift
from .metrics import DATA_RANGE, P_MAX, Array, unit
from .retrieval import RENDERED_YAW_DEG, embed_candidates, summarise_retrieval
from .scoring import Cohort, Scores, block, gain, score, stack
from .views import load_models, open_bench

if TYPE_CHECKING:
    from ..models.world_model import WorldModel

FRONTAL = STANDARD_ARC.index(INPUT_YAW_DEG)
BATCH = 4


def evaluate_controls(
    ct: Sequence[str | Path] = (),
    procedural: int = 0,
    train: str | Path | None = None,
    out: str | Path = "controls",
    *,
    models: Sequence[str] = ("direct",),
    candidates: int = 100,
    source: str | Path = "tiny",
    baselines: str | Path | None = None,
    seed: int = 0,
    device: str = "cpu",
    series: str | None = None,
) -> dict[str, Any]:
    """Controls of the action and of the patient, cross-view retrieval, and drift, on real CTs and virtual patients.

    Writes controls.json, controls.md, controls.png and alignment.png, and prints the tables. The cases are held in
    memory with their predictions, 5 MB each at 128 pixels. Retrieval is among virtual patients only: a few real CTs
    among them would be found by not being virtual.

    Args:
        ct: chest CTs: NIfTI files, DICOM folders or zips; a folder of NIfTI files means each of them.
        procedural: number of virtual patients, seeds from 1,000,000 + `seed`.
        train: view store of the training cohort; with it `ridge_pca` is asked to retrieve, too.
        out: output folder, made if missing.
        models: forms of the transition model.
        candidates: virtual patients among whom the right one is to be found, seeds from 1,000,000 + `seed`.
        source: weights, as in `WorldModel.from_pretrained`.
        baselines: a baselines.npz; the packaged one by default.
        seed: offset of the virtual patients, and the seed of the shuffling and of the bootstrap.

    Returns:
        the content of controls.json.

    Raises:
        UsageError: nothing to evaluate.
        InputError: no case, or fewer than two candidates, could be used.
    """
    chosen = list(sources(ct, procedural, seed, series))
    if not chosen:
        raise UsageError("nothing to evaluate: name chest CTs or give --procedural N")
    bench = open_bench(INPUT_YAW_DEG, train, baselines)
    loaded = load_models(source, models, device)
    failed: list[dict[str, str]] = []
    cases = list(rendered(chosen, bench.geometry, failed, description="rendering"))
    if not cases:
        raise InputError("no case could be evaluated; each is named above with what is wrong")
    mean_views = bench.predictors["mean_view"].predict(unit(cases[0].views_p[FRONTAL])[None])[0]
    groups = {
        rung: measure([case for case in cases if case.rung == rung], loaded, mean_views, seed)
        for rung in sorted({case.rung for case in cases}, reverse=True)
    }
    gallery = rendered(
        list(sources(procedural=candidates, seed=seed)), bench.geometry, failed, RENDERED_YAW_DEG, "retrieval"
    )
    ridge = {name: bench.predictors[name] for name in ("ridge_pca",) if name in bench.predictors}
    result = {
        "input_yaw_deg": INPUT_YAW_DEG,
        "unit": f"clip(p, 0, {P_MAX:g}) / {P_MAX:g}",
        "data_range": DATA_RANGE,
        "controls": CONTROLS,
        "groups": groups,
        "retrieval": summarise_retrieval(embed_candidates(gallery, loaded, ridge), seed),
        "failed": failed,
        "settings": bench.settings(source, train, seed),
    }
    write_controls(Path(out), result)
    return result


def measure(
    cases: Sequence[Case], models: Mapping[str, "WorldModel"], mean_views: Array, seed: int = 0
) -> dict[str, Any]:
    """Controls and drift of each form on cases of one rung; `mean_views` unit (angles, h, w).

    Returns:
        {"n", "cases", "baselines": {name: block}, "models": {form: {"controls": {name: block}, "drift"}}}; a block is
        that of `scoring.block`, and a control's has its `cost` besides: how many dB of PSNR, at least 30 degrees from
        the input and paired within each patient, it loses against the prediction as it is.
    """
    names, rung = [case.name for case in cases], cases[0].rung
    views_p = np.stack([case.views_p for case in cases])
    truth = unit(views_p)
    cohort = Cohort(STANDARD_ARC, INPUT_YAW_DEG, names, [rung] * len(names), {}, {})
    simple: dict[str, Predictor] = {"mean_view": MeanView(mean_views), "copy_input": CopyInput()}
    baselines = {
        name: stack([score(one.predict(true[None, FRONTAL]), true[None]) for true in truth])
        for name, one in simple.items()
    }
    null = baselines["mean_view"]
    measured: dict[str, Any] = {}
    for form, model in models.items():
        frontals = [views_p[i : i + BATCH, FRONTAL] for i in range(0, len(views_p), BATCH)]
        predicted = np.concatenate([unit(model.imagine(f)) for f in progress(frontals, f"controls, {form}, {rung}")])
        scores = score_controls(predicted, truth, seed)
        measured[form] = {
            "controls": {name: _with_cost(cohort, one, scores[AS_IT_IS], null, seed) for name, one in scores.items()},
            "drift": measure_drift(model, views_p, names, rung, mean_views, seed),
        }
    return {
        "n": len(cases),
        "cases": names,
        "baselines": {name: block(cohort, one, null, seed) for name, one in baselines.items()},
        "models": measured,
    }


def _with_cost(cohort: Cohort, control: Scores, as_it_is: Scores, null: Scores, seed: int) -> dict[str, Any]:
    return {**block(cohort, control, null, seed), "cost": gain(cohort, as_it_is, control, seed)}
