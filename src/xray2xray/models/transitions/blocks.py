"""Transformer blocks: the causal one of a GPT with its cache, and the conditioned one of a DiT."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class KeyValueCache:
    """Keys and values of the positions one attention layer has seen, so that a new token costs one pass.

    The buffers are static: allocated once, for `capacity` positions and the first batch, and written over by every view
    of a roll-out. A later batch may be smaller.
    """

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._buffers: Tensor | None = None
        self.length = 0

    def rewind(self, length: int) -> None:
        """Forget all but the first `length` positions."""
        self.length = length

    def extend(self, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """Append (b, heads, t, d) and return everything seen so far."""
        batch, heads, count, dim = keys.shape
        if self._buffers is None:
            self._buffers = keys.new_empty(2, batch, heads, self._capacity, dim)
        start, self.length = self.length, self.length + count
        for buffer, fresh in zip(self._buffers, (keys, values), strict=True):
            buffer[:batch, :, start : self.length] = fresh
        seen = self._buffers[:, :batch, :, : self.length]
        return seen[0], seen[1]


class Attention(nn.Module):
    """Multi-head self-attention over (b, t, dim)."""

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(dim, 3 * dim)
        self.out = nn.Linear(dim, dim)

    def forward(self, x: Tensor, causal: bool = False, cache: KeyValueCache | None = None) -> Tensor:
        queries, keys, values = self.qkv(x).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        mask = None
        if cache is not None:
            keys, values = cache.extend(keys, values)
            fresh, seen = x.shape[1], keys.shape[2]
            if causal and fresh < seen:
                # New positions see all old ones and, among themselves, no later one; a single one sees everything.
                causal = False
                if fresh > 1:
                    mask = torch.ones(fresh, seen, dtype=torch.bool, device=x.device).tril(seen - fresh)
        mixed = F.scaled_dot_product_attention(queries, keys, values, attn_mask=mask, is_causal=causal)
        return self.out(mixed.transpose(1, 2).flatten(2))


class Feedforward(nn.Sequential):
    def __init__(self, dim: int, ratio: int = 4) -> None:
        super().__init__(nn.Linear(dim, ratio * dim), nn.GELU(approximate="tanh"), nn.Linear(ratio * dim, dim))


class CausalBlock(nn.Module):
    """Pre-norm GPT block (Radford et al. 2019)."""

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(dim)
        self.attention = Attention(dim, heads)
        self.norm2 = nn.LayerNorm(dim)
        self.feedforward = Feedforward(dim)

    def forward(self, x: Tensor, cache: KeyValueCache | None = None) -> Tensor:
        x = x + self.attention(self.norm1(x), causal=True, cache=cache)
        return x + self.feedforward(self.norm2(x))


class ConditionedBlock(nn.Module):
    """Bidirectional block with AdaLN-zero (Peebles & Xie 2023, arXiv 2212.09748, section 3.2): a condition (b, c)
    shifts, scales and gates, and with all gates at zero the block begins as the identity."""

    def __init__(self, dim: int, heads: int, condition_dim: int) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(dim, elementwise_affine=False)
        self.attention = Attention(dim, heads)
        self.norm2 = nn.LayerNorm(dim, elementwise_affine=False)
        self.feedforward = Feedforward(dim)
        self.modulation = nn.Linear(condition_dim, 6 * dim)
        nn.init.zeros_(self.modulation.weight)
        nn.init.zeros_(self.modulation.bias)

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        shift1, scale1, gate1, shift2, scale2, gate2 = self.modulation(condition)[:, None].chunk(6, dim=-1)
        x = x + gate1 * self.attention(self.norm1(x) * (1 + scale1) + shift1)
        return x + gate2 * self.feedforward(self.norm2(x) * (1 + scale2) + shift2)


def angle_features(yaw_deg: Tensor, harmonics: int) -> Tensor:
    """sin(k t) and cos(k t), k = 1 .. harmonics, of angles (...) in degrees: (..., 2 * harmonics)."""
    orders = torch.arange(1, harmonics + 1, device=yaw_deg.device, dtype=torch.float32)
    phases = torch.deg2rad(yaw_deg.float())[..., None] * orders
    return torch.cat([phases.sin(), phases.cos()], dim=-1)


def initialise(module: nn.Module) -> None:
    """Small normal weights and zero biases for the linear layers and embeddings of a transformer."""
    for part in module.modules():
        if isinstance(part, nn.Linear | nn.Embedding):
            nn.init.normal_(part.weight, std=0.02)
        if isinstance(part, nn.Linear) and part.bias is not None:
            nn.init.zeros_(part.bias)


def initialise_gpt(blocks: nn.Module) -> None:
    """GPT-2 (Radford et al. 2019): residual branches start smaller the deeper the network."""
    depth = sum(isinstance(block, CausalBlock) for block in blocks.children())
    for name, weight in blocks.named_parameters():
        if name.endswith(("attention.out.weight", "feedforward.2.weight")):
            nn.init.normal_(weight, std=0.02 / (2 * depth) ** 0.5)


@torch.no_grad()
def embed_codebook(embed: nn.Embedding, entries: Tensor) -> None:
    """Let tokens that look alike begin alike: embed the codebook's entries (K, C) by one random rotation."""
    dim, inside = embed.embedding_dim, entries.shape[1]
    rotation = torch.linalg.qr(torch.randn(dim, inside)).Q.T
    embed.weight.copy_(entries.cpu() @ rotation * (0.02 * (dim / inside) ** 0.5))
