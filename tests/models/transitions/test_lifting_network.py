"""The lifting network, untrained and with random weights."""

import numpy as np
import pytest
import torch

from xray2xray.core.errors import InputError
from xray2xray.models.transitions.lifting_network import LiftingConfig, LiftingNetwork, lifted
from xray2xray.projection.frustum import Frustum
from xray2xray.projection.geometry import preset

SMALL = LiftingConfig(size=64, depth=8, widths=(8, 16, 16, 16), heads=2)


def network(random: bool = False) -> LiftingNetwork:
    torch.manual_seed(0)
    found = LiftingNetwork(SMALL).eval()
    if random:
        for parameter in found.parameters():
            torch.nn.init.normal_(parameter, std=0.1)
    return found


def test_untrained_it_answers_with_the_cohorts_mean() -> None:
    found = network()
    mean = torch.rand(8, *SMALL.cells)
    found.set_mean(mean)
    w, p = found.lift(torch.rand(2, 1, 64, 64))
    torch.testing.assert_close(p[1], mean.sum(dim=0), rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(w[0] * p[0], mean, rtol=1e-4, atol=1e-4)


def test_shares_sum_to_one_over_depth() -> None:
    w, p = network(random=True).lift(torch.rand(2, 1, 64, 64))
    assert w.shape == (2, 8, *SMALL.cells)
    assert (p > 0).all()
    torch.testing.assert_close(w.sum(dim=1), torch.ones_like(p))


def test_mirrored_answers_do_not_favour_a_side() -> None:
    found, view = network(random=True), torch.rand(1, 1, 64, 64)
    there, back = found.lift(view, mirrored=True), found.lift(view.flip(-1), mirrored=True)
    for a, b in zip(there, back, strict=True):
        torch.testing.assert_close(a, b.flip(-1))
    assert not torch.allclose(found.lift(view)[0], found.lift(view.flip(-1))[0].flip(-1))


def test_the_view_lies_in_the_middle_of_the_canvas() -> None:
    view = torch.arange(64.0 * 64).reshape(1, 1, 64, 64)
    canvas = network().canvas(view)
    measured = canvas[0, 4]
    assert canvas.shape == (1, 7, 40, 48)
    assert measured.sum() == 32 * 32
    assert measured[4:36, 8:40].all()
    torch.testing.assert_close(canvas[0, :4, 4, 8], view[0, 0, :2, :2].flatten() / 3 - 1)
    assert canvas[0, :4, 0, 0].abs().max() == 0


def test_a_finer_view_is_lifted_by_the_same_network_and_kept() -> None:
    found = network(random=True)
    frustum = Frustum(preset("chest", 128), depth=8)
    view = np.random.default_rng(0).random((128, 128)).astype(np.float32)
    state = lifted(found, view, frustum)
    np.testing.assert_allclose(state.views([0.0])[0], view, rtol=1e-4, atol=1e-5)
    small = torch.from_numpy(view.reshape(64, 2, 64, 2).mean(axis=(1, 3)))[None, None]
    np.testing.assert_allclose(state.w, found.lift(small, mirrored=True)[0][0], atol=1e-5)
    with pytest.raises(InputError, match="128 x 128"):
        lifted(found, view[:64, :64], frustum)


def test_hidden_states_are_of_ever_coarser_grids() -> None:
    shapes = [tuple(x.shape[1:]) for x in network().encode(torch.rand(1, 1, 64, 64))]
    assert shapes == [(8, 40, 48), (16, 20, 24), (16, 10, 12), (16, 5, 6)]


def test_the_default_fits_into_sixteen_mebibytes() -> None:
    assert sum(2 * x.numel() for x in LiftingNetwork(LiftingConfig()).state_dict().values()) <= 16 * 2**20
