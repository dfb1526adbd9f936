import math

import pytest
import torch
from torch.nn import functional as F

from xray2xray.experiments.pretraining.networks.contrastive import ContrastiveConfig, info_nce


def test_of_pairs_it_is_cross_entropy() -> None:
    """Two views of three patients, against the softmax written out."""
    torch.manual_seed(0)
    z, patients = F.normalize(torch.randn(6, 4), dim=1), torch.tensor([0, 1, 2, 0, 1, 2])
    expected = 0.0
    for i in range(6):
        others = [j for j in range(6) if j != i]
        likely = {j: math.exp(float(z[i] @ z[j]) / 0.2) for j in others}
        expected -= math.log(likely[(i + 3) % 6] / sum(likely.values())) / 6
    assert float(info_nce(z, patients, 0.2)) == pytest.approx(expected, rel=1e-5)


def test_views_that_are_all_alike_are_at_chance() -> None:
    z, patients = torch.ones(12, 4) / 2, torch.arange(3).repeat_interleave(4)
    assert float(info_nce(z, patients, 0.1)) == pytest.approx(math.log(11), rel=1e-6)
    apart = torch.eye(4)[patients]
    assert float(info_nce(apart, patients, 0.05)) == pytest.approx(math.log(3), abs=1e-3)  # three right answers


def test_one_view_makes_no_pair() -> None:
    with pytest.raises(ValueError, match="no pair"):
        ContrastiveConfig(views=1)
