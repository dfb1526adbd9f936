"""`xray2xray evaluate views`: one view in, all others predicted, compared with the truth and with the baselines."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import as_file, files
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from ..core.errors import InputError, UsageError
from ..core.seeds import FIRST_TEST_SEED
from ..data.store import ViewStore
from ..io.files import atomic_path, write_json, write_text
from ..projection.geometry import STANDARD_ARC, Geometry
from ..reporting.tables import heading, interval, table
from .baselines import Baselines, Predictor, fit_on_store, training_views
from .cases import Case, batches, rendered, sources
from .metrics import DATA_RANGE, P_MAX, Array, unit
from .scoring import Cohort, Scores, case_rows, score, stack, summarise

if TYPE_CHECKING:
    from ..models.world_model import WorldModel

FORMS, MIRRORED = ("direct", "autoregressive"), "+mirrored"
PICTURE_YAW_DEG = (-90.0, -45.0, 0.0, 45.0, 90.0)


class ViewModel(Protocol):
    """The part of `WorldModel` that is evaluated. All views are line integrals p."""

    def imagine(self, view_p: Array, input_yaw_deg: float = 0.0, yaw_deg: Sequence[float] = STANDARD_ARC) -> Array: ...

    def reconstruct_views(self, views_p: Array, quantised: bool = False) -> Array: ...


@dataclass(frozen=True)
class Example:
    """What a picture needs: p (angles, h, w) of the truth and of each model."""

    name: str
    rung: str
    truth_p: Array
    predicted_p: dict[str, Array]


def evaluate_views(
    ct: Sequence[str | Path] = (),
    procedural: int = 0,
    train: str | Path | None = None,
    out: str | Path = "evaluation",
    *,
    models: Sequence[str] = ("direct", "autoregressive"),
    input_yaw_deg: float = 0.0,
    source: str | Path = "tiny",
    baselines: str | Path | None = None,
    seed: int = 0,
    device: str = "cpu",
    series: str | None = None,
    remove_couch: bool = False,
    pictures: int = 4,
) -> dict[str, Any]:
    """Evaluate the predicted views of real CTs and of virtual patients that no training has seen.

    Writes views.json, views.md, views.png (error per angle) and one picture for each of the first cases of a kind, and
    prints the table. A scan that cannot be used is listed under `failed` and does not stop the others.

    Args:
        ct: chest CTs: NIfTI files, DICOM folders or zips; a folder of NIfTI files means each of them.
        procedural: number of virtual patients, seeds from 1,000,000 + `seed`.
        train: view store of the training cohort; needed for `ridge_pca`, and for `knn10` where the input is no frontal.
        out: output folder, made if missing.
        models: forms of the transition model; with +mirrored behind it a form imagines from the mirror image, too.
        input_yaw_deg: which view is given, one of the standard arc.
        source: weights, as in `WorldModel.from_pretrained`.
        baselines: a baselines.npz; the packaged one by default.
        seed: offset of the virtual patients, and the seed of the bootstrap.
        remove_couch: see `cases.sources`.
        pictures: cases of each kind to draw.

    Returns:
        the content of views.json.

    Raises:
        UsageError: nothing to evaluate, or an input angle that is not on the arc.
        InputError: no case could be used.
    """
    chosen = list(sources(ct, procedural, seed, series, remove_couch))
    if not chosen:
        raise UsageError("nothing to evaluate: name chest CTs or give --procedural N")
    if input_yaw_deg not in STANDARD_ARC:
        raise UsageError(f"--input-yaw-deg {input_yaw_deg:g} is not on the standard arc (-90 to 90 in steps of 5)")
    bench = open_bench(input_yaw_deg, train, baselines)
    loaded = view_models(source, models, device)
    failed: list[dict[str, str]] = []
    cases = rendered(chosen, bench.geometry, failed)
    cohort, examples = evaluate_cases(cases, loaded, bench.predictors, input_yaw_deg, pictures=pictures)

    result: dict[str, Any] = {
        **summarise(cohort, seed),
        "input_yaw_deg": float(input_yaw_deg),
        "data_range": DATA_RANGE,
        "unit": f"clip(p, 0, {P_MAX:g}) / {P_MAX:g}",
        "cases": case_rows(cohort),
        "failed": failed,
        "skipped_baselines": bench.skipped,
        "settings": {**bench.settings(source, train, seed), "remove_couch": remove_couch},
    }
    rungs = sorted(set(cohort.rungs), reverse=True)
    if len(rungs) > 1:
        result["groups"] = {rung: summarise(cohort.only(rung), seed) for rung in rungs}
    _write(Path(out), result, cohort, examples)
    return result


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

    `v_ceiling` is what V makes of the true views, unquantised as `direct` decodes; no prediction through V can be
    expected to beat it. `v_ceiling_quantised` is the same through the codebook, as `autoregressive` decodes.

    Raises:
        InputError: there is no case.
    """
    names: list[str] = []
    rungs: list[str] = []
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
            if rungs.count(case.rung) < pictures:
                of_case = {name: views_p[i] for name, views_p in predicted_p.items()}
                examples.append(Example(case.name, case.rung, case.views_p, of_case))
            names.append(case.name)
            rungs.append(case.rung)
        vision = next(iter(models.values()), None)  # every form is built on the same V
        if vision is not None:
            for name, quantised in (("v_ceiling", False), ("v_ceiling_quantised", True)):
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
        rungs,
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

    def settings(self, source: str | Path, train: str | Path | None, seed: int) -> dict[str, Any]:
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


def load_baselines(path: str | Path | None = None) -> Baselines:
    """A baselines.npz, by default the packaged one."""
    if path is not None:
        return Baselines.load(path)
    with as_file(files("xray2xray") / "weights" / "baselines.npz") as packaged:
        return Baselines.load(packaged)


@dataclass(frozen=True)
class Mirrored:
    """A world model that imagines twice, also from the mirror image; see `WorldModel.imagine`."""

    model: "WorldModel"

    def imagine(self, view_p: Array, input_yaw_deg: float = 0.0, yaw_deg: Sequence[float] = STANDARD_ARC) -> Array:
        return self.model.imagine(view_p, input_yaw_deg, yaw_deg, mirrored=True)

    def reconstruct_views(self, views_p: Array, quantised: bool = False) -> Array:
        return self.model.reconstruct_views(views_p, quantised)


def load_models(source: str | Path, forms: Sequence[str], device: str = "cpu") -> dict[str, "WorldModel"]:
    """A world model for each form of the transition, all on the same V."""
    from ..models.world_model import WorldModel

    return {form: WorldModel.from_pretrained(source, form=form, device=device) for form in forms}


def view_models(source: str | Path, names: Sequence[str], device: str = "cpu") -> dict[str, ViewModel]:
    """What is evaluated, by name: a form of the transition, or a form and +mirrored."""
    if unknown := [name for name in names if name.removesuffix(MIRRORED) not in FORMS]:
        raise UsageError(f"there is no model {unknown[0]!r}; choose {' or '.join(FORMS)}, or either and {MIRRORED}")
    loaded = load_models(source, list(dict.fromkeys(name.removesuffix(MIRRORED) for name in names)), device)
    found: dict[str, ViewModel] = {}
    for name in names:
        model = loaded[name.removesuffix(MIRRORED)]
        found[name] = Mirrored(model) if name.endswith(MIRRORED) else model
    return found


# ---------------------------------------------------------------- what is written


def _write(out: Path, result: dict[str, Any], cohort: Cohort, examples: Sequence[Example]) -> None:
    from ..reporting.pictures import case_picture, metric_curves

    out.mkdir(parents=True, exist_ok=True)
    write_json(out / "views.json", result)
    text = markdown(result)
    write_text(out / "views.md", text)
    metric_curves(out / "views.png", result)
    input_yaw_deg = cohort.input_yaw_deg
    shown = sorted({*PICTURE_YAW_DEG, input_yaw_deg})
    for example in examples:
        at = [STANDARD_ARC.index(yaw) for yaw in shown]
        predicted = {name: views[at] for name, views in example.predicted_p.items()}
        picture = case_picture(example.truth_p[at], predicted, shown, input_yaw_deg)
        with atomic_path(out / f"case-{example.name}.png") as temporary:
            picture.save(temporary)
    print(text)


_LABELS = {
    "direct": "**direct**",
    "autoregressive": "**autoregressive**",
    "v_ceiling": "V on the truth (ceiling)",
    "v_ceiling_quantised": "V on the truth, quantised",
}


def markdown(result: Mapping[str, Any]) -> str:
    """views.json as tables to read: one for each rung of the evidence ladder, or one for all."""
    lines = [
        f"Input view at {result['input_yaw_deg']:g} degrees; the input angle is left out. PSNR (dB) and SSIM on "
        f"{result['unit']}, data range 1; R2 = 1 - MSE / MSE(mean view) with a 95 % patient-bootstrap interval; "
        "far = at least 30 degrees from the input."
        + (" Couches were removed." if result.get("settings", {}).get("remove_couch") else ""),
        "",
    ]
    rungs = sorted({row["rung"] for row in result["cases"]}, reverse=True)
    groups = result.get("groups") or {rungs[0]: result}
    for rung, group in groups.items():
        lines += [f"### {heading(rung, group['n'])}", "", *_table(group), ""]
        if "contrast" in group:
            contrast = group["contrast"]
            bounds = interval(contrast["ci95"], ".2f")
            lines += [f"Primary contrast, {contrast['name']}: {contrast['mean']:+.2f} dB{bounds}.", ""]
        lines += [*_gains(group), ""]
    if result["skipped_baselines"]:
        lines += [f"Not run: {name} ({why})." for name, why in result["skipped_baselines"].items()] + [""]
    if result["failed"]:
        lines += ["Left out:", ""] + [f"- {row['case']}: {row['reason']}" for row in result["failed"]] + [""]
    return "\n".join(lines)


def _gains(group: Mapping[str, Any]) -> list[str]:
    """What every model has more than the best baseline, far."""
    gains = group.get("over_best", {}).items()
    said = [f"`{name}` {gain['mean']:+.2f}{interval(gain['ci95'], '.2f')}" for name, gain in gains]
    return [f"Minus best, PSNR far: {', '.join(said)}."] if said else []


def _table(group: Mapping[str, Any]) -> list[str]:
    head = ["", "PSNR", "PSNR far", "SSIM", "SSIM far", "R2", "R2 far"]
    rows = []
    for name, block in [*group["models"].items(), *group["baselines"].items()]:
        psnr, ssim, r2 = block["psnr"], block["ssim"], block["r2"]
        cells = [
            _LABELS.get(name, f"`{name}`"),
            f"{psnr['mean']:.2f} ± {psnr['sd']:.2f}",
            f"{psnr['mean_beyond_30']:.2f}",
            f"{ssim['mean']:.3f} ± {ssim['sd']:.3f}",
            f"{ssim['mean_beyond_30']:.3f}",
            f"{r2['mean']:.2f}{interval(r2['ci95'], '.2f')}",
            f"{r2['mean_beyond_30']:.2f}{interval(r2['ci95_beyond_30'], '.2f')}",
        ]
        rows.append(cells)
    return table(head, rows)
