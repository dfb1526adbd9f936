"""The tables of sharpness in views.md: far and near views, horizontal detail, and samples apart from expected views."""

from collections.abc import Iterator

from ..evaluation.detail import DETAIL_DEG, Measure, SharpnessGroup
from ..evaluation.detail import Sharpness as Found
from ..evaluation.sharpness import BANDS
from .tables import estimate, number, table

DEFINITIONS = (
    "Sharpness is measured on the same scale. Power: spectrum of predicted over true views in dB, in bands of cycles "
    "per picture of 128 pixels (of other sizes the same fractions of Nyquist), behind a Hann window; 0 is as sharp as "
    "the truth. FRC: Fourier ring correlation with the truth, mean over the rings of a band; 1 is the right detail, 0 "
    "any other. GMS: gradient-magnitude similarity. Bone: AUROC of the true scan's bones, as rays pass them, in the "
    "high-passed view. Two-sample: AUROC with which a linear classifier of spectra tells predicted from true far views "
    "of patients it has not learned from; 0.5 is the goal."
)


def sharpness_tables(group: SharpnessGroup, labels: dict[str, str]) -> Iterator[str]:
    """Lines of the tables of one evidence level; `labels` of the rows by name."""
    means = {labels[name]: found for name, found in (group.models | group.baselines).items()}
    samples = {f"*{name}*": found.sharpness for name, found in (group.samples or {}).items()}
    rows = samples | means
    yield from ["#### Sharpness, at least 30 degrees from the input", ""]
    if group.truth_bone_auroc is not None and group.truth_bone_auroc.far is not None:
        yield from [f"Bone in the true views: {estimate(group.truth_bone_auroc.far, '.3f')}.", ""]
    head = ["", *(f"power {band}" for band in BANDS), *(f"FRC {band}" for band in BANDS), "GMS", "bone", "two-sample"]
    yield from table(head, ([name, *_cells(found, "far")] for name, found in rows.items()))
    yield from ["", "#### Sharpness, nearer than 30 degrees", ""]
    yield from table(head[:-1], ([name, *_cells(found, "near")] for name, found in rows.items()))
    yield from ["", "#### Horizontal detail: FRC within 15 degrees of the vertical, 0.12 to 0.25 of Nyquist", ""]
    yield from table(
        ["", *(f"at {deg} degrees" for deg in DETAIL_DEG)],
        (
            [name, *(estimate(found.horizontal_frc_at.get(f"{deg}"), ".3f") for deg in DETAIL_DEG)]
            for name, found in rows.items()
        ),
    )
    yield from ["", "#### Power without a window, far: what earlier tables show, with the steps at the borders", ""]
    yield from table(
        ["", *(f"power {band}" for band in BANDS)],
        ([name, *_values(found.power_db_no_window, "far", "+.1f")] for name, found in rows.items()),
    )
    yield ""
    if group.samples:
        count = next(iter(group.samples.values())).samples
        yield from [f"#### Samples: a single one, and the best of {count}, which knows the truth", ""]
        yield from table(
            ["", "PSNR, far", "PSNR, near", f"best of {count}, far", f"best of {count}, near", "CRPS (p), far", "near"],
            (
                [
                    f"*{name}*",
                    *(estimate(part, ".2f") for part in (found.psnr.far, found.psnr.near)),
                    *(estimate(part, ".2f") for part in (found.psnr_best.far, found.psnr_best.near)),
                    *(_mean(found.crps, where, ".4f") for where in ("far", "near")),
                ]
                for name, found in group.samples.items()
            ),
        )
        yield ""


def _cells(found: Found, where: str) -> Iterator[str]:
    yield from _values(found.power_db, where, "+.1f")
    yield from _values(found.frc, where, ".2f")
    yield _mean(found.gradient_similarity, where, ".3f")
    yield _mean(found.bone_auroc, where, ".3f")
    if where == "far":
        yield estimate(found.two_sample_auroc, ".2f")


def _values(bands: dict[str, Measure], where: str, spec: str) -> Iterator[str]:
    return (_mean(measure, where, spec) for measure in bands.values())


def _mean(measure: Measure | None, where: str, spec: str) -> str:
    found = None if measure is None else getattr(measure, where)
    return number(None if found is None else found.mean, spec)
