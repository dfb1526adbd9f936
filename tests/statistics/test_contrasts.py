import numpy as np
import pytest

from xray2xray.core.errors import InputError, UsageError
from xray2xray.statistics.contrasts import equivalent, holm


def test_holm_by_hand() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.9, 0.8]) == pytest.approx([1, 1])


def test_holm_rejects_what_its_step_down_rejects() -> None:
    rng = np.random.default_rng(0)
    for _ in range(50):
        p = rng.random(6) ** 4
        rejected = np.zeros(6, bool)
        for step, i in enumerate(np.argsort(p)):
            if p[i] > 0.05 / (6 - step):
                break
            rejected[i] = True
        assert ((holm(p) <= 0.05) == rejected).all()


def test_holm_refuses_what_is_no_p_value() -> None:
    for wrong in ([], [0.1, np.nan], [1.2]):
        with pytest.raises(InputError, match="p-values"):
            holm(wrong)


def test_equivalence_needs_the_whole_interval_inside() -> None:
    assert equivalent((-0.01, 0.015), 0.02)
    assert not equivalent((-0.01, 0.02), 0.02)
    assert not equivalent((-0.03, 0.0), 0.02)
    assert not equivalent((0.03, 0.04), 0.02)
    assert not equivalent(None, 0.02)
    with pytest.raises(UsageError, match="positive"):
        equivalent((0, 0), 0)
