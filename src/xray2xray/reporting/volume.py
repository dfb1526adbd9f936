"""What `evaluate volume` writes: volume.json, the tables, and planes of the examples."""

from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL.Image import Image

from ..evaluation.metrics import Array
from ..evaluation.results import Estimate
from ..evaluation.volume_table import CEILING, COMPARED, GIVEN, SAMPLE, Example, Group, Row, VolumeResult
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
        organs = [score.removeprefix("bias_hu_") for score in _first(group).scores if score.startswith("bias_hu_")]
        if organs:
            lines += ["Organs, HU: mean predicted minus true / mean absolute error.", "", *_organs(group, organs), ""]
        if group.coverage:
            lines += ["Voxels of the body inside the central intervals of the samples, %:", "", *_coverage(group), ""]
        if group.n < FEW:
            lines += [f"{'Each case' if group.n > 1 else 'The case'}, PSNR / SSIM:", "", *_cases(result, level), ""]
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
    )
    return table(head, rows)


def _gains(group: Group) -> list[str]:
    columns = dict(zip(COMPARED, ("+.2f", "+.3f", "+.0f", "+.3f"), strict=True))
    rows = (
        [_label(name), *(estimate(row.behind_first[score], spec) for score, spec in columns.items())]
        for name, row in group.rows.items()
        if row.behind_first
    )
    return table(["", "PSNR, dB", "SSIM", "MAE, HU", "lung Dice"], rows)


def _organs(group: Group, organs: list[str]) -> list[str]:
    def cell(row: Row, organ: str) -> str:
        bias, error = row.scores[f"bias_hu_{organ}"], row.scores[f"mae_hu_{organ}"]
        return f"{bias.mean:+.0f}{interval(bias.ci95, '+.0f')} / {error.mean:.0f}"

    rows = ([_label(name), *(cell(row, organ) for organ in organs)] for name, row in group.rows.items())
    return table(["", *organs], rows)


def _coverage(group: Group) -> list[str]:
    levels = list(next(iter(group.coverage.values())))

    def cell(level: str, found: Estimate) -> str:
        return f"{found.mean:.0f} HU" if level == "sd_hu" else f"{100 * found.mean:.1f}"

    rows = ([f"`{form}`", *(cell(level, found[level]) for level in levels)] for form, found in group.coverage.items())
    return table(["", *("SD" if level == "sd_hu" else f"{level} %" for level in levels)], rows)


def _cases(result: VolumeResult, level: str) -> list[str]:
    cases = [one for one in result.cases if one.evidence_level == level]
    rows = (
        [_label(name), *(f"{one.rows[name]['psnr']:.2f} / {one.rows[name]['ssim']:.3f}" for one in cases)]
        for name in cases[0].rows
    )
    return table(["", *(one.case for one in cases)], rows)


def _footnote(group: Group) -> str:
    found = (f"{_label(name)} {row.scores['x2ct_compat_psnr'].mean:.2f}" for name, row in group.rows.items())
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
