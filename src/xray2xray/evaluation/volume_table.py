"""Volumes from one view or two, compared with the scan and with what needs no network."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray

from ..core.errors import InputError, UsageError
from ..core.seeds import FIRST_TEST_SEED
from ..projection.geometry import NAMED_VIEWS, STANDARD_ARC, Geometry
from ..projection.render import render
from ..reconstruction.reconstruct import EXTENT_MM
from ..statistics.ensembles import central_interval
from ..volume.chest import Chest
from ..volume.nifti import read_nifti
from ..volume.volume import Volume
from .atlas import SIDE, Atlas, find_organs, is_of
from .cases import Source, each, sources
from .metrics import Array
from .results import NOT_JSON, Estimate, Failure, contrasts
from .seen import watched
from .spread import LEVELS
from .views import Settings, load_models, named_cases
from .volume_rows import (
    Given,
    TrainingCohort,
    back_projection,
    empty_grid,
    from_views,
    mean_depth,
    predicted_volume,
    sampled_volumes,
    training_cohort,
)
from .volumes import dice, organ_errors, regions, resample, resample_labels, volume_scores, x2ct_compat

if TYPE_CHECKING:
    from ..models.world_model import WorldModel

GIVEN = {"frontal": (0.0,), "frontal+lateral": (0.0, NAMED_VIEWS["left_lateral"])}
"""The yaw of the views that are given."""
CEILING = "true_views"
TRUTH = "true_volume"  # of which organs alone are scored: what is lost where nothing was imagined
READ = ("mean_volume", "nearest_case")  # beside the forms and the truth, the rows in which organs are looked for
SAMPLE = ": a sample"  # behind the name of a form

Scores = dict[str, float]
"""`psnr`, `ssim`, `mae_hu`, `mae_hu_TISSUE`, `lung_dice`, `x2ct_compat_psnr`, `bias_hu_ORGAN` and `mae_hu_ORGAN`;
`dice_ORGAN`, `ml_ORGAN`, `true_ml_ORGAN` and `ml_error_ORGAN` of an organ that is looked for (see `organ_scores`)."""
COMPARED = ("psnr", "ssim", "mae_hu", "lung_dice")
"""The scores that forms are compared by: p is adjusted for all of these, of all rows."""
Keep = Callable[[str, Volume], None]
"""Takes the name of a file without its ending, and a volume in the coordinates of the scan."""


@dataclass(frozen=True, eq=False)
class VolumeCase:
    """One patient: all views of the standard arc, and the scan on the grid of the predictions.

    `labels` are organs by number on that grid, zeros where the scan has none; `isocentre_mm` is that of the scan.
    """

    name: str
    evidence_level: str
    views_p: Array
    truth: Chest
    labels: NDArray[np.uint8]
    isocentre_mm: Array

    def given(self, yaw_deg: tuple[float, ...], geometry: Geometry) -> Given:
        return Given(self.views_p[[STANDARD_ARC.index(yaw) for yaw in yaw_deg]], yaw_deg, geometry)


@dataclass(frozen=True)
class CaseRow:
    """One case: the scores of every row."""

    case: str
    evidence_level: str
    rows: dict[str, Scores]
    coverage: dict[str, Scores]


@dataclass(frozen=True)
class Row:
    """One row of a table: every score as a mean over the cases that have it, and `behind_first`: the first form minus
    this row, paired within each case; empty for the first form itself. `ml_r`: the correlation of found and true volume
    of an organ over the cases, where there are three."""

    scores: dict[str, Estimate]
    behind_first: dict[str, Estimate]
    ml_r: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Group:
    """The cases of one evidence level. `coverage`, by form: see `covered`."""

    n: int
    rows: dict[str, Row]
    coverage: dict[str, dict[str, Estimate]]


@dataclass(frozen=True)
class Example:
    """What a picture needs: HU planes through the isocentre of every row, (3, size, size), coronal first; head up."""

    name: str
    evidence_level: str
    planes: dict[str, Array]


@dataclass(frozen=True, kw_only=True)
class VolumeResult:
    """The content of volume.json. `refused`: forms that do not take the given views, or have no samples."""

    given: str
    size: int
    extent_mm: float
    forms: list[str]
    cohort: str
    groups: dict[str, Group]
    cases: list[CaseRow]
    failed: list[Failure]
    refused: dict[str, str]
    settings: Settings
    examples: list[Example] = field(default_factory=list, metadata=NOT_JSON)


def evaluate_volume(
    ct: Sequence[str | Path] = (),
    procedural: int = 0,
    train: str | Path | None = None,
    *,
    given: str = "frontal",
    models: Sequence[str] = (),
    size: int = 128,
    samples: int = 0,
    labels: str | Path | None = None,
    organs: Sequence[str] = (),
    atlases: Sequence[str | Path] = (),
    source: str | Path = "tiny",
    seed: int = 0,
    device: str = "cpu",
    series: str | None = None,
    remove_couch: bool = False,
    pictures: int = 4,
    keep: Keep | None = None,
) -> VolumeResult:
    """Compare volumes of real CTs, and of virtual patients that no training has seen, with the truth.

    A scan that cannot be used is listed under `failed` and does not stop the others.

    Args:
        ct, procedural, source, seed, series, remove_couch, pictures: as in `views.evaluate_views`.
        train: view store of the training cohort, for mean volume and nearest case; see `training_cohort`.
        given: one of `GIVEN`.
        models: forms of M, by default all that the source has.
        size: voxels along each edge of the cube of 384 mm.
        samples: volumes to draw from each form.
        labels: folder of NIfTI label maps (see `label_file`), on any grid.
        organs: names of the labels 1, 2, and so on; see `volumes.organ_errors`. Those that are named are also looked
            for in each volume.
        atlases: scans with labels by which they are found (see `atlas.find_organs`), by default `ct`; the case itself
            is left out.
        keep: gets the volume of each form, or mean and SD of its samples.

    Raises:
        UsageError: nothing to evaluate, or atlases without labels and organs.
        InputError: no case could be used, or none of the scans has labels where a folder of them is given.
    """
    chosen = named_cases(ct, procedural, seed, series, remove_couch)
    if atlases and not (labels and organs):
        raise UsageError("--atlases have a use only with --labels FOLDER and the names of the --organs to look for")
    others = list(sources(atlases, without_couch=remove_couch)) if atlases else chosen
    found = _labelled(labels, chosen)
    known = labelled_atlases(others, _labelled(labels, others), len(organs)) if found and organs else []
    cohort = training_cohort(train, source)
    methods = simple_rows(cohort, size)
    loaded = load_models(source, models, device)
    forms = list(loaded)
    refused: dict[str, str] = {}
    failed: list[Failure] = []
    rows: list[CaseRow] = []
    examples: list[Example] = []
    make = partial(volume_case, geometry=cohort.geometry, size=size, label_files=found)
    for number, case in enumerate(watched(each(chosen, make, failed), [] if train is None else [train])):
        view = case.given(GIVEN[given], cohort.geometry)
        volumes: dict[str, Volume] = {}
        coverage: dict[str, Scores] = {}
        for form, model in loaded.items():
            expected, drawn = of_form(form, model, view, size, samples, 1000 * seed + number, refused)
            if expected is None:
                continue
            volumes[form] = expected
            if drawn:
                volumes[form + SAMPLE] = drawn[0]
                coverage[form] = covered(drawn, case.truth)
            if keep is not None:
                for name, volume in kept(expected, drawn).items():
                    keep(f"{case.name}-{form}{name}", in_patient(volume, case.isocentre_mm))
        volumes |= {name: method(view) for name, method in methods.items()}
        volumes[CEILING] = from_views(case.views_p, STANDARD_ARC, cohort.geometry, size)
        scored = {name: scores(volume, case, organs) for name, volume in volumes.items()}
        if case.labels.any() and (unlike := [atlas for atlas in known if not is_of(atlas, case.name, case.truth)]):
            for name, volume in {**volumes, TRUTH: case.truth}.items():
                if name.removesuffix(SAMPLE) in (*forms, *READ, TRUTH):
                    masks = find_organs(volume, unlike)
                    scored[name] = scored.get(name, {}) | organ_scores(masks, case.labels, organs, volume)
        rows.append(CaseRow(case.name, case.evidence_level, scored, coverage))
        if sum(one.evidence_level == case.evidence_level for one in examples) < pictures:
            shown = {"truth": case.truth, **volumes}
            planes = {name: middle_planes(volume) for name, volume in shown.items()}
            examples.append(Example(case.name, case.evidence_level, planes))
    if not rows:
        raise InputError("no case could be evaluated; each is named above with what is wrong")
    levels = sorted({one.evidence_level for one in rows}, reverse=True)  # virtual patients first
    return VolumeResult(
        given=given,
        size=size,
        extent_mm=EXTENT_MM,
        forms=[form for form in forms if form not in refused],
        cohort=cohort.described,
        groups={level: summarise([one for one in rows if one.evidence_level == level], seed) for level in levels},
        cases=rows,
        failed=failed,
        refused=refused,
        settings={
            "source": str(source),
            "train": None if train is None else str(train),
            "seed": seed,
            "first_test_seed": FIRST_TEST_SEED + seed,
            "geometry": cohort.geometry.name,
            "view_size": cohort.geometry.size,
            "remove_couch": remove_couch,
            "samples": samples,
            "atlases": len(known),
        },
        examples=examples,
    )


# ---------------------------------------------------------------- one case


def simple_rows(cohort: TrainingCohort, size: int) -> dict[str, Callable[[Given], Volume]]:
    """What needs no network, by name."""
    mean = cohort.mean_volume(size)
    return {
        "mean_volume": lambda _: mean,
        "nearest_case": lambda given: cohort.nearest_case(given, size),
        "mean_depth": lambda given: mean_depth(given, mean),
        "back_projection": lambda given: back_projection(given, size),
        "os_sart": lambda given: from_views(given.views_p, given.yaw_deg, given.geometry, size),
    }


def of_form(
    form: str, model: "WorldModel", given: Given, size: int, samples: int, seed: int, refused: dict[str, str]
) -> tuple[Volume | None, list[Volume]]:
    """The expected volume of a form and its samples; what it refuses is noted in `refused`, and not tried again."""
    if form in refused:
        return None, []
    try:
        state = model.observe(list(zip(given.views_p, given.yaw_deg, strict=True)))
        expected = predicted_volume(model, state, given.geometry, size)
    except UsageError as error:
        refused[form] = str(error)
        return None, []
    if not samples or form + SAMPLE in refused:
        return expected, []
    try:
        generator = torch.Generator().manual_seed(seed)
        return expected, sampled_volumes(model, state, given.geometry, size, samples, generator)
    except UsageError as error:
        refused[form + SAMPLE] = str(error)
        return expected, []


def volume_case(source: Source, geometry: Geometry, size: int, label_files: Mapping[str, Path]) -> VolumeCase:
    """Read or make the scan of a case, render its views, and put scan and labels on the grid."""
    chest, grid = Chest.of(source.volume()), empty_grid(size)
    labels = np.zeros(grid.shape, np.uint8)
    if source.name in label_files:
        labels = resample_labels(read_labels(label_files[source.name]), grid, chest.isocentre_mm)
    return VolumeCase(
        source.name,
        source.evidence_level,
        render(chest, geometry, STANDARD_ARC),
        Chest.of(resample(chest, grid, chest.isocentre_mm)),
        labels,
        chest.isocentre_mm,
    )


def _labelled(labels: str | Path | None, chosen: Sequence[Source]) -> dict[str, Path]:
    """The label maps of the scans that have one, by name.

    Raises:
        InputError: there is a folder of them, and none is of these scans.
    """
    if labels is None:
        return {}
    found = {one.name: path for one in chosen if (path := label_file(Path(labels), one.name))}
    if not found:
        raise InputError(f"{labels} has labels of none of the scans; they are called as the scan, or NAME_labels")
    return found


def labelled_atlases(chosen: Sequence[Source], label_files: Mapping[str, Path], organs: int) -> list[Atlas]:
    """Scans with their labels as atlases; one that cannot be used is left out with a warning."""
    grid = empty_grid(2 * SIDE)  # twice as fine: an atlas has the mean over each of its voxels

    def atlas(source: Source) -> Atlas:
        chest = Chest.of(source.volume())
        labels = resample_labels(read_labels(label_files[source.name]), grid, chest.isocentre_mm)
        return Atlas.of(source.name, resample(chest, grid, chest.isocentre_mm), labels, organs)

    return list(each([one for one in chosen if one.name in label_files], atlas, [], "atlases"))


def label_file(folder: Path, name: str) -> Path | None:
    """The label map of a scan: NAME.nii.gz, or rather a file with `_labels` or `_tissue` anywhere in that name."""
    found = {path.name.removesuffix(".gz").removesuffix(".nii"): path for path in sorted(folder.glob("*.nii*"))}
    for mark in ("_labels", "_tissue", ""):
        for stem, path in found.items():
            if mark in stem and stem.replace(mark, "") == name:
                return path
    return None


def read_labels(path: Path) -> Volume:
    """A label map, its numbers in place of HU.

    Raises:
        InputError: values that are no label numbers, or no NIfTI file.
    """
    labels = read_nifti(path)
    if labels.hu.min() < 0 or labels.hu.max() > 255 or (labels.hu % 1).any():
        raise InputError(f"{path}: label maps hold whole numbers from 0 to 255; this looks like a scan")
    return labels


def scores(predicted: Volume, case: VolumeCase, organs: Sequence[str]) -> Scores:
    """The scores of one volume, flat."""
    found = volume_scores(predicted, case.truth)
    tissues = found.pop("mae_hu_by_tissue")
    reached = case.truth.body.any(axis=(0, 1))  # X2CT's scans fill their cubes; slices of air would count 100 dB
    if reached.any():
        found["x2ct_compat_psnr"] = x2ct_compat(predicted.hu[:, :, reached], case.truth.hu[:, :, reached])
    by_organ = organ_errors(predicted, case.truth, case.labels, organs)
    return {
        **found,
        **{f"mae_hu_{tissue}": error for tissue, error in tissues.items()},
        **{f"{kind}_{organ}": error for organ, errors in by_organ.items() for kind, error in errors.items()},
    }


def organ_scores(found: NDArray[np.bool_], labels: NDArray[np.uint8], names: Sequence[str], grid: Volume) -> Scores:
    """Of each organ that is in the labels: overlap with what was found, both volumes in mL, and how far they differ."""
    millilitres = float(np.prod(grid.spacing_mm)) / 1000
    measured: Scores = {}
    for number, (name, mask) in enumerate(zip(names, found, strict=True), 1):
        truth = labels == number
        if truth.any():
            ml, true_ml = millilitres * mask.sum(), millilitres * truth.sum()
            measured |= {f"dice_{name}": dice(mask, truth), f"ml_{name}": float(ml), f"true_ml_{name}": float(true_ml)}
            measured[f"ml_error_{name}"] = abs(float(ml - true_ml))
    return measured


def covered(drawn: Sequence[Volume], truth: Chest) -> Scores:
    """How many voxels lie in the central intervals of samples, by the level in %, and their mean SD, `sd_hu`.

    Of the body, and of each tissue in it, whose keys end in `_TISSUE`. Only levels that so many samples can show: 95 %
    needs 39 of them.
    """
    body, *tissues = regions(truth).items()
    inside, hu = body[1], np.stack([volume.hu[body[1]] for volume in drawn])
    of_region = {"": np.ones(hu.shape[1], bool), **{f"_{name}": here[inside] for name, here in tissues}}
    found: Scores = {}
    if len(drawn) > 1:
        sd = hu.std(axis=0, ddof=1)
        found |= {f"sd_hu{end}": float(sd[here].mean()) for end, here in of_region.items()}
    for level in LEVELS:
        if len(drawn) + 1 >= 2 / (1 - level) - 1e-6:
            low, high = central_interval(hu, level)
            met = (low <= truth.hu[inside]) & (truth.hu[inside] <= high)
            found |= {f"{100 * level:g}{end}": float(met[here].mean()) for end, here in of_region.items()}
    return found


def kept(expected: Volume, drawn: Sequence[Volume]) -> dict[str, Volume]:
    """What is worth a file, by the end of its name: the expected volume, mean and SD of samples, and one of them."""
    if not drawn:
        return {"": expected}
    hu = np.stack([volume.hu for volume in drawn])
    volumes = {"": expected, "-sample": drawn[0], "-mean": Volume(hu.mean(axis=0), expected.affine)}
    if len(drawn) > 1:
        volumes["-sd"] = Volume(hu.std(axis=0, ddof=1), expected.affine)
    return volumes


def in_patient(volume: Volume, isocentre_mm: Array) -> Volume:
    """The volume where the patient's isocentre is in the scan."""
    affine = volume.affine.copy()
    affine[:3, 3] += isocentre_mm
    return Volume(volume.hu, affine, volume.source)


def middle_planes(volume: Volume) -> Array:
    """HU (3, size, size) of the coronal, sagittal and axial plane through the isocentre.

    Head and front are up, the patient's right is on the left; in the sagittal plane the front is on the right.
    """
    middle = volume.shape[0] // 2
    coronal, sagittal, axial = volume.hu[::-1, middle], volume.hu[middle], volume.hu[::-1, :, middle]
    return np.stack([plane.T[::-1] for plane in (coronal, sagittal, axial)])


# ---------------------------------------------------------------- a cohort


def summarise(rows: Sequence[CaseRow], seed: int = 0) -> Group:
    """Means over the cases of an evidence level, with 95 % intervals over them; `seed` of the bootstrap."""

    def values(row: str, score: str) -> Array:
        return np.array([one.rows.get(row, {}).get(score, np.nan) for one in rows])

    def estimates(found: Mapping[str, Array]) -> dict[str, Estimate]:
        known = {score: of_cases[np.isfinite(of_cases)] for score, of_cases in found.items()}
        return {score: Estimate.of(of_cases, seed) for score, of_cases in known.items() if len(of_cases)}

    names = list(dict.fromkeys(name for one in rows for name in one.rows))
    measured = list(dict.fromkeys(score for one in rows for score in one.rows[names[0]]))
    apart = {(name, score): values(names[0], score) - values(name, score) for name in names[1:] for score in measured}
    known = {key: of_cases[np.isfinite(of_cases)] for key, of_cases in apart.items()}
    known = {key: of_cases for key, of_cases in known.items() if len(of_cases)}
    tested = contrasts({key: of_cases for key, of_cases in known.items() if key[1] in COMPARED}, seed)
    behind = {key: tested[key] if key in tested else Estimate.of(of_cases, seed) for key, of_cases in known.items()}
    table = {
        name: Row(
            estimates({score: values(name, score) for score in measured}),
            {score: behind[name, score] for score in measured if (name, score) in behind},
            _correlations(values, name, [score[8:] for score in measured if score.startswith("true_ml_")]),
        )
        for name in names
    }
    coverage = {form: mean_coverage([one.coverage[form] for one in rows], seed) for form in rows[0].coverage}
    return Group(len(rows), table, coverage)


def mean_coverage(cases: Sequence[Scores], seed: int = 0) -> dict[str, Estimate]:
    """Each number of `covered`, over the cases that have it."""
    names = dict.fromkeys(name for one in cases for name in one)
    return {name: Estimate.of(np.array([one[name] for one in cases if name in one]), seed) for name in names}


def _correlations(values: Callable[[str, str], Array], row: str, organs: Sequence[str]) -> dict[str, float]:
    """Of found and true volume over the cases, for organs of three cases and more."""
    found = {}
    for organ in organs:
        pairs = np.stack([values(row, f"ml_{organ}"), values(row, f"true_ml_{organ}")])
        pairs = pairs[:, np.isfinite(pairs).all(axis=0)]
        if pairs.shape[1] > 2 and pairs.std(axis=1).all():
            found[organ] = float(np.corrcoef(pairs)[0, 1])
    return found
