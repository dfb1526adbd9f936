from types import SimpleNamespace

import pytest
import torch

from xray2xray.experiments import budget
from xray2xray.training.loop import LoopConfig, Machine


def test_seconds_are_divided_by_what_a_step_takes(tmp_path, monkeypatch):
    """By a clock of ours a look with its step takes 0.6 s and each further step 0.1 s."""
    now = iter([0.0, 9.0, 10.0, 10.6, 20.0, 20.1, 20.2, 20.3, 20.4, 20.5])  # a look to warm up, a look, five steps
    monkeypatch.setattr(budget, "clock", SimpleNamespace(perf_counter=lambda: next(now)))
    monkeypatch.setattr(budget, "fit", lambda *_: None)
    monkeypatch.setattr(budget, "Steps", lambda *_: lambda step: {"loss": torch.tensor(1.0)})

    def planned(seconds, resume):
        return budget.plan(seconds, 20, lambda: None, lambda p: LoopConfig(p.steps, 1), Machine(), tmp_path, resume)  # type: ignore

    assert planned(112.0, False).steps == pytest.approx((112 - 20 * 0.6) / 0.1, abs=1)
    assert planned(112.0, True).check_every == 50
    assert planned(9.0, True).steps == pytest.approx(1000, abs=1)  # as it was planned where the run began


def test_short_steps_are_timed_by_the_many(tmp_path, monkeypatch):
    """A GPU's steps of 1 ms, beside a look whose time varies by more than five of them."""
    clock = SimpleNamespace(now=0.0)
    monkeypatch.setattr(budget, "clock", SimpleNamespace(perf_counter=lambda: clock.now))
    looks = iter([9.0, 2.0])

    def look(*_):
        clock.now += next(looks)

    def step(number):
        taken.append(number)
        clock.now += 1e-3 if number else 5.0  # the first is slow, and counts nowhere
        return {}

    taken: list[int] = []
    monkeypatch.setattr(budget, "fit", look)
    monkeypatch.setattr(budget, "Steps", lambda *_: step)
    found = budget.plan(100, 5, lambda: None, lambda p: LoopConfig(p.steps, 1), Machine(), tmp_path, False)  # type: ignore
    assert found.steps == pytest.approx((100 - 5 * 2.0) / 1e-3, rel=1e-3)
    assert taken == list(range(len(taken)))
    assert len(taken) == pytest.approx(budget.TRIAL_S / 1e-3, abs=3)


@pytest.mark.parametrize(("look_s", "looks"), [(0.1, 20), (2.0, 10), (50.0, 4)])
def test_looks_take_a_fifth_of_the_seconds_at_most(look_s, looks, tmp_path, monkeypatch):
    """But the least number of them is taken, whatever they cost."""
    clock = SimpleNamespace(now=0.0)

    def takes(seconds):
        clock.now += seconds
        return {}

    monkeypatch.setattr(budget, "clock", SimpleNamespace(perf_counter=lambda: clock.now))
    monkeypatch.setattr(budget, "fit", lambda *_: takes(look_s))
    monkeypatch.setattr(budget, "Steps", lambda *_: lambda step: takes(0.25))
    found = budget.plan(100, 20, lambda: None, lambda p: LoopConfig(p.steps, 1), Machine(), tmp_path, False)  # type: ignore
    assert found.steps == max(looks, int((100 - looks * look_s) / 0.25))
    assert found.steps // found.check_every == looks
