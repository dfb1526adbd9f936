"""Bending virtual patients to the posture of real ones."""

import torch

from xray2xray.training.posture import EDGES, bent


def test_back_and_front_land_where_those_of_real_patients_lie() -> None:
    for height, back, front, real_back, real_front in EDGES.tolist():
        at = torch.full((1, 2), height)
        depth, stretch = bent(torch.tensor([[real_back, real_front]]), at, torch.ones(1))
        torch.testing.assert_close(depth, torch.tensor([[back, front]]), atol=1e-5, rtol=0)
        torch.testing.assert_close(stretch, torch.full((1, 2), (real_front - real_back) / (front - back)))


def test_without_strength_nothing_moves_and_strength_is_each_patients_own() -> None:
    depth = torch.rand(2, 5, generator=torch.Generator().manual_seed(0))
    height = torch.linspace(-2, 2, 5).expand(2, 5)
    found, stretch = bent(depth, height, torch.tensor([0.0, 1.0]))
    torch.testing.assert_close(found[0], depth[0])
    torch.testing.assert_close(stretch[0], torch.ones(5))
    assert (found[1] - depth[1]).abs().max() > 0.02


def test_beyond_the_table_the_ends_hold() -> None:
    one = torch.ones(1)
    for end, beyond in ((1.078, 3.0), (-0.641, -3.0)):
        near, far = (bent(torch.zeros(1, 1), torch.full((1, 1), at), one) for at in (end, beyond))
        torch.testing.assert_close(near, far)
