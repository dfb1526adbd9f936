"""Predicted views: one view is the input, all others are predicted and compared with the truth and the baselines."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, cast

import numpy as np

from ..core.errors import InputError, UsageError
from ..core.evidence import FROM_CT
from ..core.seeds import FIRST_TEST_SEED
from ..projection.geometry import STANDARD_ARC, Geometry
from .baselines import baselines_of, fit_on_store, training_set
from .cases import BONE_YAW_DEG, CUT, WHOLE, Case, Source, batches, rendered, sources
from .detail import SAMPLE, TRUTH, Collector, Draw, SharpnessGroup, summarise_detail
from .metrics import BEYOND_DEG, DATA_RANGE, P_MAX, Array, unit
from .predictors import MeanDepth, Predictor
from .results import NOT_JSON, Failure
from .scoring import CEILINGS, CaseRow, Cohort, Scores, Summary, case_rows, score, summarise
from .seen import watched

if TYPE_CHECKING:
    from ..models.world_model import WorldModel

MIRRORED = "+mirrored"
UNIT = f"clip(p, 0, {P_MAX:g}) / {P_MAX:g}"

Stores = str | Path | Sequence[str | Path] | None
"""Training stores: none, one, or several."""

Settings = dict[str, str | int | float | bool | None]
"""What a result was measured with."""


class ViewModel(Protocol):
    """The part of `WorldModel` that is evaluated. All views are line integrals p."""

    def imagine(self, view_p: Array, input_yaw_deg: float = 0.0, yaw_deg: Sequence[float] = STANDARD_ARC) -> Array: ...

    def reconstruct_views(self, views_p: Array, quantised: bool = False) -> Array: ...


@dataclass(frozen=True)
class Example:
    """What a picture needs: p (angles, h, w) of the truth and of each model."""

    name: str
    evidence_level: str
    truth_p: Array
    predicted_p: dict[str, Array]


@dataclass(frozen=True, kw_only=True)
class ViewsResult(Summary):
    """The content of views.json: the summary of all cases, and of those of each evidence level where there are several;
    of whole chests and of cut scans among the real ones, where there are both; the sharpness of each level; and the
    examples to draw."""

    input_yaw_deg: float
    data_range: float
    unit: str
    cases: list[CaseRow]
    failed: list[Failure]
    skipped_baselines: dict[str, str]
    settings: Settings
    groups: dict[str, Summary] | None = None
    scans: dict[str, Summary] | None = None
    sharpness: dict[str, SharpnessGroup] | None = None
    skipped_samples: dict[str, str] | None = None
    examples: list[Example] = field(default_factory=list, metadata=NOT_JSON)

    @property
    def by_level(self) -> Mapping[str, Summary]:
        """Evidence level -> summary, also of a single level."""
        return self.groups or {self.cases[0].evidence_level: self}


def evaluate_views(
    ct: Sequence[str | Path] = (),
    procedural: int = 0,
    train: Stores = None,
    *,
    models: Sequence[str] = (),
    samples: int = 0,
    input_yaw_deg: float = 0.0,
    source: str | Path = "tiny",
    seed: int = 0,
    device: str = "cpu",
    series: str | None = None,
    remove_couch: bool = False,
    pictures: int = 4,
) -> ViewsResult:
    """Evaluate the predicted views of real CTs and of virtual patients that no training has seen.

    A scan that cannot be used is listed under `failed` and does not stop the others.

    Args:
        ct: chest CTs: NIfTI files, DICOM folders or zips; a folder of NIfTI files means each of them.
        procedural: number of virtual patients, seeds from 1,000,000 + `seed`.
        train: view stores of the training cohort; needed for `ridge_pca` and `kernel_ridge`, and for `knn10` where the
            input is no frontal.
        models: as in `view_models`; the primary contrast is that of the first.
        samples: drawn of each case by every form that can; their rows are apart.
        input_yaw_deg: which view is given, one of the standard arc.
        source: weights, as in `WorldModel.from_pretrained`.
        seed: offset of the virtual patients, and the seed of the bootstrap.
        remove_couch: see `cases.sources`.
        pictures: examples of each evidence level to keep.

    Raises:
        UsageError: nothing to evaluate, or an input angle that is not on the arc.
        InputError: no case could be used.
    """
    chosen = named_cases(ct, procedural, seed, series, remove_couch)
    if input_yaw_deg not in STANDARD_ARC:
        raise UsageError(f"--input-yaw-deg {input_yaw_deg:g} is not on the standard arc (-90 to 90 in steps of 5)")
    bench = open_bench(input_yaw_deg, train, source)
    loaded = view_models(source, models, device)
    draws, cannot = view_draws(loaded, samples, input_yaw_deg, seed) if samples else ({}, None)
    predictors = {**bench.predictors, **mean_depth(loaded, bench.geometry, input_yaw_deg)}
    failed: list[Failure] = []
    cases = watched(
        rendered(chosen, bench.geometry, failed, with_body=True, bone_yaw_deg=BONE_YAW_DEG), as_stores(train)
    )
    collector = Collector(bench.geometry, draws)
    cohort, examples = evaluate_cases(cases, loaded, predictors, input_yaw_deg, pictures=pictures, collector=collector)
    several = len(cohort.levels) > 1
    of_ct = {scan for scan, level in zip(cohort.scans, cohort.evidence_levels, strict=True) if level == FROM_CT}
    kinds = [scan for scan in (WHOLE, CUT) if scan in of_ct]
    return ViewsResult(
        **vars(summarise(cohort, seed)),
        input_yaw_deg=float(input_yaw_deg),
        data_range=DATA_RANGE,
        unit=UNIT,
        cases=case_rows(cohort),
        failed=failed,
        skipped_baselines=bench.skipped,
        settings={**bench.settings(source, train, seed), "remove_couch": remove_couch},
        groups={level: summarise(cohort.only(level), seed) for level in cohort.levels} if several else None,
        scans={scan: summarise(cohort.only(FROM_CT, scan), seed) for scan in kinds} if len(kinds) > 1 else None,
        sharpness=summarise_detail(cohort, collector, samples, seed),
        skipped_samples=cannot,
        examples=examples,
    )


def named_cases(
    ct: Sequence[str | Path], procedural: int, seed: int, series: str | None = None, without_couch: bool = False
) -> list[Source]:
    """The cases of an evaluation, see `cases.sources`.

    Raises:
        UsageError: there are none.
    """
    if chosen := list(sources(ct, procedural, seed, series, without_couch)):
        return chosen
    raise UsageError("nothing to evaluate: name chest CTs or ask for --procedural N patients")


# ---------------------------------------------------------------- the core: cases in, scores out


def evaluate_cases(
    cases: Iterable[Case],
    models: Mapping[str, ViewModel],
    predictors: Mapping[str, Predictor],
    input_yaw_deg: float = 0.0,
    pictures: int = 0,
    batch_size: int = 4,
    collector: Collector | None = None,
) -> tuple[Cohort, list[Example]]:
    """Score models, V's ceiling and baselines on cases that hold the standard arc, and keep the first for pictures.

    `v_ceiling` is what V makes of the true views, unquantised; no prediction through V can be expected to exceed it.
    `v_ceiling_quantised` is the same through the codebook, for forms that predict tokens. A `collector` also gathers
    the sharpness of all of them, and draws samples.

    Raises:
        InputError: there is no case.
    """
    names: list[str] = []
    levels: list[str] = []
    scans: list[str] = []
    examples: list[Example] = []
    model_scores: dict[str, list[Scores]] = {}
    baseline_scores: dict[str, list[Scores]] = {}
    input_index = STANDARD_ARC.index(input_yaw_deg)
    far = np.abs(np.array(STANDARD_ARC) - input_yaw_deg) >= BEYOND_DEG
    for batch in batches(cases, batch_size):
        truth_p = np.stack([case.views_p for case in batch])
        truth = unit(truth_p)
        bodies = [case.body for case in batch if case.body is not None]
        body = np.stack(bodies) if len(bodies) == len(batch) else None
        predicted_p = {
            name: model.imagine(truth_p[:, input_index], input_yaw_deg, STANDARD_ARC) for name, model in models.items()
        }
        for i, case in enumerate(batch):
            if levels.count(case.evidence_level) < pictures:
                of_case = {name: views_p[i] for name, views_p in predicted_p.items()}
                examples.append(Example(case.name, case.evidence_level, case.views_p, of_case))
            names.append(case.name)
            levels.append(case.evidence_level)
            scans += [case.scan] if case.scan is not None else []
        vision = next(iter(models.values()), None)  # every form is built on the same V
        if vision is not None:
            for name, quantised in CEILINGS.items():
                predicted_p[name] = np.stack([vision.reconstruct_views(c.views_p, quantised=quantised) for c in batch])
        predicted = chain(
            ((model_scores, name, unit(views_p)) for name, views_p in predicted_p.items()),
            ((baseline_scores, name, one.predict(truth[:, input_index])) for name, one in predictors.items()),
        )
        for scores, name, views in predicted:
            scores.setdefault(name, []).append(score(views, truth, body))
            if collector is not None:
                collector.add(name, views, truth, batch)
        if collector is not None:
            collector.add(TRUTH, truth, truth, batch)
            collector.draw(truth, batch, input_index, far)
    if not names:
        raise InputError("no case could be evaluated; each is named above with what is wrong")
    cohort = Cohort(
        STANDARD_ARC,
        float(input_yaw_deg),
        names,
        levels,
        {name: Scores.joined(parts) for name, parts in model_scores.items()},
        {name: Scores.joined(parts) for name, parts in baseline_scores.items()},
        scans,
    )
    return cohort, examples


# ---------------------------------------------------------------- what is evaluated, and against what


@dataclass(frozen=True)
class Bench:
    """The baselines at hand, how their cohort was rendered, and which are missing and why."""

    geometry: Geometry
    predictors: dict[str, Predictor]
    skipped: dict[str, str]
    cohort: str

    def settings(self, source: str | Path, train: Stores, seed: int) -> Settings:
        """What a result was measured with, as it stands beside its numbers."""
        return {
            "source": str(source),
            "train": " ".join(map(str, as_stores(train))) or None,
            "baselines": self.cohort,
            "seed": seed,
            "first_test_seed": FIRST_TEST_SEED + seed,
            "geometry": self.geometry.name,
            "size": self.geometry.size,
        }


def open_bench(input_yaw_deg: float, train: Stores = None, source: str | Path = "tiny") -> Bench:
    """Baselines from the training stores if any are given, else those of the model.

    Raises:
        InputError: as `training_set`, or the model has none.
    """
    index = STANDARD_ARC.index(input_yaw_deg)
    if stores := as_stores(train):
        taught = training_set(stores)
        fitted = fit_on_store(taught.views, index, taught.patients, taught.weight)
        return Bench(taught.geometry, fitted, {}, taught.cohort)
    shipped = baselines_of(source)
    predictors = shipped.predictors(index)
    skipped = dict.fromkeys(("ridge_pca", "kernel_ridge"), "needs the training views: --train STORE")
    if "knn10" not in predictors:
        skipped["knn10"] = "only frontals of the training cohort are packaged: --train STORE"
    return Bench(shipped.geometry, predictors, skipped, shipped.cohort)


def as_stores(train: Stores) -> list[str | Path]:
    """One store or several, or none, as a list."""
    if train is None:
        return []
    return [train] if isinstance(train, str | Path) else list(train)


def mean_depth(models: Mapping[str, ViewModel], geometry: Geometry, input_yaw_deg: float) -> dict[str, Predictor]:
    """The baseline `mean_depth`, where a frontal is given and a model keeps its cohort's mean lifted state of one."""
    from ..models.world_model import WorldModel

    for model in map(_plain, models.values()):
        known = model.transition.mean_depth(geometry) if isinstance(model, WorldModel) else None
        if known is not None and input_yaw_deg == 0:
            return {"mean_depth": MeanDepth(*known)}
    return {}


@dataclass(frozen=True)
class Mirrored:
    """A world model that predicts twice, also from the mirror image; see `WorldModel.imagine`."""

    model: "WorldModel"

    def imagine(self, view_p: Array, input_yaw_deg: float = 0.0, yaw_deg: Sequence[float] = STANDARD_ARC) -> Array:
        return self.model.imagine(view_p, input_yaw_deg, yaw_deg, mirrored=True)

    def reconstruct_views(self, views_p: Array, quantised: bool = False) -> Array:
        return self.model.reconstruct_views(views_p, quantised)


def _plain(model: ViewModel) -> ViewModel:
    return model.model if isinstance(model, Mirrored) else model


def view_draws(
    models: Mapping[str, ViewModel], samples: int, input_yaw_deg: float, seed: int
) -> tuple[dict[str, Draw], dict[str, str]]:
    """What draws that many samples, by the name of its row, `FORM+sample`; and which forms cannot, and why.

    A case has the same noise in every form and run. A form that is evaluated mirrored, too, draws once.
    """
    import torch

    def draw_of(model: "WorldModel") -> Draw:
        def draw(view_p: Array, number: int) -> Array:
            generator = torch.Generator().manual_seed(1_000 * seed + number)
            return model.imagine(view_p, input_yaw_deg, STANDARD_ARC, generator, samples)

        return draw

    draws: dict[str, Draw] = {}
    cannot: dict[str, str] = {}
    for name, model in models.items():
        form, plain = name.removesuffix(MIRRORED), cast("WorldModel", _plain(model))
        if plain.transition.has_sampler:
            draws[form + SAMPLE] = draw_of(plain)
        else:
            cannot[form + SAMPLE] = "this model was not trained to be sampled from"
    return draws, cannot


def forms_of(source: str | Path) -> list[str]:
    """The forms that a model folder holds."""
    from ..io.model_folder import folder_of, read_config
    from ..models.transitions.registry import forms

    config = read_config(folder_of(source))
    return [form for form in forms() if form in config]


def load_models(source: str | Path, names: Sequence[str] = (), device: str = "cpu") -> dict[str, "WorldModel"]:
    """A world model for each form of the transition, all on the same V; by default each form that the source holds.

    Raises:
        UsageError: there is no such form.
    """
    from ..models.transitions.registry import forms
    from ..models.world_model import WorldModel

    if unknown := [name for name in names if name not in forms()]:
        known = " or ".join(forms())
        raise UsageError(f"there is no model {unknown[0]!r}; choose {known}; `evaluate views` also {known} {MIRRORED}")
    names = names or forms_of(source)
    return {form: WorldModel.from_pretrained(source, form=form, device=device) for form in names}


def view_models(source: str | Path, names: Sequence[str] = (), device: str = "cpu") -> dict[str, ViewModel]:
    """What is evaluated, by name: a form of the transition, or a form and +mirrored; by default as `load_models`."""
    loaded = load_models(source, list(dict.fromkeys(name.removesuffix(MIRRORED) for name in names)), device)
    found: dict[str, ViewModel] = {}
    for name in names or loaded:
        model = loaded[name.removesuffix(MIRRORED)]
        found[name] = Mirrored(model) if name.endswith(MIRRORED) else model
    return found
