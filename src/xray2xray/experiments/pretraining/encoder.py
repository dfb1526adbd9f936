"""What a self-supervised network leaves behind: views in, one feature vector and a sequence of tokens out."""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from ...core.errors import InputError
from ...models.vision.normalise import from_network, to_network
from ...models.vision.vqgan import VisionModel
from ...radiograph.display import WINDOW
from ..supervised.backbones.vit import VisionTransformer
from .networks.igpt import ImageGPT

AT_ONCE = 64  # views that are read together
POOLINGS = ("class", "mean")


class Encoder(nn.Module):
    """Frozen features of a view; `width` numbers each.

    Attributes:
        width: of the features, and of each token.
        notes: how it was made, as its config.json says.
    """

    width: int
    notes: dict[str, Any]

    def read(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Views (b, 1, h, w) in network values -> features (b, width) and tokens (b, t, width)."""
        raise NotImplementedError

    def features(self, views_p: NDArray[Any]) -> NDArray[np.float32]:
        """Line integrals (n, h, w), or (h, w), of any kind of number -> float32 (n, width).

        Raises:
            InputError: another shape, or pixels that are not finite.
        """
        return self.read_views(views_p)[0]

    def tokens(self, views_p: NDArray[Any]) -> NDArray[np.float32]:
        """As `features`, but one vector for each patch, row by row from the top left: float32 (n, t, width)."""
        return self.read_views(views_p)[1]

    @torch.no_grad()
    def read_views(self, views_p: NDArray[Any]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """`features` and `tokens` at once."""
        views = np.asarray(views_p)
        views = views[None] if views.ndim == 2 else views
        if views.ndim != 3 or not all(views.shape):
            raise InputError(f"an encoder wants views (n, h, w), got an array {views.shape}")
        device = next(self.parameters()).device
        parts = []
        for start in range(0, len(views), AT_ONCE):
            x = torch.from_numpy(np.asarray(views[start : start + AT_ONCE], np.float32))
            if not torch.isfinite(x).all():
                raise InputError("views hold NaN or infinity; check the images they came from")
            parts.append(tuple(part.float().cpu() for part in self.read(to_network(x)[:, None].to(device))))
        features, tokens = (torch.cat(part).numpy() for part in zip(*parts, strict=True))
        return features, tokens


class ViTEncoder(Encoder):
    """A vision transformer: features are the class token, or the mean over the patches, after the norm."""

    def __init__(self, vit: VisionTransformer, pooling: str) -> None:
        super().__init__()
        if pooling not in POOLINGS:
            raise InputError(f"there is no pooling {pooling!r}; choose {' or '.join(POOLINGS)}")
        self.vit, self.pooling, self.width, self.notes = vit, pooling, vit.width, {}

    def read(self, x: Tensor) -> tuple[Tensor, Tensor]:
        found = self.vit.read(*self.vit.patch_embed(x))
        patches = found[:, 1 + self.vit.config.registers :]
        return found[:, 0] if self.pooling == "class" else patches.mean(dim=1), patches


class PublicEncoder(ViTEncoder):
    """A public encoder of radiographs: it sees a view as one is shown, at the size for which its positions are."""

    def __init__(self, vit: VisionTransformer) -> None:
        super().__init__(vit, "class")

    def read(self, x: Tensor) -> tuple[Tensor, Tensor]:
        low, high = WINDOW
        shown, side = ((from_network(x) - low) / (high - low)).clamp(0, 1), self.vit.config.picture
        if shown.shape[2:] != (side, side):
            shown = F.interpolate(shown, (side, side), mode="bilinear", antialias=True)
        return super().read(shown)


class TokenEncoder(Encoder):
    """V's tokens, read by a GPT: the hidden states of its middle layer, and their mean."""

    def __init__(self, vision: VisionModel, gpt: ImageGPT) -> None:
        super().__init__()
        self.vision, self.gpt, self.width, self.notes = vision, gpt, gpt.config.dim, {}

    def read(self, x: Tensor) -> tuple[Tensor, Tensor]:
        side = self.vision.config.size
        if x.shape[2:] != (side, side):
            raise InputError(f"this encoder reads views of {side} x {side} pixels, got {x.shape[2]} x {x.shape[3]}")
        tokens = self.gpt.middle(self.vision.tokens(self.vision.encode(x)))
        return tokens.mean(dim=1), tokens
