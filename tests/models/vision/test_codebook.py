import pytest
import torch

from xray2xray.models.vision.codebook import Codebook, on_sphere


def clusters(count: int = 8, dim: int = 6, per_cluster: int = 40) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    centres = on_sphere(torch.randn(count, dim, generator=generator))
    noise = 0.05 * torch.randn(count, per_cluster, dim, generator=generator)
    return centres, on_sphere(centres[:, None] + noise).flatten(0, 1)


def test_kmeans_finds_the_clusters():
    centres, latents = clusters()
    codebook = Codebook(16, 6)
    assert not bool(codebook.ready)
    codebook.fit(latents, torch.Generator().manual_seed(0))
    assert bool(codebook.ready)
    nearest = codebook.lookup(codebook.tokens(centres))
    assert float((nearest - centres).norm(dim=-1).max()) < 0.3
    torch.testing.assert_close(codebook.entries.norm(dim=-1), torch.full((16,), 6**0.5))


def test_tokens_are_the_nearest_entries():
    codebook = Codebook(32, 5)
    latents = on_sphere(torch.randn(3, 7, 5))
    expected = torch.cdist(latents.reshape(-1, 5), codebook.entries).argmin(dim=-1).reshape(3, 7)
    assert torch.equal(codebook.tokens(latents), expected)
    assert torch.equal(codebook.tokens(codebook.lookup(expected)), expected)


def test_updates_move_entries_towards_their_latents():
    codebook = Codebook(4, 6, decay=0.5)
    target = on_sphere(codebook.entries[2] + 0.3 * torch.randn(6))
    before = (codebook.entries[2] - target).norm()
    for _ in range(5):
        latents = target.expand(1, 10, 6)
        codebook.update(latents, torch.full((1, 10), 2))
    assert (codebook.entries[2] - target).norm() < 0.2 * before


def test_dead_entries_come_back_among_the_latents():
    _, latents = clusters()
    codebook = Codebook(8, 6)
    for _ in range(400):  # only one entry is ever used
        codebook.update(latents, torch.zeros(len(latents), dtype=torch.long))
    assert codebook.perplexity() == pytest.approx(1.0, abs=0.3)
    assert codebook.revive(latents, torch.Generator().manual_seed(0)) == 7
    distance = torch.cdist(codebook.entries[1:], latents).min(dim=1).values
    assert float(distance.max()) < 1e-3


def test_perplexity_of_even_use_is_the_size():
    assert Codebook(64, 4).perplexity() == pytest.approx(64, rel=1e-4)
