"""What `evaluate volume` writes: volume.json, the tables, and planes of the examples."""

from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL.Image import Image

from ..evaluation.metrics import Array
from ..evaluation.results import Estimate
from ..evaluation.volume_table import CEILING, COMPARED, GIVEN, SAMPLE, TRUTH, Example, Group, Row, VolumeResult
from ..evaluation.volumes import TISSUES
from ..statistics.intervals import FEW
from .pictures import contact_sheet, save_picture
from .tables import ADJUSTED, OVER_PATIENTS, estimate, heading, interval, left_out, number, table, write_result

WINDOW_HU = (-1000.0, 400.0)
LABELS = {
    "mean_volume": "`mean_volume`",
    "nearest_case": "`nearest_case`",
    "mean_depth": "`mean_depth`",
    "back_projection": "`back_projection`",
    "os_sart": "`os_sart`",
    CEILING: "*all 37 true views (ceiling)*",
    TRUTH: "*the scan itself (error of the reading)*",
}
PUBLISHED = (
    "Published, by that measure and another protocol (LIDC-IDRI, 916 scans to train and 102 to test, cubes of 320 mm, "
    "128 voxels a side; Ying et al., arXiv 1905.06902, as usually cited): X2CT-GAN 22.30 dB from one view and 26.19 "
    "from two, X2CT-CNN 23.12 and 27.29."
)


def write_volume(out: str | Path, result: VolumeResult) -> str:
    """Write volume.json, volume.md and case-NAME.png; return the tables."""
    out, text = Path(out), volume_markdown(result)
    write_result(out, "volume", result, text)
    for example in result.examples:
        save_picture(out / f"case-{example.name}.png", case_picture(example))
    return text


def volume_markdown(result: VolumeResult) -> str:
    """Tables of each evidence level."""
    yaw = " and ".join(f"{one:g}" for one in GIVEN[result.given])
    first = result.forms[0] if result.forms else None
    lines = [
        f"Given: {result.given} (yaw {yaw} degrees). {result.size}^3 voxels over {result.extent_mm:g} mm about the "
        "isocentre. PSNR over 2,500 HU, 3D SSIM and mean absolute errors inside the true body; Dice of the lungs; "
        f"{OVER_PATIENTS}. A form without a volume of its own is reconstructed from its 37 predicted views "
        f"by OS-SART, as are the true ones. Mean volume and nearest case: {result.cohort}."
        + (" Couches were removed." if result.settings.get("remove_couch") else ""),
        "",
    ]
    for level, group in result.groups.items():
        lines += [f"### {heading(level, group.n)}", "", *_table(group), ""]
        if first is not None:
            lines += [f"`{first}` minus each, paired within each case, {ADJUSTED}:", "", *_gains(group), ""]
        if organs := _named(group, "bias_hu_"):
            lines += ["Organs, HU: mean predicted minus true / mean absolute error.", "", *_organs(group, organs), ""]
        if looked_for := _named(group, "dice_"):
            lines += [
                f"Organs as {result.settings['atlases']} labelled scans, laid over each volume, find them: Dice with "
                "the case's own labels.",
                "",
                *_overlaps(group, looked_for),
                "",
                "Volumes of these organs, mL: found / mean absolute error / correlation with the true ones over cases.",
                "",
                *_volumes(group, looked_for),
                "",
            ]
        if group.coverage:
            lines += ["Voxels inside the central intervals of the samples, %:", "", *coverage_table(group.coverage), ""]
        if group.n < FEW:
            looked = "".join(f" / Dice of the {organ}" for organ in _named(group, "dice_"))
            which = "Each case" if group.n > 1 else "The case"
            lines += [f"{which}, PSNR / SSIM{looked}:", "", *_cases(result, group, level), ""]
        lines += [_footnote(group), ""]
    lines += [f"Not run: {name} ({why})." for name, why in result.refused.items()] + ([""] if result.refused else [])
    return "\n".join(lines + left_out(result.failed))


def _table(group: Group) -> list[str]:
    tissues = [tissue for tissue in TISSUES if f"mae_hu_{tissue}" in _first(group).scores]
    columns = {"psnr": ".2f", "ssim": ".3f", "mae_hu": ".0f", **{f"mae_hu_{t}": ".0f" for t in tissues}}
    columns["lung_dice"] = ".3f"
    head = ["", "PSNR", "SSIM", "MAE, HU", *(f"MAE {tissue}" for tissue in tissues), "lung Dice"]
    rows = (
        [
            _label(name),
            estimate(row.scores["psnr"], ".2f"),
            *(number(row.scores[score].mean, spec) for score, spec in list(columns.items())[1:]),
        ]
        for name, row in group.rows.items()
        if "psnr" in row.scores
    )
    return table(head, rows)


def _gains(group: Group) -> list[str]:
    columns = dict(zip(COMPARED, ("+.2f", "+.3f", "+.0f", "+.3f"), strict=True))
    rows = (
        [_label(name), *(estimate(row.behind_first[score], spec) for score, spec in columns.items())]
        for name, row in group.rows.items()
        if "psnr" in row.behind_first
    )
    return table(["", "PSNR, dB", "SSIM", "MAE, HU", "lung Dice"], rows)


def _organs(group: Group, organs: list[str]) -> list[str]:
    def cell(row: Row, organ: str) -> str:
        bias, error = row.scores[f"bias_hu_{organ}"], row.scores[f"mae_hu_{organ}"]
        return f"{bias.mean:+.0f}{interval(bias.ci95, '+.0f')} / {error.mean:.0f}"

    rows = ([_label(name), *(cell(row, o) for o in organs)] for name, row in group.rows.items() if "psnr" in row.scores)
    return table(["", *organs], rows)


def _overlaps(group: Group, organs: list[str]) -> list[str]:
    """Dice of each row, and of the first form minus each."""
    first = next(iter(group.rows))
    rows = (
        [
            _label(name),
            *(estimate(row.scores.get(f"dice_{organ}"), ".3f") for organ in organs),
            *(estimate(row.behind_first.get(f"dice_{organ}"), "+.3f") for organ in organs),
        ]
        for name, row in group.rows.items()
        if f"dice_{organs[0]}" in row.scores
    )
    return table(["", *organs, *(f"{organ}: {first} minus it" for organ in organs)], rows)


def _volumes(group: Group, organs: list[str]) -> list[str]:
    def cell(row: Row, organ: str) -> str:
        found, error = row.scores[f"ml_{organ}"], row.scores[f"ml_error_{organ}"]
        r = row.ml_r.get(organ)
        return f"{found.mean:.0f} / {estimate(error, '.0f')}" + ("" if r is None else f" / {r:+.2f}")

    rows = [
        [_label(name), *(cell(row, organ) for organ in organs)]
        for name, row in group.rows.items()
        if f"dice_{organs[0]}" in row.scores
    ]
    return table(["", *organs], [*rows, ["the labels", *(f"{_true_ml(group, organ):.0f}" for organ in organs)]])


def _true_ml(group: Group, organ: str) -> float:
    return _first(group).scores[f"true_ml_{organ}"].mean


def _named(group: Group, kind: str) -> list[str]:
    """The organs that have such a score."""
    return [score.removeprefix(kind) for score in _first(group).scores if score.startswith(kind)]


def coverage_table(coverage: Mapping[str, Mapping[str, Estimate]]) -> list[str]:
    """By form and tissue, with intervals over the cases."""
    levels = [name for name in next(iter(coverage.values())) if "_" not in name]

    def cell(found: Estimate, factor: float = 100, spec: str = ".1f") -> str:
        bounds = None if found.ci95 is None else [factor * bound for bound in found.ci95]
        return f"{factor * found.mean:{spec}}{interval(bounds, spec)}"

    rows = []
    for form, found in coverage.items():
        for region in ("", *(f"_{tissue}" for tissue in TISSUES)):
            if measured := [found[level + region] for level in levels if level + region in found]:
                sd = found.get(f"sd_hu{region}")
                spread = "" if sd is None else cell(sd, 1, ".0f")
                rows.append([f"`{form}`, {region[1:] or 'body'}", *map(cell, measured), spread])
    return table(["", *(f"{level} %" for level in levels), "SD, HU"], rows)


def _cases(result: VolumeResult, group: Group, level: str) -> list[str]:
    cases = [one for one in result.cases if one.evidence_level == level]
    measured = {"psnr": ".2f", "ssim": ".3f", **{f"dice_{organ}": ".2f" for organ in _named(group, "dice_")}}

    def cell(scores: Mapping[str, float]) -> str:
        return " / ".join(f"{scores[name]:{spec}}" for name, spec in measured.items() if name in scores)

    rows = ([_label(name), *(cell(one.rows.get(name, {})) for one in cases)] for name in group.rows)
    return table(["", *(one.case for one in cases)], rows)


def _footnote(group: Group) -> str:
    known = {name: row.scores.get("x2ct_compat_psnr") for name, row in group.rows.items()}
    found = (f"{_label(name)} {one.mean:.2f}" for name, one in known.items() if one)
    return (
        "Footnote: PSNR as X2CT-GAN measures it (peak 4,095, air included, mean over slices; it flatters by over 4 dB) "
        f"is {', '.join(found)}. {PUBLISHED} Not comparable: other scans, other cubes."
    )


def _label(name: str) -> str:
    form, sample, _ = name.partition(SAMPLE)
    return LABELS.get(name) or f"**{form}**" + sample


def _first(group: Group) -> Row:
    return next(iter(group.rows.values()))


def case_picture(example: Example) -> Image:
    """Coronal, sagittal and axial plane of truth and rows, side by side, in one window."""
    rows = [(name, [grey(plane) for plane in planes]) for name, planes in _shown(example.planes)]
    return contact_sheet(rows, ["coronal", "sagittal", "axial"])


def grey(hu: Array) -> NDArray[np.uint8]:
    """HU through the one fixed window."""
    low, high = WINDOW_HU
    return np.rint(255 * np.clip((hu - low) / (high - low), 0, 1)).astype(np.uint8)


def _shown(planes: Mapping[str, Array]) -> Iterator[tuple[str, Array]]:
    for name, found in planes.items():
        yield ("37 true views" if name == CEILING else name.replace("_", " ")), found
