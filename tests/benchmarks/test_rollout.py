"""The benchmark of the roll-out: what it says is read, and that what it compares agrees."""

import torch

from benchmarks import rollout
from xray2xray.models.transitions import AutoregressiveConfig, AutoregressiveTransition

SMALL = AutoregressiveConfig(tokens=6, codebook_size=50, dim=32, heads=4, layers=2)


def test_bytes_of_a_token():
    """Of a block 12 dim^2 weights, 9 biases and 4 norms of dim; keys and values of the 7 + 2.5 positions there are."""
    model = AutoregressiveTransition(SMALL)
    block = 12 * 32**2 + (9 + 4) * 32
    assert rollout.weights_read(model) == 4 * (2 * block + 2 * 32 + 50 * 32)
    assert rollout.cache_read(model, batch=4) == 4 * 2 * 2 * 4 * 9.5 * 32


def test_cache_and_no_cache_are_timed_on_the_same_work():
    torch.manual_seed(0)
    row = rollout.per_token(AutoregressiveTransition(SMALL).eval(), patients=2, places=3, rounds=1)
    assert row["logits_apart"] < 1e-5
    assert min(row["cached_ms"], row["uncached_ms"], row["floor_ms"]) > 0


def test_a_roll_out_of_the_packaged_model_is_timed():
    assert rollout.roll_out_s(patients=1, steps=1, rounds=1) > 0
