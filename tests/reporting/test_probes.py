"""What is written of probes."""

import json
from pathlib import Path

import numpy as np

from xray2xray.evaluation.probes import summarise_probes
from xray2xray.probing.probe import compare_probes, load_probes
from xray2xray.reporting.fragment import _probe_table
from xray2xray.reporting.probes import write_probes


def test_files_and_table(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    heart = [random.integers(0, 2, n) for n in (60, 40)]
    none = [np.zeros(n, int) for n in (60, 40)]
    seen = tuple(random.normal(size=(len(labels), 3)) + 3 * labels[:, None] for labels in heart)
    blind = tuple(random.normal(size=(len(labels), 3)) for labels in heart)
    labels = [{"cardiomegaly": heart[i], "edema": none[i]} for i in (0, 1)]
    comparison = compare_probes({"volumetric": seen, "pixels": blind}, *labels, draws=50)
    result = summarise_probes(comparison, *labels)
    text = write_probes(tmp_path, result)
    assert (tmp_path / "probes.md").read_text() == text
    auroc = result.labels["cardiomegaly"].auroc["volumetric"]
    assert f"| cardiomegaly | {heart[0].sum()} / {heart[1].sum()} | {auroc.value:.3f} [" in text
    assert "| edema | 0 / 0 | – | – | – |" in text
    written = json.loads((tmp_path / "probes.json").read_text())
    assert written["evidence_level"] == "virtual patient"
    assert written["labels"]["edema"]["auroc"] is None
    assert written["labels"]["edema"]["reason"]
    assert load_probes(tmp_path / "probes.npz")["cardiomegaly"].probability(np.zeros((1, 3))).shape == (1,)
    table = _probe_table(written)
    assert table is not None
    assert len(table["rows"]) == 2
