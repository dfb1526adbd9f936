"""The sampler of the direct form: how the views of possible chests deviate from the prediction, at all angles together.

One vector of noise is drawn for a patient and shared by all views, so that the views of a sample belong to one chest.
In closed form it moves the views along the principal directions of the residuals, which are joint over all angles; a
small network, which reads the direct form's hidden states of the frontal, scales that for each patient.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from .blocks import ConditionedBlock, angle_features, initialise

KNOT_STEP_DEG = 15.0
KNOTS_DEG = tuple(float(yaw) for yaw in range(-90, 91, 15))
FRONTAL_KNOT = KNOTS_DEG.index(0.0)
# Noise inflation factor of what the spread cannot explain: it is no white noise. The least error of the 40 held-out
# patients of the packaged model was at 10 to 20, whichever view was added.
NOISE_INFLATION = 12.0


@dataclass(frozen=True)
class SamplerConfig:
    """`hidden` is the width of the direct form whose prediction is the mean, `noise` the numbers that make a sample."""

    tokens: int = 64
    latent_dim: int = 32
    hidden: int = 256
    dim: int = 128
    heads: int = 4
    blocks: int = 2
    condition_dim: int = 64
    harmonics: int = 6
    noise: int = 192
    outputs: int = 192


class LinearSpread(nn.Module):
    """The residuals of a prediction as a linear function of standard normal noise (probabilistic principal components:
    Tipping and Bishop, J. R. Stat. Soc. B 61:611, 1999), at `KNOTS_DEG` and between them interpolated."""

    loadings: Tensor
    basis: Tensor

    def __init__(self, shape: tuple[int, int], noise: int, outputs: int) -> None:
        super().__init__()
        self.shape = shape
        self.register_buffer("loadings", torch.zeros(len(KNOTS_DEG), noise, outputs))
        self.register_buffer("basis", torch.zeros(outputs, shape[0] * shape[1]))

    @torch.no_grad()
    def fit(self, residuals: Tensor) -> None:
        """Fit to residuals (patients, knots, n, C) from the frontal, whose own knot does not count: it is given."""
        patients, knots = residuals.shape[:2]
        noise, outputs = self.loadings.shape[1:]
        open_ones = torch.tensor([yaw != 0.0 for yaw in KNOTS_DEG])[:, None]
        joint = (residuals - residuals.mean(dim=0)).flatten(2) * open_ones
        rank = min(noise, patients - 1, joint[0].numel())
        _, size, directions = torch.svd_lowrank(joint.flatten(1), q=rank, niter=4)
        full = (directions * size / max(1, patients - 1) ** 0.5).T.unflatten(1, (knots, -1)).transpose(0, 1)
        # All angles share one basis, as in the linear prior.
        shared_rank = min(outputs, knots * rank, full.shape[2])
        _, _, shared = torch.svd_lowrank(full.flatten(0, 1), q=shared_rank, niter=4)
        self.loadings.zero_()[:, :rank, :shared_rank] = full @ shared
        self.basis.zero_()[:shared_rank] = shared.T

    def forward(self, noise: Tensor, yaw_deg: Tensor) -> Tensor:
        """Deviations (b, t, n, C) of patients' views, from noise (b, k) and angles (b, t). Always float32."""
        with torch.autocast(noise.device.type, enabled=False):
            position = ((yaw_deg.float() - KNOTS_DEG[0]) / KNOT_STEP_DEG).clamp(0, len(KNOTS_DEG) - 1)
            below = position.floor().long().clamp(max=len(KNOTS_DEG) - 2)
            share = (position - below)[..., None]
            moved = torch.einsum("bk,qko->bqo", noise.float(), self.loadings)
            row = torch.arange(len(noise), device=noise.device)[:, None]
            # Next to the frontal, whose own loadings are zero, it is the variance that grows as the angle does.
            beside = ((below == FRONTAL_KNOT) | (below + 1 == FRONTAL_KNOT))[..., None]
            lower, upper = (torch.where(beside, weight.sqrt(), weight) for weight in (1 - share, share))
            mixed = lower * moved[row, below] + upper * moved[row, below + 1]
            return (mixed @ self.basis).unflatten(-1, self.shape)

    def noise_given(self, residuals: Tensor, yaw_deg: Tensor) -> Tensor:
        """The expected noise (b, k) of patients, given residuals (b, v, n, C) of their further views at (v,) degrees.

        The noise given the residuals is normal again (Bishop, Pattern Recognition and Machine Learning, 2006, section
        2.3.3); its mean moves all other predictions.
        """
        each = torch.eye(self.loadings.shape[1], device=self.loadings.device)
        yaw = yaw_deg.to(residuals.device).expand(len(each), -1)
        loadings = self(each, yaw).flatten(1)  # (k, v * n * C): what each number of the noise does to these views
        rest = residuals.flatten(1).float()
        gram, seen = loadings @ loadings.T, rest @ loadings.T
        eye = torch.eye(len(gram), device=rest.device)
        # The part of each patient's residual that no noise explains, by the degrees of freedom that are left.
        nearly = gram + 1e-6 * gram.diagonal().mean() * eye
        explained = (seen * torch.linalg.solve(nearly, seen.T).T).sum(dim=1)
        freedom = max(1, rest.shape[1] - len(gram))
        unexplained = (rest.square().sum(dim=1) - explained).clamp_min(0) / freedom
        damped = gram + (NOISE_INFLATION * unexplained + 1e-6 * gram.diagonal().mean())[:, None, None] * eye
        return torch.linalg.solve(damped, seen[..., None])[..., 0]


class DirectSampler(nn.Module):
    """Noise (b, k) -> the deviations of a patient's views from those that the direct form predicts from the frontal."""

    temperature: Tensor

    def __init__(self, config: SamplerConfig) -> None:
        super().__init__()
        self.config = config
        dim = config.dim
        self.embed_hidden = nn.Linear(config.hidden, dim)
        self.embed_spread = nn.Linear(config.latent_dim, dim)
        self.place = nn.Parameter(torch.randn(config.tokens, dim) * 0.02)
        self.condition = nn.Sequential(
            nn.Linear(2 * config.harmonics + config.noise, config.condition_dim),
            nn.SiLU(),
            nn.Linear(config.condition_dim, config.condition_dim),
            nn.SiLU(),
        )
        initialise(self)
        for layer in self.condition:
            if isinstance(layer, nn.Linear):
                nn.init.normal_(layer.weight, std=layer.in_features**-0.5)
        self.spread = LinearSpread((config.tokens, config.latent_dim), config.noise, config.outputs)
        self.blocks = nn.ModuleList(
            ConditionedBlock(dim, config.heads, config.condition_dim) for _ in range(config.blocks)
        )
        self.norm = nn.LayerNorm(dim)
        self.out = nn.Linear(dim, 2 * config.latent_dim)
        nn.init.zeros_(self.out.weight)  # training starts from the linear spread
        nn.init.zeros_(self.out.bias)
        # Residuals of patients that were learned from are too small; this factor is found on ones held out.
        self.register_buffer("temperature", torch.ones(()))

    def noise(self, *shape: int, generator: torch.Generator) -> Tensor:
        """Standard normal noise (*shape, k): a seed's first vectors are the same however many, on every device."""
        vectors = [torch.randn(self.config.noise, generator=generator) for _ in range(math.prod(shape))]
        return torch.stack(vectors).unflatten(0, shape).to(self.place.device)

    def forward(self, hidden: Tensor, yaw_deg: Tensor, noise: Tensor) -> Tensor:
        """Deviations (b, t, n, C) from hidden states (b, t, n, hidden) of the direct form, angles (b, t), noise (b, k).

        The network scales the linear deviation and shifts it, token by token.
        """
        linear = self.spread(noise, yaw_deg)
        shared = noise[:, None].expand(-1, yaw_deg.shape[1], -1)
        condition = self.condition(torch.cat([angle_features(yaw_deg, self.config.harmonics), shared], dim=-1))
        x = (self.embed_hidden(hidden) + self.embed_spread(linear) + self.place).flatten(0, 1)
        for block in self.blocks:
            x = block(x, condition.flatten(0, 1))
        scale, shift = self.out(self.norm(x)).float().unflatten(0, linear.shape[:2]).chunk(2, dim=-1)
        return self.temperature * (linear * scale.exp() + shift)

    def sample(self, predicted: Tensor, hidden: Tensor, yaw_deg: Tensor, noise: Tensor) -> Tensor:
        """Latents (s, b, t, n, C) of s samples of each patient, around what `DirectTransition.expected` gives for
        frontals at (b, t) degrees, from noise (s, b, k)."""
        return torch.stack([predicted + self(hidden, yaw_deg, one) for one in noise])
