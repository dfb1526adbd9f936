"""Bending virtual patients to the posture of real ones."""

import torch

from xray2xray.training.posture import ASIDE, HEIGHT, MOMENTS, bent


def test_a_virtual_patients_middle_and_spread_become_those_of_real_ones() -> None:
    for zone, aside in enumerate(ASIDE.tolist()):
        for row, height in enumerate(HEIGHT.tolist()):
            middle, spread, real_middle, real_spread = MOMENTS[zone, row].tolist()
            place = torch.full((1, 2), height), torch.full((1, 2), -aside)  # left is as right
            depth, stretch = bent(torch.tensor([[real_middle, real_middle + real_spread]]), *place, torch.ones(1))
            torch.testing.assert_close(depth, torch.tensor([[middle, middle + spread]]), atol=1e-5, rtol=0)
            torch.testing.assert_close(stretch, torch.full((1, 2), real_spread / spread))


def test_without_strength_nothing_moves_and_strength_is_each_patients_own() -> None:
    depth = torch.rand(2, 5, generator=torch.Generator().manual_seed(0))
    height = torch.linspace(-2, 2, 5).expand(2, 5)
    found, stretch = bent(depth, height, torch.zeros(2, 5), torch.tensor([0.0, 1.0]))
    torch.testing.assert_close(found[0], depth[0])
    torch.testing.assert_close(stretch[0], torch.ones(5))
    assert (found[1] - depth[1]).abs().max() > 0.02


def test_beyond_the_table_the_ends_hold() -> None:
    def at(height: float, aside: float) -> tuple[torch.Tensor, torch.Tensor]:
        return bent(torch.zeros(1, 1), torch.full((1, 1), height), torch.full((1, 1), aside), torch.ones(1))

    for inner, outer in (((1.078, 0.0), (3.0, 0.0)), ((-0.641, 0.5), (-3.0, 0.5)), ((0.3, 0.875), (0.3, 1.4))):
        torch.testing.assert_close(at(*inner), at(*outer))
