"""Greedy tokens of a causal model without writing them one by one."""

from collections.abc import Callable
from typing import Literal

from torch import Tensor

Decoding = Literal["cached", "uncached", "parallel"]
Read = Callable[[Tensor, int], Tensor]  # tokens (b, w) and a place -> logits (b, w - place + 1, K) of tokens place .. w


def settle(read: Read, guess: Tensor) -> Tensor:
    """The greedy tokens (b, n), found as a fixed point: guess all, read them at once, keep what agrees, repeat.

    Jacobi iteration (Song et al. 2021, arXiv 2002.03629; for transformers Santilli et al. 2023, arXiv 2305.10427). A
    token is settled when it is the arg-max after settled tokens only, so each pass settles at least one and the result
    is that of decoding one by one, whatever the guess. A good guess, such as the view before, takes few passes.

    Args:
        read: the model.
        guess: (b, n) tokens.
    """
    guess, settled = guess.clone(), 0
    while settled < guess.shape[1]:
        better = read(guess[:, :-1], settled).argmax(dim=-1)
        agree = (better == guess[:, settled:]).all(dim=0)  # patients of a batch wait for each other
        guess[:, settled:] = better
        settled += int(agree.cumprod(dim=0).sum()) + 1  # the first that differs is right too: all before it were
    return guess
