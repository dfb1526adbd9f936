"""The growing table of features: whole after any interruption, never more in memory than it is given."""

import json
from pathlib import Path

import numpy as np
import pytest

from xray2xray.core.errors import UsageError
from xray2xray.io.npz import read_npz
from xray2xray.session.embedding import GrowingTable

SETTINGS = {"kind": "vision", "depth": None}


@pytest.mark.parametrize("ending", [".npz", ".csv"])
@pytest.mark.parametrize("lost", ["nothing", "a name", "half a row"])
def test_an_interrupted_table_goes_on(tmp_path: Path, ending: str, lost: str) -> None:
    out, x = tmp_path / f"f{ending}", np.random.default_rng(0).normal(size=(7, 3)).astype(np.float32)
    names = [f"s{i}" for i in range(7)]
    GrowingTable(out, SETTINGS, anew=False).append(names[:4], x[:4])
    partial = tmp_path / f"f{ending}.partial"
    if lost == "a name":
        (partial / "studies.txt").write_text("s0\ns1\ns2\ns")
    if lost == "half a row":
        (partial / "features.f32").write_bytes(x[:4].tobytes()[:-5])
    table = GrowingTable(out, SETTINGS, anew=False)
    there = len(table.studies)
    assert there == (4 if lost == "nothing" else 3)
    table.append(names[there:], x[there:])
    assert table.finish() == 3
    assert not partial.exists()
    if ending == ".npz":
        arrays = read_npz(out)
        assert arrays["study"].tolist() == names
        np.testing.assert_array_equal(arrays["features"], x)
        assert json.loads(str(arrays["settings"])) == SETTINGS
    else:
        lines = out.read_text().splitlines()
        assert lines[0] == "study,vision_0,vision_1,vision_2"
        assert [line.split(",")[0] for line in lines[1:]] == names
        np.testing.assert_array_equal([[float(v) for v in line.split(",")[1:]] for line in lines[1:]], x)


def test_other_settings_do_not_go_on(tmp_path: Path) -> None:
    out = tmp_path / "f.npz"
    GrowingTable(out, SETTINGS, anew=False).append(["a"], np.zeros((1, 2)))
    with pytest.raises(UsageError, match="other settings"):
        GrowingTable(out, {**SETTINGS, "depth": 1}, anew=False)
    assert GrowingTable(out, {**SETTINGS, "depth": 1}, anew=True).studies == []
