import pytest
import torch
from xray2xray.models.transitions.rollout import context_steps

from xray2xray.core.errors import InputError, UsageError
from xray2xray.models.transitions import (
    Action,
    AutoregressiveConfig,
    AutoregressiveTransition,
    DirectConfig,
    DirectTransition,
    roll_out,
)


def gpt(context_views: int = 1, actions: str = "direction") -> AutoregressiveTransition:
    torch.manual_seed(0)
    config = AutoregressiveConfig(
        tokens=5, codebook_size=11, dim=32, heads=4, layers=2, context_views=context_views, actions=actions
    )
    return AutoregressiveTransition(config).eval()


def test_walking_both_ways_at_once_equals_walking_one_after_the_other():
    model, start = gpt(), torch.randint(11, (3, 5))
    arc = [10.0, -15.0, 0.0, 5.0, -5.0]
    together = roll_out(model, start, 0.0, arc)
    assert together.shape == (3, 5, 5)
    for way, angles in ((1, [5.0, 10.0]), (-1, [-5.0, -10.0, -15.0])):
        here = start
        for angle in angles:
            here = model.step(here, Action.between(0.0, way * 5.0, 3, start.device))
            if angle in arc:
                assert torch.equal(together[:, arc.index(angle)], here)


def test_the_given_view_itself_is_not_predicted():
    start = torch.randint(11, (2, 5))
    assert torch.equal(roll_out(gpt(), start, 20.0, [20.0])[:, 0], start)
    direct = DirectTransition(DirectConfig(tokens=4, latent_dim=6, dim=32, heads=4, trunk=1, head=1))
    latents = torch.randn(2, 4, 6)
    assert torch.equal(roll_out(direct, latents, 20.0, [20.0, 30.0])[:, 0], latents)


def test_an_angle_between_the_steps_is_refused():
    with pytest.raises(InputError, match="steps of 5 degrees"):
        roll_out(gpt(), torch.randint(11, (1, 5)), 0.0, [7.0])


def test_the_context_keeps_the_given_view_as_an_anchor():
    assert context_steps(latest=9, views=1) == [9]
    assert context_steps(latest=9, views=2) == [0, 9]
    assert context_steps(latest=9, views=4) == [0, 7, 8, 9]
    assert context_steps(latest=1, views=4) == [0, 0, 0, 1]


def test_a_walk_with_context_reaches_every_angle():
    tokens = roll_out(gpt(context_views=3), torch.randint(11, (2, 5)), -10.0, [-20.0, 5.0])
    assert tokens.shape == (2, 2, 5)


def test_jumps_all_start_from_the_given_view_however_many_there_are():
    model, start = gpt(actions="jump"), torch.randint(11, (3, 5))
    torch.nn.init.normal_(model.direction.weight, std=0.1)  # far from its small start, so that the action is heard
    arc = [float(yaw) for yaw in range(-90, 91, 5)]
    together = roll_out(model, start, 20.0, arc)
    assert len({tuple(view.flatten().tolist()) for view in together.unbind(1)}) > 5
    for i, yaw in enumerate(arc):
        alone = start if yaw == 20.0 else model.step(start, Action.between(20.0, yaw, 3, start.device))
        assert torch.equal(together[:, i], alone)


@pytest.mark.parametrize(("given", "wanted"), [(-90.0, 95.0), (0.0, 180.0), (100.0, 0.0)])
def test_a_jump_beyond_the_arc_is_refused(given, wanted):
    with pytest.raises(InputError, match="within 90 degrees"):
        roll_out(gpt(actions="jump"), torch.randint(11, (1, 5)), given, [wanted])


@pytest.mark.parametrize("wanted", [float("nan"), float("inf")])
def test_an_angle_that_is_no_number_is_refused(wanted):
    with pytest.raises(InputError, match="cannot reach"):
        roll_out(gpt(), torch.randint(11, (1, 5)), 0.0, [wanted])
    with pytest.raises(InputError, match="cannot reach"):
        roll_out(gpt(), torch.randint(11, (1, 5)), wanted, [0.0])


def test_no_angles_are_no_question():
    with pytest.raises(UsageError, match="no angles"):
        roll_out(gpt(), torch.randint(11, (1, 5)), 0.0, [])


@pytest.mark.parametrize("settings", [{"actions": "fly"}, {"actions": "jump", "context_views": 2}])
def test_settings_that_cannot_be_are_refused(settings):
    with pytest.raises(ValueError, match="jump"):
        AutoregressiveConfig(**settings)
