"""Queries attend: a disease that shows in one patch only is found there, wherever it is."""

from pathlib import Path

import numpy as np
import pytest
import torch

from xray2xray.core.errors import InputError, UsageError
from xray2xray.core.evidence import RADIOGRAPH
from xray2xray.experiments.pretraining.encoder import ViTEncoder
from xray2xray.experiments.pretraining.glori import Glori, GloriHead, GloriNetwork, encode
from xray2xray.experiments.supervised.backbones.vit import VisionTransformer, ViTConfig

N, PATCHES, WIDTH = 800, 16, 12


def frozen(seed: int) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Random tokens. Of `local` one patch, anywhere, has much of a direction; of `whole` the features have."""
    rng = np.random.default_rng(seed)
    tokens = rng.normal(size=(N, 1 + PATCHES, WIDTH)).astype(np.float32)
    local, whole = rng.random((2, N)) < 0.5
    tokens[np.flatnonzero(local), 1 + rng.integers(PATCHES, size=local.sum()), 3] += 6
    tokens[whole, 0, 5] += 3
    return tokens, {"local": local.astype(float), "whole": whole.astype(float)}


@pytest.fixture(scope="module")
def fitted() -> GloriHead:
    head = GloriHead(width=WIDTH, steps=200, rate=1e-2, precision="32-true")
    return head.fit(*frozen(0))


def test_both_kinds_of_findings_are_found(fitted: GloriHead) -> None:
    tokens, labels = frozen(1)
    found = fitted.score(tokens, labels)
    assert found["local"] > 0.9
    assert found["whole"] > 0.9
    without = tokens.copy()
    without[:, 0] = 0  # what the features say of `whole` is nowhere else
    assert fitted.score(without, labels)["whole"] < 0.65


def test_each_query_looks_where_its_finding_is(fitted: GloriHead) -> None:
    tokens, labels = frozen(1)
    network = fitted.network_
    there = labels["local"] == 1
    x = (torch.from_numpy(tokens[there]) - network.mean) / network.sd
    glori = network.backbone
    assert isinstance(glori, Glori)
    with torch.no_grad():
        attention = glori.attention(glori.norm(x[:, 1:]))
    assert attention.shape == (there.sum(), glori.heads, 2, PATCHES)
    torch.testing.assert_close(attention.sum(dim=-1), torch.ones(attention.shape[:3]))
    patch = tokens[there, 1:, 3].argmax(axis=1)
    most = attention.mean(dim=1).argmax(dim=-1).numpy()
    assert (most[:, 0] == patch).mean() > 0.8


def test_patches_have_no_order_and_each_answer_its_own_query() -> None:
    torch.manual_seed(0)
    network = GloriNetwork(WIDTH, 3)
    torch.nn.init.normal_(network.heads.weight)
    x = torch.randn(2, 1 + PATCHES, WIDTH)
    answers = network(x)
    assert answers.shape == (2, 3)
    shuffled = torch.cat([x[:, :1], x[:, 1:][:, torch.randperm(PATCHES)]], dim=1)
    torch.testing.assert_close(network(shuffled), answers)
    assert isinstance(network.backbone, Glori)
    network.backbone.queries.data[1] += 1
    changed = (network(x) - answers).abs().amax(dim=0)
    assert changed[1] > 1e-3
    assert changed[[0, 2]].max() < 1e-6


def test_on_disk_and_refusals(fitted: GloriHead, tmp_path: Path) -> None:
    tokens, labels = frozen(1)
    fitted.save(tmp_path)
    read = GloriHead.load(tmp_path)
    assert np.array_equal(read.predict_proba(tokens), fitted.predict_proba(tokens))
    with pytest.raises(UsageError, match="refuses a real radiograph"):
        read.predict_proba(tokens, evidence_level=RADIOGRAPH)
    with pytest.raises(InputError, match=r"\(n, 1 \+ t, 12\)"):
        read.predict_proba(tokens[..., :5])
    with pytest.raises(InputError, match=r"\(n, 1 \+ t, 12\)"):
        GloriHead(width=WIDTH, steps=3).fit(tokens[:, 0], labels)


def test_an_encoders_features_come_first() -> None:
    torch.manual_seed(0)
    encoder = ViTEncoder(VisionTransformer(ViTConfig(WIDTH, 1, 2, patch=8, picture=32)), "class")
    views = np.random.default_rng(0).uniform(0, 8, (3, 32, 32))
    found = encode(encoder, views)
    assert found.shape == (3, 1 + PATCHES, WIDTH)
    assert found[:, 0] == pytest.approx(encoder.features(views), abs=2e-3)
    assert found[:, 1:] == pytest.approx(encoder.tokens(views), abs=2e-3)
