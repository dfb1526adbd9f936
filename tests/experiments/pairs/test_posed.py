"""The kernel between posed views, against slow ways of saying the same."""

import numpy as np
import pytest
import torch

from xray2xray.core.errors import InputError
from xray2xray.experiments.pairs.posed import KINDS, PosedConfig, PosedTransition, row_features, yaw_kernel
from xray2xray.experiments.pairs.posed_file import NAME, read_transition, write_posed

SIZE = 24
CONFIG = PosedConfig(size=SIZE, rows=8, members=2)


def remembering(pairs: int = 10) -> PosedTransition:
    generator = torch.Generator().manual_seed(0)
    torch.manual_seed(0)
    model = PosedTransition(CONFIG).eval()
    given, targets = (torch.randn(pairs, SIZE, SIZE, generator=generator) for _ in range(2))
    model.remember(given, torch.tensor([90.0, -90.0]).repeat(pairs // 2), targets)
    return model


def test_features_know_rows_but_not_sides():
    views = torch.randn(3, SIZE, SIZE)
    found, mirrored = row_features(views, 8), row_features(views.flip(2), 8)
    assert len(found) == len(KINDS)
    for kind, feature, other in zip(KINDS, found, mirrored, strict=True):
        assert feature.shape[:2] == (3, 8), kind
        torch.testing.assert_close(other, -feature if kind == "asymmetry" else feature)


def test_angles_go_the_short_way_round():
    near = yaw_kernel(torch.tensor([170.0]), torch.tensor([-170.0, 170.0, 80.0]), 20.0)
    torch.testing.assert_close(near, torch.tensor([[np.exp(-0.5), 1.0, np.exp(-0.5 * 4.5**2)]], dtype=torch.float32))


def test_distances_are_one_on_average():
    model = remembering()
    torch.testing.assert_close(model.distances(model.given).mean((1, 2)), torch.ones(len(KINDS)), atol=1e-3, rtol=0)


def test_leaving_out_is_what_leaving_out_gives():
    """The closed form against fitting without the case, both about the mean views of all."""
    model = remembering()
    kernel = model.similarity(model.distances(model.given), model.yaw_deg)
    rest = (model.targets - model.mean_view(model.yaw_deg)).flatten(1)
    others = [i for i in range(10) if i != 3]
    weights = torch.linalg.solve(
        kernel[others][:, others] + model.weights.log_penalty.exp() * torch.eye(9), rest[others]
    )
    expected = model.mean_view(model.yaw_deg)[3] + (kernel[3, others] @ weights).view(SIZE, SIZE)
    torch.testing.assert_close(model.left_out()[3], expected, atol=1e-4, rtol=1e-4)


def test_without_penalty_the_kernel_repeats_what_it_was_shown():
    model = remembering()
    model.weights.log_penalty.data.fill_(-12.0)
    torch.testing.assert_close(model.expect(model.given, model.yaw_deg), model.targets, atol=1e-3, rtol=0)


def test_targets_at_other_angles_do_not_speak():
    model = remembering()
    before = model.expect(model.given[:1], torch.tensor([90.0]))
    model.targets[1::2] += 100.0  # all of those at -90
    torch.testing.assert_close(model.expect(model.given[:1], torch.tensor([90.0])), before)


def test_untrained_networks_correct_nothing():
    model = remembering()
    torch.testing.assert_close(model(model.given, model.yaw_deg), model.expect(model.given, model.yaw_deg))


def test_a_sample_is_the_prediction_and_what_it_missed_in_a_remembered_case():
    model = remembering()
    torch.nn.init.normal_(model.members[0].out.weight)  # networks that say something
    views, yaw_deg = torch.randn(3, SIZE, SIZE), torch.tensor([90.0, -90.0, 90.0])
    predicted, missed = model(views, yaw_deg), model.missed()
    generator = torch.Generator().manual_seed(0)
    for _ in range(5):
        rest = model.sample(views, yaw_deg, generator) - predicted
        apart = (rest[:, None] - missed).abs().amax(dim=(2, 3))
        assert (apart.min(dim=1).values < 1e-4).all()
        assert (model.yaw_deg[apart.argmin(dim=1)] == yaw_deg).all(), "of the same angle"


def test_many_samples_are_those_drawn_one_by_one():
    model, views, yaw_deg = remembering(), torch.randn(3, SIZE, SIZE), torch.tensor([90.0, -90.0, 90.0])
    together = model.sample(views, yaw_deg, torch.Generator().manual_seed(0), 4)
    generator = torch.Generator().manual_seed(0)
    torch.testing.assert_close(together, torch.stack([model.sample(views, yaw_deg, generator) for _ in range(4)]))


def test_views_that_cannot_be_sampled_are_refused():
    model, generator = remembering(), torch.Generator().manual_seed(0)
    views, yaw_deg = torch.randn(2, SIZE, SIZE), torch.tensor([90.0, -90.0])
    for wrong in (views[:1], views[0], views[:, 1:], torch.full_like(views, torch.nan)):
        with pytest.raises(InputError, match="finite views"):
            model.sample(wrong, yaw_deg, generator)
    with pytest.raises(InputError, match="unlike all"):
        model.sample(1000 * views, yaw_deg, generator)


def test_what_is_missed_is_the_left_out_error_less_the_correction():
    model = remembering()
    torch.testing.assert_close(model.missed(), model.targets - model.left_out())  # untrained networks are silent


def test_a_file_is_the_model(tmp_path):
    model = remembering()
    write_posed(tmp_path, model, 5.0)
    again, given_yaw_deg = read_transition(tmp_path)
    assert given_yaw_deg == 5.0
    assert again.config == model.config
    assert torch.equal(again(model.given, model.yaw_deg), model(model.given, model.yaw_deg))
    (tmp_path / NAME).write_bytes(b"damaged")
    with pytest.raises(InputError, match="cannot be read as a model of posed views"):
        read_transition(tmp_path)
