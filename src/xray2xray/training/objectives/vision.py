"""The objective of V: reconstruct views through latents and tokens, and late in training against a critic."""

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ...data.store import SCALE
from ...models.vision.codebook import on_sphere
from ...models.vision.discriminator import Discriminator, critic_loss, matching_loss
from ...models.vision.normalise import to_network
from ...models.vision.vqgan import VisionModel
from ..objective import Batch, Objective, TrainingStopped, draw_rows
from ..pictures import contact_sheet
from ..settings import Settings, Size
from ..steps import LoopConfig

if TYPE_CHECKING:
    from ..stage_data import StageData


@dataclass(frozen=True)
class VisionLosses:
    """Weights, and shares of the steps at which things begin."""

    mse: float = 10.0  # x in [-1, 1]: at 33 dB the mean square is 0.002, the mean distance 0.03
    coarse: float = 0.5
    gradient: float = 0.5
    commitment: float = 0.05
    adversarial: float = 0.003  # small: the metric is PSNR, and a critic rewards grain that is not there
    matching: float = 0.02
    quantise_from: float = 0.08  # first a plain autoencoder, so that k-means finds trained latents
    critic_from: float = 0.8
    critic_width: int = 32
    revive_every: int = 100
    revive_until: float = 0.9


class VisionObjective(Objective):
    """Views are uint16 as stored: (patients, n, size, size), drawn by the `weight` (patients,) of their patient, and
    `held_out` (m, size, size)."""

    stage = "vision"
    parts = ("model", "critic")

    def __init__(
        self, model: VisionModel, views: np.ndarray, weight: Tensor, held_out: np.ndarray, losses: VisionLosses
    ) -> None:
        super().__init__()
        self.model = model
        self.critic = Discriminator(losses.critic_width)
        self.losses = losses
        self._views, self._weight = views, weight
        self._held_out = held_out
        self._seen: tuple[Tensor, Tensor] | None = None  # this step's latents and tokens, for the codebook
        self._drawn: Tensor | None = None  # this step's reconstruction, for the critic

    @classmethod
    def settings(cls, size: Size) -> Settings:
        if size.steps is None:
            return Settings(size.vision, LoopConfig(steps=2800, batch=32, rate=1e-3), VisionLosses())
        return Settings(size.vision, LoopConfig(steps=size.steps, batch=64, rate=5e-4), VisionLosses())

    @classmethod
    def build(cls, model: VisionModel, data: "StageData", training: VisionLosses) -> Self:
        learned = data.views[: len(data.weight)]
        looked_at = data.views[len(learned) :] if data.studies.held_out else learned
        flat = looked_at.reshape(-1, *looked_at.shape[2:])
        count = min(data.recipe.held_out_views, len(flat))
        return cls(model, learned, data.weight, flat[np.linspace(0, len(flat) - 1, count).astype(int)], training)

    def prepare(self, started: bool) -> None:
        if started:
            self.model.codebook.forget()

    @property
    def result(self) -> VisionModel:
        return self.model

    def learned(self, part: str) -> nn.Module:
        return self.model if part == "model" else self.critic

    def active(self, part: str, progress: float) -> bool:
        return part == "model" or progress >= self.losses.critic_from

    def draw(self, size: int, progress: float, generator: torch.Generator) -> Batch:
        patients = draw_rows(self._weight, size, generator)
        views = torch.randint(self._views.shape[1], (size,), generator=generator)
        return {"x": self._network(self._views[patients.numpy(), views.numpy()])}

    def forward(self, batch: Batch, part: str, progress: float) -> tuple[Tensor, dict[str, Tensor]]:
        if part == "critic":
            return self._criticise(batch["x"])
        return self._reconstruct(batch["x"], self.active("critic", progress))

    def after_step(self, step: int, progress: float, generator: torch.Generator) -> dict[str, float]:
        codebook = self.model.codebook
        if progress < self.losses.quantise_from:
            return {}
        if not bool(codebook.ready):
            codebook.fit(self._latents_for_fit(generator), generator)
            return {}
        if self._seen is None:
            return {}
        latents, tokens = self._seen
        codebook.update(latents, tokens)
        figures = {"perplexity": codebook.perplexity()}
        if step % self.losses.revive_every == 0 and progress < self.losses.revive_until:
            figures["revived"] = float(codebook.revive(latents, generator))
        return figures

    def validate(self) -> dict[str, float]:
        x = self._network(self._held_out).to(next(self.parameters()).device)
        figures = {}
        for name, quantise in (("psnr", True), ("psnr_unquantised", False)):
            outputs = torch.cat([self.model(part, quantise) for part in x.split(32)])
            figures[name] = float(psnr(outputs, x).mean())
        return figures

    def watch(self, step: int, figures: dict[str, float]) -> None:
        perplexity = figures.get("perplexity")
        dead = max(2.0, 0.005 * self.model.codebook.size)
        if perplexity is not None and step > self.patience and perplexity < dead:
            raise TrainingStopped(
                f"vision: the codebook is dead at step {step} (perplexity {perplexity:.1f} of"
                f" {self.model.codebook.size}); lower the rate or train longer before quantising"
            )
        if step > self.patience and figures.get("latent_spread", 1.0) < 1e-3:
            raise TrainingStopped(f"vision: all views have the same latents at step {step}; lower the rate")

    def picture(self) -> np.ndarray:
        """Truth, reconstruction through tokens, reconstruction through unquantised latents, of six held-out views."""
        chosen = np.linspace(0, len(self._held_out) - 1, 6).astype(int)
        x = self._network(self._held_out[chosen]).to(next(self.parameters()).device)
        return contact_sheet([x, self.model(x, True), self.model(x, False)])

    def configuration(self) -> dict[str, Any]:
        return {"model": asdict(self.model.config), "losses": asdict(self.losses), "patients": len(self._views)}

    def _reconstruct(self, x: Tensor, criticised: bool) -> tuple[Tensor, dict[str, Tensor]]:
        model, weights = self.model, self.losses
        latents = model.encode(x)
        decoded, commitment = latents, latents.new_zeros(())
        if bool(model.codebook.ready):
            tokens = model.tokens(latents)
            entries = model.codebook.lookup(tokens)
            commitment = F.mse_loss(latents, entries)
            straight_through = latents + (entries - latents).detach()
            # Half of the (randomly drawn) batch goes unquantised: regressed latents are decoded without tokens later.
            half = len(x) // 2
            decoded = torch.cat([straight_through[:half], latents[half:]])
            self._seen = (latents.detach(), tokens)
        output = model.decode(decoded)
        loss, figures = pixel_losses(output, x, weights)
        loss = loss + weights.commitment * commitment
        figures |= {"commitment": commitment.detach(), "latent_spread": latents.detach().std(dim=0).mean()}
        if criticised:
            score, features = self.critic(output)
            with torch.no_grad():
                _, wanted = self.critic(x)
            matching = matching_loss(wanted, features)
            loss = loss - weights.adversarial * score.float().mean() + weights.matching * matching
            figures |= {"matching": matching.detach()}
            self._drawn = output.detach()
        return loss, figures

    def _criticise(self, x: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        assert self._drawn is not None, "the model's part comes first in each step"
        real, _ = self.critic(x)
        fake, _ = self.critic(self._drawn)
        return critic_loss(real, fake), {}

    @torch.no_grad()
    def _latents_for_fit(self, generator: torch.Generator) -> Tensor:
        """Latents of enough random views to place every entry (about 20 per entry)."""
        wanted = -(-20 * self.model.codebook.size // self.model.config.tokens)
        device = next(self.parameters()).device
        batches = [self.draw(min(64, wanted), 0.0, generator)["x"] for _ in range(-(-wanted // 64))]
        return torch.cat([on_sphere(self.model.encode(x.to(device))).flatten(0, 1) for x in batches])

    @staticmethod
    def _network(stored: np.ndarray) -> Tensor:
        return stored_to_network(stored)[:, None]


def stored_to_network(stored: np.ndarray, device: torch.device | str = "cpu") -> Tensor:
    """Network values of views as a store keeps them, uint16 of any shape; they travel to the device as they are."""
    # torch hardly knows uint16: the same bits as int16, and the sign taken back.
    bits = torch.from_numpy(np.ascontiguousarray(stored).view(np.int16)).to(device)
    return to_network((bits.int() & 0xFFFF).float() / SCALE)


def pixel_losses(output: Tensor, x: Tensor, weights: VisionLosses) -> tuple[Tensor, dict[str, Tensor]]:
    """Distances at full, half and quarter resolution, of the gradients, and the mean square the metric is made of."""
    output = output.float()
    difference = output - x
    mse = difference.square().mean()
    coarse = sum((F.avg_pool2d(difference, k).abs().mean() for k in (2, 4, 8)), start=mse.new_zeros(())) / 3
    gradient = (difference.diff(dim=-1).abs().mean() + difference.diff(dim=-2).abs().mean()) / 2
    loss = difference.abs().mean() + weights.mse * mse + weights.coarse * coarse + weights.gradient * gradient
    return loss, {"psnr": psnr(output, x).mean().detach()}


def psnr(output: Tensor, x: Tensor) -> Tensor:
    """PSNR in dB of each view (b, 1, h, w) in network values, by the project's metric: clip(p, 0, 10) / 10, range 1."""
    square = ((output.clamp(-1, 1) - x) / 2).square().flatten(1).mean(dim=1)
    return -10 * torch.log10(square.clamp_min(1e-10))
