"""The supervised baselines' networks, in plain torch: pictures in, features out."""

from ....core.errors import UsageError
from .backbone import Backbone
from .bi_mamba import BiMamba
from .cnn64 import CNN64
from .convnext import ConvNeXt
from .resnet import ResNet
from .vit import VisionTransformer

METHODS: dict[str, type[Backbone]] = {
    "resnet": ResNet,
    "vit": VisionTransformer,
    "convnext": ConvNeXt,
    "bi_mamba": BiMamba,
    "cnn64": CNN64,
}


def build_backbone(method: str, size: str = "paper") -> Backbone:
    """An untrained network for pictures of one channel: one of `METHODS`, `paper`, `small` or `tiny`.

    Raises:
        UsageError: there is no such method or size.
    """
    if method not in METHODS or size not in METHODS[method].SIZES:
        sizes = METHODS[method].SIZES if method in METHODS else ()
        known = f"its sizes are {', '.join(sizes)}" if sizes else f"there are {', '.join(METHODS)}"
        raise UsageError(f"there is no {method} of size {size}: {known}")
    return METHODS[method](METHODS[method].SIZES[size])
