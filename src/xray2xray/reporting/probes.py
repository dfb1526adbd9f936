"""What `evaluate probes` writes: probes.json, the table, and probes.npz with the fitted volumetric probes."""

from pathlib import Path

from ..evaluation.probes import ProbesResult, Reading, Value
from ..probing.probe import save_probes
from .tables import ADJUSTED, OVER_PATIENTS, interval, p_value, table, write_result


def write_probes(out: str | Path, result: ProbesResult) -> str:
    """Write probes.json, probes.md and probes.npz; return the table."""
    text = probes_markdown(result)
    write_result(Path(out), "probes", result, text)
    save_probes(Path(out) / "probes.npz", result.probes)
    return text


def probes_markdown(result: ProbesResult) -> str:
    """AUROC of each kind of features, and their paired differences, for each label and on average."""
    pairs = list(result.mean.difference or {})
    rows = [
        [label.replace("_", " "), f"{one.train_positives} / {one.test_positives}", *_cells(one, result.features, pairs)]
        for label, one in result.labels.items()
    ]
    rows.append(["**mean**", "", *_cells(result.mean, result.features, pairs)])
    lines = [
        f"Linear probes on one frontal of {result.n_train} virtual patients, tested on {result.n_test} unseen "
        f"ones: AUROC; {OVER_PATIENTS}; differences are paired by patient, {ADJUSTED}. The findings were "
        "planted: this shows whether they can be recovered, not clinical performance.",
        "",
        *table(["", "positives", *result.features, *pairs], rows),
    ]
    return "\n".join(lines) + "\n"


def _cells(reading: Reading, features: list[str], pairs: list[str]) -> list[str]:
    if reading.auroc is None or reading.difference is None:
        return ["–"] * (len(features) + len(pairs))
    auroc = [_cell(reading.auroc[name], ".3f") for name in features]
    return auroc + [_cell(reading.difference[pair], "+.3f") for pair in pairs]


def _cell(found: Value, spec: str) -> str:
    return f"{found.value:{spec}}{interval(found.ci95, spec)}{p_value(found.p)}"
