"""Scores without a model, as the evaluation gives them."""

import numpy as np
import pytest

from xray2xray.core.evidence import FROM_CT, VIRTUAL
from xray2xray.evaluation.cases import CUT, WHOLE
from xray2xray.evaluation.scoring import Cohort, Scores
from xray2xray.projection.geometry import STANDARD_ARC


@pytest.fixture(scope="session")
def scored() -> Cohort:
    """Four virtual patients and two CTs; the further from the input, the larger every error."""
    far = np.abs(np.array(STANDARD_ARC)) / 90

    def scores(level: float) -> Scores:
        each = np.random.default_rng(round(1e6 * level)).uniform(0.8, 1.2, (6, 1))
        mse = level * each * (0.1 + far)
        return Scores(mse, np.clip(1 - far * each / 3, 0, 1), 2 * mse)

    levels = [VIRTUAL] * 4 + [FROM_CT] * 2
    names = [f"case-{i}" for i in range(6)]
    models = {"first": scores(0.001), "second": scores(0.002), "v_ceiling": scores(0.0001)}
    baselines = {"copy_input": scores(0.01), "mean_view": scores(0.008)}
    return Cohort(STANDARD_ARC, 0.0, names, levels, models, baselines, [CUT] * 4 + [WHOLE, CUT])
