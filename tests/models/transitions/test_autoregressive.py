import pytest
import torch
from xray2xray.models.transitions.decoding import Decoding, settle

from xray2xray.core.errors import UsageError
from xray2xray.models.transitions import Action, AutoregressiveConfig, AutoregressiveTransition, roll_out
from xray2xray.models.transitions.direct import ARC_DEG

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


def turned(gpt: AutoregressiveTransition, decoding: Decoding) -> torch.Tensor:
    """36 views of three patients, both ways in one batch, in the end one way only."""
    start = torch.randint(11, (3, 5), generator=torch.Generator().manual_seed(1))
    return roll_out(gpt, start, 10.0, ARC_DEG, decoding=decoding)


@pytest.mark.parametrize("context_views", [1, 3])
def test_all_decodings_write_the_same_greedy_tokens(context_views):
    gpt = model(context_views)
    cached = turned(gpt, "cached")
    assert len(cached.unique()) > 5
    assert torch.equal(cached, turned(gpt, "uncached"))
    assert torch.equal(cached, turned(gpt, "parallel"))


def test_parallel_decoding_is_as_few_passes_as_the_guess_is_good():
    """A chain in which each token is the one before it plus 1, begun with 3: known without a model."""
    passes = []

    def read(tokens: torch.Tensor, start: int) -> torch.Tensor:
        passes.append(start)
        following = torch.cat([torch.full((len(tokens), 1), 3), tokens + 1], dim=1)
        return torch.nn.functional.one_hot(following[:, start:], 20).float()

    chain = torch.arange(3, 9).expand(2, -1)
    for guess, expected in ((chain, [0]), (torch.zeros_like(chain), [0, 1, 2, 3, 4, 5])):
        passes.clear()
        assert torch.equal(settle(read, guess), chain)
        assert passes == expected
    wrong_at_2 = chain.clone()
    wrong_at_2[0, 2] = 0  # put right by the first pass, but what follows it was read after the wrong one
    passes.clear()
    assert torch.equal(settle(read, wrong_at_2), chain)
    assert passes == [0, 3, 4, 5]


def test_parallel_decoding_does_not_sample():
    action = Action.between(0.0, 5.0, 1, torch.device("cpu"))
    with pytest.raises(UsageError, match="greedy"):
        model().step(torch.zeros(1, 5, dtype=torch.long), action, generator=torch.Generator(), decoding="parallel")


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
