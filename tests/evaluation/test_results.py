"""What becomes of a result as JSON, and an estimate with its interval."""

from dataclasses import dataclass, field

import numpy as np

from xray2xray.evaluation.results import NOT_JSON, Estimate, as_json


@dataclass(frozen=True)
class Example:
    found: Estimate
    known: float | None
    part: Estimate | None = None
    picture: np.ndarray | None = field(default=None, metadata=NOT_JSON)


def test_unknown_values_are_null_and_absent_parts_are_left_out() -> None:
    one = Example(Estimate(1.0, (0.5, 1.5)), None, picture=np.zeros(2))
    assert as_json({"a": [one]}) == {"a": [{"found": {"mean": 1.0, "ci95": [0.5, 1.5]}, "known": None}]}
    whole = as_json(Example(Estimate(1.0, None), 2.0, Estimate(3.0, None)))
    assert whole == {"found": {"mean": 1.0, "ci95": None}, "known": 2.0, "part": {"mean": 3.0, "ci95": None}}


def test_an_estimate_of_one_patient_has_no_interval() -> None:
    assert Estimate.of(np.array([2.0])) == Estimate(2.0, None)
    found = Estimate.of(np.arange(50.0))
    assert found.mean == 24.5
    assert 18 < found.ci95[0] < 24.5 < found.ci95[1] < 31
