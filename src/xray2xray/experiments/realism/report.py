"""The results as Markdown tables."""

from collections.abc import Iterable, Sequence
from typing import Any

from ...reporting import tables

MARGIN = 0.02  # of CTR: the goal for mean and SD


def markdown(results: dict[str, Any]) -> str:
    """All tables of `results`, as realism.json has them."""
    run = results["run"]
    parts = [
        "# Is the virtual cohort like real chests?\n",
        f"{run['pairs']} virtual pairs at {run['size']}^3, {run['radiographs']} radiographs at 128^3, {run['scans']} "
        f"scans at 2 mm; {run['real_pairs']} real pairs, {run['cts']} CTs, {run['masks']} radiographs with masks.\n",
        _hardness(results["hardness"]),
        _tissues(results["tissues"]),
        _shape(results["shape"]),
        _findings(results["findings"]),
        _spectra(results["spectra"]),
    ]
    return "\n".join(parts)


def table(head: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    return "\n".join([*tables.table(head, [[_cell(value) for value in row] for row in rows]), ""])


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    return f"{value:.3f}" if isinstance(value, float) else str(value)


def _hardness(found: dict[str, Any]) -> str:
    scores = {
        "virtual -> virtual": "virtual",
        "real -> real": "real",
        "virtual -> real, over the mean real lateral": "transfer_over_real_mean",
        "virtual -> real, over the mean virtual lateral": "transfer_over_virtual_mean",
        "mean virtual lateral, over the mean real lateral": "virtual_mean_over_real_mean",
    }
    rows = [[name, *(found[key][part] for part in ("r2", "low", "high"))] for name, key in scores.items()]
    views = [
        [
            view,
            *(
                found[key.format(view)]
                for key in ("correlation_of_mean_{}s", "virtual_{}_variance", "real_{}_variance")
            ),
        ]
        for view in ("frontal", "lateral")
    ]
    return (
        "## As hard as reality\n\nR2 of ridge_pca, frontal -> lateral, with a 95 % interval over patients.\n\n"
        + table(("trained -> tested", "R2", "low", "high"), rows)
        + "\nVariance: between patients, of standardised pictures (1 = nothing in common).\n\n"
        + table(("view", "correlation of the means", "variance, virtual", "variance, real"), views)
    )


def _tissues(found: dict[str, Any]) -> str:
    rows = []
    for tissue, sources in found.items():
        for source, row in sources.items():
            if row:
                values = [row[key] for key in ("mean", "sd", "q05", "q50", "q95")]
                span = f"{row['means_05']:.0f} .. {row['means_95']:.0f}" if "means_05" in row else "-"
                rows.append(
                    [tissue, source, *(f"{value:.0f}" for value in values), span, f"{100 * row['share']:.1f} %"]
                )
    head = ("tissue", "scan", "mean HU", "SD", "5 %", "50 %", "95 %", "patients' means, 5 .. 95 %", "of the body")
    return "## Hounsfield units\n\n" + table(head, rows)


def _shape(found: dict[str, Any]) -> str:
    columns = ("n", "mean", "sd", "q05", "q95")
    parts = [
        "## Heart and lungs on a PA radiograph\n",
        f"CTR from the real masks: at most {found['largest_deviation_from_table']:.4f} from the data set's table.\n",
    ]
    for name, groups in found.items():
        if isinstance(groups, dict):
            parts.append(
                table((name.replace("_", " "), *columns), [[g, *(r[c] for c in columns)] for g, r in groups.items()])
            )
    real, virtual = (found["ctr"][key] for key in list(found["ctr"])[:2])
    off = {key: virtual[key] - real[key] for key in ("mean", "sd")}
    verdict = "within" if all(abs(value) <= MARGIN for value in off.values()) else "NOT within"
    parts.append(f"Normal hearts: mean {off['mean']:+.3f}, SD {off['sd']:+.3f}, {verdict} {MARGIN}.\n")
    return "\n".join(parts)


def _findings(found: list[dict[str, Any]]) -> str:
    head = ("odds ratio", "virtual", "ChestX-ray14", "images with both")
    rows = [
        [row["pair"], *(f"{row[key]:.1f}" for key in ("virtual", "real")), row["real_images_with_both"]]
        for row in found
    ]
    return "## Findings that come together\n\n" + table(head, rows)


def _spectra(found: dict[str, Any]) -> str:
    bands = [f"{low} - {high}" for low, high in found["bands_of_nyquist"]]
    rows = [
        [kind, name, *("-" if db is None else f"{db:+.1f}" for db in values)]
        for kind, sources in found["virtual_minus_real_db"].items()
        for name, values in sources.items()
    ]
    head = ("what", "virtual less", *bands)
    return "## Power spectra\n\nDifference in dB over bands of the Nyquist frequency.\n\n" + table(head, rows)
