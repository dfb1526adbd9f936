"""The codebook: the finite vocabulary of V's latents, learned by moving averages instead of gradients.

Vector quantisation after van den Oord et al. 2017 (arXiv 1711.00937, appendix A.1: EMA updates), entries and latents
l2-normalised as in Yu et al. 2021 (arXiv 2110.04627). All vectors have length sqrt(C), so that each of their numbers
has about unit variance, which is the scale transformers like.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F


def on_sphere(vectors: Tensor) -> Tensor:
    """Scale vectors (..., C) to length sqrt(C)."""
    return F.normalize(vectors.float(), dim=-1) * vectors.shape[-1] ** 0.5


class Codebook(nn.Module):
    """`size` entries of `dim` numbers on the sphere of radius sqrt(dim).

    Until `fit` (or loading a state) has placed the entries among real latents, `ready` is false.
    """

    entries: Tensor
    counts: Tensor
    sums: Tensor
    ready: Tensor

    def __init__(self, size: int, dim: int, decay: float = 0.99) -> None:
        super().__init__()
        self.decay = decay
        self.register_buffer("entries", on_sphere(torch.randn(size, dim)))
        # What only training needs: a running count of uses per entry, the running sum of the latents that chose it.
        self.register_buffer("counts", torch.ones(size))
        self.register_buffer("sums", self.entries.clone())
        self.register_buffer("ready", torch.tensor(False))

    @property
    def size(self) -> int:
        return self.entries.shape[0]

    def tokens(self, latents: Tensor) -> Tensor:
        """Index of the nearest entry for each latent: (..., C) -> (...) int64."""
        flat = latents.detach().reshape(-1, latents.shape[-1]).float()
        # All entries have the same length, so the largest inner product is the smallest distance.
        return (flat @ self.entries.T).argmax(dim=-1).reshape(latents.shape[:-1])

    def lookup(self, tokens: Tensor) -> Tensor:
        """Entries for tokens: (...) int64 -> (..., C)."""
        return F.embedding(tokens, self.entries)

    def perplexity(self) -> float:
        """exp(entropy) of the recent use of the entries: 1 = collapsed onto one entry, `size` = all equally used."""
        share = self.counts / self.counts.sum().clamp_min(1e-9)
        return float(torch.exp(-(share * share.clamp_min(1e-12).log()).sum()))

    @torch.no_grad()
    def fit(self, latents: Tensor, generator: torch.Generator, rounds: int = 10) -> None:
        """Place the entries by spherical k-means on latents (n, C), n at least `size`."""
        latents = on_sphere(latents.reshape(-1, latents.shape[-1]))
        self.entries.copy_(latents[_draw(len(latents), self.size, generator).to(latents.device)])
        for _ in range(rounds):
            chosen = self.tokens(latents)
            counts, sums = self._tally(latents, chosen)
            used = counts > 0
            self.entries[used] = on_sphere(sums[used])
            spare = latents[_draw(len(latents), int((~used).sum()), generator).to(latents.device)]
            self.entries[~used] = spare
        counts, sums = self._tally(latents, self.tokens(latents))
        # In units of one training batch the counts differ, but a running average forgets this start quickly.
        scale = self.size / counts.sum()
        self.counts.copy_(counts * scale)
        self.sums.copy_(sums * scale + self.entries * 1e-3)
        self.ready.fill_(True)

    @torch.no_grad()
    def forget(self) -> None:
        """Begin the running averages anew from the entries: a trained model that is to go on has kept none."""
        self.counts.fill_(1.0)
        self.sums.copy_(self.entries)

    @torch.no_grad()
    def update(self, latents: Tensor, tokens: Tensor) -> None:
        """Move each entry towards the latents that chose it: latents (..., C), tokens (...)."""
        latents = latents.reshape(-1, latents.shape[-1]).float()
        counts, sums = self._tally(latents, tokens.reshape(-1))
        self.counts.lerp_(counts, 1 - self.decay)
        self.sums.lerp_(sums, 1 - self.decay)
        self.entries.copy_(on_sphere(self.sums))

    @torch.no_grad()
    def revive(self, latents: Tensor, generator: torch.Generator, share: float = 0.03) -> int:
        """Move entries used less than `share` of the average onto latents of this batch; return how many there were."""
        latents = latents.reshape(-1, latents.shape[-1]).float()
        mean = self.counts.mean()
        dead = (self.counts < share * mean).nonzero().squeeze(-1)
        if len(dead):
            fresh = latents[_draw(len(latents), len(dead), generator).to(latents.device)]
            weight = share * 3 * mean  # a fair chance before the next look, yet light enough to move at once
            self.entries[dead] = fresh
            self.counts[dead] = weight
            self.sums[dead] = fresh * weight
        return len(dead)

    def _tally(self, latents: Tensor, tokens: Tensor) -> tuple[Tensor, Tensor]:
        counts = torch.bincount(tokens, minlength=self.size).to(latents.dtype)
        sums = torch.zeros_like(self.entries).index_add_(0, tokens, latents)
        return counts, sums


def _draw(population: int, n: int, generator: torch.Generator) -> Tensor:
    """Indices of `n` members, without repetition while the population lasts."""
    if n <= population:
        return torch.randperm(population, generator=generator)[:n]
    return torch.randint(population, (n,), generator=generator)
