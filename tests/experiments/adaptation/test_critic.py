import torch

from xray2xray.experiments.adaptation.buffer import ImageBuffer
from xray2xray.experiments.adaptation.critic import Critic, distance


def test_it_answers_for_patches_and_for_the_picture() -> None:
    patches, picture = Critic(width=8)(torch.zeros(3, 1, 64, 32))
    assert patches.shape == (3, 8 * 4)
    assert picture.shape == (3, 1)


def test_patches_are_near_and_the_picture_is_whole() -> None:
    """What changes at one corner changes the answer for the picture, but not that for the patches at the other."""
    torch.manual_seed(0)
    critic, x = Critic(width=8), torch.randn(1, 1, 64, 64)
    for layer in critic.layers:
        layer[1] = torch.nn.Identity()  # the norm knows the whole picture
    changed = x.clone()
    changed[..., :8, :8] += 1
    (before, one), (after, other) = critic(x), critic(changed)
    apart = (before - after).abs().view(8, 8)
    assert apart[0, 0] > 0
    assert (apart[4:, 4:] == 0).all()
    assert not torch.equal(one, other)


def test_both_kinds_of_answers_count_alike() -> None:
    answers = torch.full((2, 16), 1.0), torch.full((2, 1), 3.0)
    assert float(distance(answers, 1.0)) == 2.0


def test_earlier_fakes_are_recalled_by_chance() -> None:
    buffer = ImageBuffer(4, 2)
    for level in (1.0, 2.0):
        buffer.exchange(torch.full((1, 1, 2, 2), level), torch.zeros(1, 2))
    recalled = buffer.recall(torch.tensor([0.0, 0.49, 0.5, 1.0]))
    assert recalled[:, 0, 0, 0].tolist() == [1, 1, 2, 2]
