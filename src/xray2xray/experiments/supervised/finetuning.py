"""Full fine-tuning: every weight of an encoder that learned without labels goes on learning, from the labels.

    from xray2xray.experiments.supervised.finetuning import FineTunedNetwork
    network = FineTunedNetwork("volumetric", seconds=900).fit(frontals_p, {"edema": edema}, time, event)

Endpoints, training, files and refusals are those of the supervised baselines.
"""

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ...core.errors import InputError, UsageError
from ...io.model_folder import folder_of, read_config
from ...models.transitions import LatentViews, Observation
from ...models.transitions.base import across
from ...models.vision.normalise import to_network
from ...models.world_model import POOL, WorldModel, pooled
from ...probing.endpoints import Endpoints
from ...probing.head import Array
from ...probing.probe import fit as fit_probe
from ...probing.survival import CoxHead
from ...projection.geometry import Pose
from ..pretraining.encoder import Encoder
from ..pretraining.encoder_file import load_encoder
from .backbones.backbone import Backbone
from .network import MultiTaskNetwork, Rows, parts
from .supervised import SupervisedNetwork

FRONTAL = Pose(0.0)
VISION, VOLUMETRIC, ENCODER = "vision", "volumetric", "encoder"  # what is fine-tuned


class VisionBackbone(Backbone):
    """V's encoder: views in network values (b, 1, h, w) -> its latents, the whole grid, (b, n * C)."""

    def __init__(self, model: WorldModel) -> None:
        super().__init__()
        self.vision, config = model.vision, model.config.vision
        self.width = config.tokens * config.latent_dim

    def forward(self, x: Tensor) -> Tensor:
        return self.vision.encode(x).flatten(1)


class VolumetricBackbone(Backbone):
    """V's encoder and M: frontals in network values (b, 1, h, w) -> what `WorldModel.features` calls volumetric."""

    def __init__(self, model: WorldModel) -> None:
        super().__init__()
        if not model.transition.differentiable:
            raise UsageError(f"the {model.config.form} form cannot be fine-tuned: its tokens have no gradient")
        self.vision, self.transition, config = model.vision, model.transition, model.config.vision
        self.width = config.tokens * config.latent_dim + POOL**2 * model.width("hidden")

    def forward(self, x: Tensor) -> Tensor:
        latents = self.vision.encode(x)
        state = self.transition.observe([Observation(LatentViews(latents), FRONTAL, self.vision)])
        states = self.transition.features(state, [across(FRONTAL)])
        return torch.cat([latents.flatten(1), pooled(states, POOL)], dim=1)


class EncoderBackbone(Backbone):
    """An encoder of `downstream.pretraining`: views in network values -> its features."""

    def __init__(self, encoder: Encoder) -> None:
        super().__init__()
        self.encoder, self.width = encoder, encoder.width

    def forward(self, x: Tensor) -> Tensor:
        return self.encoder.read(x)[0]


class FromLineIntegrals(MultiTaskNetwork):
    """As `MultiTaskNetwork`, of line integrals p (b, h, w); its backbone sees them on the one scale of all networks."""

    def forward(self, pictures: Tensor) -> Tensor:
        return self.heads(self._seen(pictures)).float()

    @torch.no_grad()
    def features(self, pictures: NDArray[Any], rows: Rows) -> Array:
        """What the backbone makes of some of the pictures (n, h, w): float64 (m, width)."""
        seen = [self._seen(some.to(self.mean.device)).double().cpu() for some in parts(pictures, rows)]
        return torch.cat(seen).numpy()

    def _seen(self, pictures: Tensor) -> Tensor:
        return self.backbone(to_network(pictures)[:, None])


@dataclass(eq=False)
class FineTunedNetwork(SupervisedNetwork):
    """`SupervisedNetwork` that begins as a trained encoder and linear probes of it; its `images` are line integrals.

    Probes first (Kumar et al. 2022, arXiv 2202.10054): a head that knows nothing would spoil what the encoder knows.
    They are fitted on the training pictures, and their time counts.

    Args:
        method: `volumetric`, a world model's V and M (direct); `vision`, its V alone; `encoder`, one of
            `training.pretrain`.
        source: the world model as `WorldModel.from_pretrained` takes it, or the encoder's folder.
    """

    method: str = VOLUMETRIC
    rate: float = 1e-4
    source: str = "tiny"

    def _begin(self, images: NDArray[Any], truth: Endpoints, train: Rows, mean: float, sd: float) -> MultiTaskNetwork:
        network = super()._begin(images, truth, train, mean, sd)
        assert isinstance(network, FromLineIntegrals)
        heads = probed(network.features(images, train), truth.take(train), network.heads.bias, self.seed)
        for parameter, found in zip((network.heads.weight, network.heads.bias), heads):
            parameter.data.copy_(found)
        return network

    def _named(self) -> dict[str, Any]:
        return {**super()._named(), "source": self.source}

    def _check_images(self, images: NDArray[Any]) -> None:
        super()._check_images(images)
        if self.method != ENCODER:
            side = int(read_config(folder_of(self.source))["vision"]["size"])
            if images.shape[1:] != (side, side):
                raise InputError(f"{self.source} sees views of {side} x {side} pixels, got an array {images.shape}")

    def _untrained(self, answers: int, mean: float = 0.0, sd: float = 1.0) -> MultiTaskNetwork:
        return FromLineIntegrals(open_backbone(self.method, self.source), answers, mean, sd)


def probed(x: Array, truth: Endpoints, bias: Tensor, seed: int) -> tuple[Tensor, Tensor]:
    """Weights (k, d) and biases (k,) of linear probes of features (n, d); the last, of an event, is a Cox regression.

    Args:
        bias: (k,), which a finding keeps, without weights, where there are too few patients to fit a probe.
    """
    weights, biases = np.zeros((len(bias), x.shape[1])), bias.detach().double().numpy().copy()
    for i, (name, column) in enumerate(zip(truth.names, truth.findings.T)):
        known = ~np.isnan(column)
        with suppress(InputError):
            probe = fit_probe(x[known], column[known].astype(np.int64), label=name, features="features", seed=seed)
            weights[i] = probe.weights / probe.scale
            biases[i] = probe.intercept - weights[i] @ probe.mean
    if truth.time is not None and truth.event is not None:
        followed = ~np.isnan(truth.time)
        with suppress(InputError):
            head = CoxHead("event", "features", seed=seed).fit(x[followed], truth.time[followed], truth.event[followed])
            weights[-1] = head.weights_ / head.scale_
            biases[-1] = -weights[-1] @ head.mean_
    return torch.from_numpy(weights).float(), torch.from_numpy(biases).float()


def open_backbone(method: str, source: str | Path) -> Backbone:
    """A trained encoder that learns on.

    Raises:
        InputError: the source cannot be used.
        UsageError: no such method, or a world model without a direct form.
    """
    backbones = {VISION: VisionBackbone, VOLUMETRIC: VolumetricBackbone}
    if method == ENCODER:
        return EncoderBackbone(load_encoder(source)).requires_grad_(True).train()
    if method not in backbones:
        raise UsageError(f"there is no fine-tuning of {method!r}; choose {', '.join([*backbones, ENCODER])}")
    return backbones[method](WorldModel.from_pretrained(source, "direct")).requires_grad_(True).train()
