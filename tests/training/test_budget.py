from types import SimpleNamespace

import pytest

from xray2xray.training import budget
from xray2xray.training.loop import LoopConfig, Machine


def test_seconds_are_divided_by_what_a_step_takes(tmp_path, monkeypatch):
    """By a clock of ours a run of one step takes 0.6 s and each further step 0.1 s."""
    now = iter([0.0, 9.0, 10.0, 10.6, 20.0, 21.1])  # one step to warm up, one step, one with five more
    monkeypatch.setattr(budget, "clock", SimpleNamespace(perf_counter=lambda: next(now)))
    monkeypatch.setattr(budget, "fit", lambda *_: None)

    def planned(seconds, resume):
        return budget.planned_steps(seconds, 20, lambda: None, lambda n: LoopConfig(n, 1), Machine(), tmp_path, resume)  # type: ignore

    assert planned(112.0, False) == pytest.approx((112 - 20 * 0.6) / 0.1, abs=1)
    assert planned(9.0, True) == pytest.approx(1000, abs=1)  # as it was planned where the run began
