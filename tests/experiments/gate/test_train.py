"""What the gate learns from: mistakes, batches and the loss."""

import numpy as np
import torch

from xray2xray.experiments.gate.mistakes import DRAWN, abdomen, crop, strip, turned
from xray2xray.experiments.gate.pictures import SIZE, Radiographs
from xray2xray.experiments.gate.train import UNKNOWN, Sources, batch, loss
from xray2xray.models.gate.network import ANSWERS, TURNS, GateConfig, GateNetwork

GRAY = np.random.default_rng(0).uniform(size=(SIZE, SIZE)).astype(np.float32)


def test_every_mistake_is_a_picture_and_no_two_are_alike() -> None:
    for draw in DRAWN.values():
        one, other = (draw(np.random.default_rng(seed), SIZE) for seed in (0, 1))
        assert one.shape == (SIZE, SIZE)
        assert np.isfinite(one).all()
        assert 0 <= one.min() < one.max() <= 1
        assert not np.array_equal(one, other)
        assert np.array_equal(one, draw(np.random.default_rng(0), SIZE))
    for make in (strip, crop, abdomen):
        assert make(GRAY, np.random.default_rng(0)).shape == GRAY.shape


def test_a_turn_is_what_its_name_says() -> None:
    assert np.array_equal(turned(GRAY, False, 180), GRAY[::-1, ::-1])
    assert np.array_equal(turned(GRAY, True, 0), GRAY[:, ::-1])
    assert np.array_equal(turned(GRAY, False, 90)[-1], GRAY[:, 0]), "the left edge lies below, anticlockwise"


def test_a_batch_knows_what_is_in_it() -> None:
    real = Radiographs(np.stack([GRAY] * 3), np.array(["a", "b", "c"]), np.array([0, 1, -1]))
    sources = Sources(real, GRAY[None], (GRAY[None],) * 3, GRAY[None])
    x, answers, turns = batch(sources, np.random.default_rng(0), torch.Generator().manual_seed(0))
    assert x.shape[1:] == (1, SIZE, SIZE)
    assert float(x.min()) >= -1
    assert float(x.max()) <= 1
    assert answers.shape == (len(x), len(ANSWERS))
    assert set(answers.unique().tolist()) <= {UNKNOWN, 0.0, 1.0}
    assert set(turns.tolist()) <= {-1, *range(len(TURNS))}
    nothing_known = (answers[:, 0] == 0) & (turns == -1)
    assert bool(nothing_known.any()), "pictures that are no frontal are turned in no way"


def test_what_nobody_knows_costs_nothing() -> None:
    found = torch.randn(4, len(ANSWERS) + len(TURNS))
    unknown = torch.full((4, len(ANSWERS)), UNKNOWN)
    assert loss(found, unknown, torch.full((4,), -1)) == 0
    assert loss(found, unknown, torch.zeros(4, dtype=torch.int64)) > 0
    loss(
        GateNetwork(GateConfig())(torch.zeros(4, 1, 64, 64)), torch.ones_like(unknown), torch.zeros(4).long()
    ).backward()
