import pytest
import torch

from xray2xray.transition import Action, AutoregressiveConfig, AutoregressiveTransition

SMALL = AutoregressiveConfig(tokens=5, codebook_size=11, dim=32, heads=4, layers=2)


def model(context_views: int = 1) -> AutoregressiveTransition:
    torch.manual_seed(0)
    config = AutoregressiveConfig(**{**SMALL.__dict__, "context_views": context_views})
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
    written = gpt.step(context, Action(torch.zeros(4), turns), offsets)
    logits = gpt(context, (turns > 0).long(), written, offsets)
    assert torch.equal(logits.argmax(dim=-1), written)


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
    gpt = model()
    tokens = torch.randint(11, (6, 5))
    action = Action.between(0.0, 5.0, 6, tokens.device)
    once, again = (gpt.step(tokens, action, generator=torch.Generator().manual_seed(3)) for _ in range(2))
    assert torch.equal(once, again)
    other = gpt.step(tokens, action, generator=torch.Generator().manual_seed(4), temperature=2.0)
    assert not torch.equal(once, other)
