"""Full fine-tuning: every weight of an encoder that learned without labels goes on learning, from the labels.

    from xray2xray.downstream.finetuning import FineTunedNetwork
    network = FineTunedNetwork("volumetric", seconds=900).fit(frontals_p, {"edema": edema}, time, event)

Endpoints, training, files and refusals are those of the supervised baselines.
"""

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from ..errors import UsageError
from ..transition.direct import DirectTransition
from ..vision.normalise import to_network
from ..world_model import VOLUMETRIC_YAW_DEG, WorldModel
from .backbones.backbone import Backbone
from .network import MultiTaskNetwork
from .pretraining.encoder import Encoder
from .pretraining.encoder_file import load_encoder
from .supervised import SupervisedNetwork

VISION, VOLUMETRIC, ENCODER = "vision", "volumetric", "encoder"  # what is fine-tuned


class VisionBackbone(Backbone):
    """V's encoder: views in network values -> its last channels, the mean over the grid, (b, width)."""

    def __init__(self, model: WorldModel) -> None:
        super().__init__()
        *layers, _ = model.vision.encoder  # the last brings the channels to those of a latent
        self.encoder, self.width = nn.Sequential(*layers), model.config.vision.widths[-1]

    def forward(self, x: Tensor) -> Tensor:
        grid: Tensor = self.encoder(x.contiguous(memory_format=torch.channels_last))
        return grid.mean(dim=(2, 3))


class VolumetricBackbone(Backbone):
    """V's encoder and M: frontals in network values -> the hidden states of five imagined views, the mean of each."""

    yaw_deg: Tensor

    def __init__(self, model: WorldModel) -> None:
        super().__init__()
        if not isinstance(model.transition, DirectTransition):
            raise UsageError("only the direct form is fine-tuned: tokens have no gradient")
        self.vision, self.transition = model.vision, model.transition
        self.register_buffer("yaw_deg", torch.tensor(VOLUMETRIC_YAW_DEG), persistent=False)
        self.width = len(VOLUMETRIC_YAW_DEG) * model.config.transition.dim

    def forward(self, x: Tensor) -> Tensor:
        frontal = torch.zeros(len(x), device=x.device)
        seen = self.transition.observe(self.vision.encode(x), frontal)
        states = self.transition.imagine(seen, self.yaw_deg.expand(len(x), -1))
        return self.transition.norm(states).mean(dim=2).flatten(1)


class EncoderBackbone(Backbone):
    """An encoder of `downstream.pretraining`: views in network values -> its features."""

    def __init__(self, encoder: Encoder) -> None:
        super().__init__()
        self.encoder, self.width = encoder, encoder.width

    def forward(self, x: Tensor) -> Tensor:
        return self.encoder.read(x)[0]


class FromLineIntegrals(MultiTaskNetwork):
    """As `MultiTaskNetwork`, of line integrals p (b, h, w); its backbone sees them on the one scale of all networks."""

    def __init__(self, backbone: Backbone, answers: int, mean: float, sd: float) -> None:
        super().__init__(backbone, answers, mean, sd)
        nn.init.zeros_(self.heads.weight)  # noise from a head that knows nothing would spoil what is known

    def forward(self, pictures: Tensor) -> Tensor:
        return self.heads(self.backbone(to_network(pictures)[:, None])).float()


@dataclass(eq=False)
class FineTunedNetwork(SupervisedNetwork):
    """`SupervisedNetwork` that begins as a trained encoder; its `images` are line integrals.

    Args:
        method: `volumetric`, a world model's V and M (direct); `vision`, its V alone; `encoder`, one of
            `training.pretrain`.
        source: the world model as `WorldModel.from_pretrained` takes it, or the encoder's folder.
    """

    method: str = VOLUMETRIC
    rate: float = 1e-4
    source: str = "tiny"

    def _untrained(self, answers: int, mean: float = 0.0, sd: float = 1.0) -> MultiTaskNetwork:
        return FromLineIntegrals(open_backbone(self.method, self.source), answers, mean, sd)


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
    return backbones[method](WorldModel.from_pretrained(source)).requires_grad_(True).train()
