"""Predicted views: one view is the input, all others are predicted and compared with the truth and the baselines."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np

from ..core.errors import InputError, UsageError
from ..core.seeds import FIRST_TEST_SEED
from ..data.store import ViewStore
from ..projection.geometry import STANDARD_ARC, Geometry
from .baselines import fit_on_store, load_baselines, training_views
from .cases import Case, Source, batches, rendered, sources
from .metrics import DATA_RANGE, P_MAX, Array, unit
from .predictors import Predictor
from .results import NOT_JSON, Failure
from .scoring import CEILINGS, CaseRow, Cohort, Scores, Summary, case_rows, score, stack, summarise

if TYPE_CHECKING:
    from ..models.world_model import WorldModel

MIRRORED = "+mirrored"
UNIT = f"clip(p, 0, {P_MAX:g}) / {P_MAX:g}"

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
    and the examples to draw."""

    input_yaw_deg: float
    data_range: float
    unit: str
    cases: list[CaseRow]
    failed: list[Failure]
    skipped_baselines: dict[str, str]
    settings: Settings
    groups: dict[str, Summary] | None = None
    examples: list[Example] = field(default_factory=list, metadata=NOT_JSON)

    @property
    def by_level(self) -> Mapping[str, Summary]:
        """Evidence level -> summary, also of a single level."""
        return self.groups or {self.cases[0].evidence_level: self}


def evaluate_views(
    ct: Sequence[str | Path] = (),
    procedural: int = 0,
    train: str | Path | None = None,
    *,
    models: Sequence[str] = (),
    input_yaw_deg: float = 0.0,
    source: str | Path = "tiny",
    baselines: str | Path | None = None,
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
        train: view store of the training cohort; needed for `ridge_pca`, and for `knn10` where the input is no frontal.
        models: as in `view_models`; the primary contrast is that of the first.
        input_yaw_deg: which view is given, one of the standard arc.
        source: weights, as in `WorldModel.from_pretrained`.
        baselines: a baselines.npz; the packaged one by default.
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
    bench = open_bench(input_yaw_deg, train, baselines)
    loaded = view_models(source, models, device)
    failed: list[Failure] = []
    cases = rendered(chosen, bench.geometry, failed)
    cohort, examples = evaluate_cases(cases, loaded, bench.predictors, input_yaw_deg, pictures=pictures)
    several = len(cohort.levels) > 1
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
) -> tuple[Cohort, list[Example]]:
    """Score models, V's ceiling and baselines on cases that hold the standard arc, and keep the first for pictures.

    `v_ceiling` is what V makes of the true views, unquantised; no prediction through V can be expected to exceed it.
    `v_ceiling_quantised` is the same through the codebook, for forms that predict tokens.

    Raises:
        InputError: there is no case.
    """
    names: list[str] = []
    levels: list[str] = []
    examples: list[Example] = []
    model_scores: dict[str, list[Scores]] = {}
    baseline_scores: dict[str, list[Scores]] = {}
    input_index = STANDARD_ARC.index(input_yaw_deg)
    for batch in batches(cases, batch_size):
        truth_p = np.stack([case.views_p for case in batch])
        truth = unit(truth_p)
        predicted_p = {
            name: model.imagine(truth_p[:, input_index], input_yaw_deg, STANDARD_ARC) for name, model in models.items()
        }
        for i, case in enumerate(batch):
            if levels.count(case.evidence_level) < pictures:
                of_case = {name: views_p[i] for name, views_p in predicted_p.items()}
                examples.append(Example(case.name, case.evidence_level, case.views_p, of_case))
            names.append(case.name)
            levels.append(case.evidence_level)
        vision = next(iter(models.values()), None)  # every form is built on the same V
        if vision is not None:
            for name, quantised in CEILINGS.items():
                predicted_p[name] = np.stack([vision.reconstruct_views(c.views_p, quantised=quantised) for c in batch])
        for name, views_p in predicted_p.items():
            model_scores.setdefault(name, []).append(score(unit(views_p), truth))
        for name, predictor in predictors.items():
            baseline_scores.setdefault(name, []).append(score(predictor.predict(truth[:, input_index]), truth))
    if not names:
        raise InputError("no case could be evaluated; each is named above with what is wrong")
    cohort = Cohort(
        STANDARD_ARC,
        float(input_yaw_deg),
        names,
        levels,
        {name: stack(parts) for name, parts in model_scores.items()},
        {name: stack(parts) for name, parts in baseline_scores.items()},
    )
    return cohort, examples


# ---------------------------------------------------------------- what is evaluated, and against what


@dataclass(frozen=True)
class Bench:
    """The baselines at hand, how their cohort was rendered, and which are missing and why."""

    geometry: Geometry
    predictors: dict[str, Predictor]
    skipped: dict[str, str]

    def settings(self, source: str | Path, train: str | Path | None, seed: int) -> Settings:
        """What a result was measured with, as it stands beside its numbers."""
        return {
            "source": str(source),
            "train": None if train is None else str(train),
            "seed": seed,
            "first_test_seed": FIRST_TEST_SEED + seed,
            "geometry": self.geometry.name,
            "size": self.geometry.size,
        }


def open_bench(input_yaw_deg: float, train: str | Path | None = None, baselines: str | Path | None = None) -> Bench:
    """Baselines from the training store if one is given, else from a baselines.npz (by default the packaged one)."""
    index = STANDARD_ARC.index(input_yaw_deg)
    if train is not None:
        store = ViewStore.open(train)
        return Bench(store.geometry, fit_on_store(training_views(store), index), {})
    shipped = load_baselines(baselines)
    predictors = shipped.predictors(index)
    skipped = {"ridge_pca": "needs the training views: --train STORE"}
    if "knn10" not in predictors:
        skipped["knn10"] = "only frontals of the training cohort are packaged: --train STORE"
    return Bench(shipped.geometry, predictors, skipped)


@dataclass(frozen=True)
class Mirrored:
    """A world model that predicts twice, also from the mirror image; see `WorldModel.imagine`."""

    model: "WorldModel"

    def imagine(self, view_p: Array, input_yaw_deg: float = 0.0, yaw_deg: Sequence[float] = STANDARD_ARC) -> Array:
        return self.model.imagine(view_p, input_yaw_deg, yaw_deg, mirrored=True)

    def reconstruct_views(self, views_p: Array, quantised: bool = False) -> Array:
        return self.model.reconstruct_views(views_p, quantised)


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
