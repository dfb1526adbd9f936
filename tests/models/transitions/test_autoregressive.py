import pytest
import torch

from xray2xray.core.errors import UsageError
from xray2xray.models.transitions import (
    AutoregressiveConfig,
    AutoregressiveTransition,
    Observation,
    State,
    TokenViews,
)
from xray2xray.models.transitions.autoregressive import context_steps
from xray2xray.models.vision import VisionConfig, VisionModel
from xray2xray.projection.geometry import STANDARD_ARC, Pose, as_poses

VISION = VisionModel(VisionConfig(size=16, widths=(8,), blocks=(1,), latent_dim=4, codebook_size=11))


def model(context_views: int = 1, actions: str = "direction") -> AutoregressiveTransition:
    torch.manual_seed(0)
    config = AutoregressiveConfig(
        tokens=5, codebook_size=11, dim=32, heads=4, layers=2, context_views=context_views, actions=actions
    )
    made = AutoregressiveTransition(config).eval()
    for parameter in made.parameters():  # far from its small start, so that mistakes show
        torch.nn.init.normal_(parameter, std=0.3)
    return made


@pytest.mark.parametrize("context_views", [1, 3])
def test_writing_with_the_cache_equals_reading_the_whole_sequence(context_views):
    """Greedy steps through the cache must be the arg-max of the teacher-forced logits of what they wrote."""
    gpt = model(context_views)
    context = torch.randint(11, (4, context_views, 5))
    offsets = torch.arange(-context_views + 1, 1).expand(4, -1)
    turns = torch.tensor([5.0, -5.0, 5.0, -5.0])
    written = gpt.write(context, turns, offsets)
    logits = gpt(context, (turns > 0).long(), written, offsets)
    assert torch.equal(logits.argmax(dim=-1), written)


@torch.no_grad()
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_logits_are_those_without_a_cache(dtype):
    """Prompt, single tokens and chunks through the caches against one pass over everything, twice over."""
    gpt, rounding = model(2).to(dtype), torch.finfo(dtype).eps
    context, direction = torch.randint(11, (3, 2, 5)), torch.tensor([0, 1, 1])
    offsets, written = torch.tensor([[-2, 0]]).expand(3, -1), torch.randint(11, (3, 4))
    whole = gpt.reader(context, direction, offsets)(written, 0)
    assert whole.shape == (3, 5, 11)
    caches = gpt.caches()
    for batch in (slice(None), slice(2)):  # the second, smaller one writes over the same buffers
        read = gpt.reader(context[batch], direction[batch], offsets[batch], caches)
        for upto, place in ((0, 0), (1, 1), (4, 2), (3, 2), (4, 4)):
            found = read(written[batch, :upto], place)
            torch.testing.assert_close(
                found, whole[batch, place : upto + 1], atol=200 * rounding, rtol=200 * rounding, check_dtype=False
            )


def test_no_token_sees_itself_or_later_ones():
    gpt = model()
    context, following = torch.randint(11, (1, 1, 5)), torch.randint(11, (1, 5))
    changed = following.clone()
    changed[0, 2] = (changed[0, 2] + 1) % 11
    before = gpt(context, torch.tensor([1]), following)
    after = gpt(context, torch.tensor([1]), changed)
    torch.testing.assert_close(before[:, :3], after[:, :3])
    assert not torch.allclose(before[:, 3:], after[:, 3:])


def test_the_direction_matters():
    gpt = model()
    context, following = torch.randint(11, (1, 1, 5)), torch.randint(11, (1, 5))
    left, right = (gpt(context, torch.tensor([way]), following) for way in (0, 1))
    assert not torch.allclose(left, right)


def test_sampling_is_seeded():
    gpt, context, turn_deg = model(), torch.randint(11, (6, 1, 5)), torch.full((6,), 5.0)
    once, again, other = (
        gpt.write(context, turn_deg, generator=torch.Generator().manual_seed(seed)) for seed in (3, 3, 4)
    )
    assert torch.equal(once, again)
    assert not torch.equal(once, other)


def observed(gpt: AutoregressiveTransition, tokens: torch.Tensor, yaw_deg: float = 0.0) -> State:
    return gpt.observe([Observation(TokenViews(tokens), Pose(yaw_deg), VISION)])


def predicted(gpt: AutoregressiveTransition, tokens: torch.Tensor, given_deg: float, yaw_deg: list[float]):
    return gpt.predict(observed(gpt, tokens, given_deg), as_poses(yaw_deg)).values


def test_rolling_out_both_ways_at_once_equals_one_after_the_other():
    gpt, start = model(), torch.randint(11, (3, 5))
    arc = [10.0, -15.0, 0.0, 5.0, -5.0]
    together = predicted(gpt, start, 0.0, arc)
    assert torch.equal(together[:, 2], start)
    for way, angles in ((1, [5.0, 10.0]), (-1, [-5.0, -10.0, -15.0])):
        here = start
        for angle in angles:
            here = gpt.write(here[:, None], torch.full((3,), way * 5.0))
            if angle in arc:
                assert torch.equal(together[:, arc.index(angle)], here)


def test_the_context_keeps_the_given_view_as_an_anchor():
    assert context_steps(latest=9, views=1) == [9]
    assert context_steps(latest=9, views=2) == [0, 9]
    assert context_steps(latest=9, views=4) == [0, 7, 8, 9]
    assert context_steps(latest=1, views=4) == [0, 0, 0, 1]
    assert predicted(model(3), torch.randint(11, (2, 5)), -10.0, [-20.0, 5.0]).shape == (2, 2, 5)


def test_direct_predictions_all_start_from_the_given_view_however_many_there_are():
    gpt, start = AutoregressiveTransition(model(actions="jump").config).eval(), torch.randint(11, (3, 5))
    torch.nn.init.normal_(gpt.direction.weight, std=0.1)  # far from its small start, so that the action counts
    together = predicted(gpt, start, 20.0, list(STANDARD_ARC))
    assert len({tuple(view.flatten().tolist()) for view in together.unbind(1)}) > 5
    for i, yaw in enumerate(STANDARD_ARC):
        alone = start if yaw == 20.0 else gpt.write(start[:, None], torch.full((3,), yaw - 20.0))
        assert torch.equal(together[:, i], alone)


def test_the_hidden_states_are_those_that_write_the_view():
    gpt, tokens = model(), torch.randint(11, (2, 5))
    state, poses = observed(gpt, tokens), as_poses([-10.0, 5.0])
    likeliest = (gpt.features(state, poses) @ gpt.embed.weight.T).argmax(dim=-1)
    torch.testing.assert_close(likeliest, gpt.predict(state, poses).values)


@pytest.mark.parametrize(
    ("actions", "given", "wanted", "words"),
    [
        ("direction", 0.0, 7.0, "steps of 5 degrees"),
        ("jump", -90.0, 95.0, "within 90 degrees"),
        ("jump", 0.0, 180.0, "within 90 degrees"),
        ("jump", 100.0, 0.0, "within 90 degrees"),
    ],
)
def test_an_angle_that_cannot_be_reached_is_refused(actions, given, wanted, words):
    with pytest.raises(UsageError, match=words):
        predicted(model(actions=actions), torch.randint(11, (1, 5)), given, [wanted])


@pytest.mark.parametrize("settings", [{"actions": "fly"}, {"actions": "jump", "context_views": 2}])
def test_settings_that_cannot_be_are_refused(settings):
    with pytest.raises(ValueError, match="jump"):
        AutoregressiveConfig(**settings)
