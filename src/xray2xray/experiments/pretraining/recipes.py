"""What each method's networks are and how they are trained, in two sizes."""

from dataclasses import dataclass, replace

from ...core.errors import UsageError
from ...training.steps import LoopConfig
from ..budget import Plan
from ..supervised.backbones.vit import ViTConfig
from .networks.contrastive import ContrastiveConfig
from .networks.dino import DINOConfig
from .networks.igpt import ImageGPTConfig
from .networks.mae import MAEConfig
from .objectives.dino import DINOTraining

VITS = {
    "tiny": ViTConfig(width=192, depth=6, heads=3, patch=16, picture=128),
    "small": ViTConfig(width=384, depth=12, heads=6, patch=8, picture=128),
}
GPTS = {"tiny": ImageGPTConfig(), "small": ImageGPTConfig(dim=512, layers=12)}


@dataclass(frozen=True)
class Recipe:
    """`held_out`: patients of the store that are only looked at, `checks` times."""

    model: MAEConfig | ImageGPTConfig | DINOConfig | ContrastiveConfig
    loop: LoopConfig
    training: DINOTraining | None = None
    held_out: int = 40
    checks: int = 10

    def loop_of(self, plan: Plan) -> LoopConfig:
        """The loop, with its schedule over the plan's steps instead of its own."""
        every, warm_up = plan.check_every, min(self.loop.warm_up, plan.steps // 10)
        return replace(self.loop, steps=plan.steps, warm_up=warm_up, log_every=min(50, every), check_every=every)


def recipe(method: str, size: str = "tiny") -> Recipe:
    """The recipe of `mae`, `igpt`, `dino`, `contrastive` or `contrastive_all`.

    - `tiny`: six layers of 192 (iGPT: of 256), 64 patches; for a CPU.
    - `small`: twelve layers of 384 (iGPT: of 512), 256 patches; for a GPU.

    Raises:
        UsageError: there is no such method or size.
    """
    if size not in VITS:
        raise UsageError(f"there is no size {size!r}; choose {', '.join(VITS)}")
    vit, rate = VITS[size], {"tiny": 1.0, "small": 0.5}[size]
    if method == "mae":
        return Recipe(MAEConfig(vit), LoopConfig(8000, 64, 1e-3 * rate, betas=(0.9, 0.95), weight_decay=0.05))
    if method == "igpt":
        return Recipe(GPTS[size], LoopConfig(2500, 32, 8e-4 * rate, betas=(0.9, 0.95)))
    if method == "dino":
        loop = LoopConfig(2500, 16, 5e-4 * rate, betas=(0.9, 0.99), weight_decay=0.05, clip=3.0)
        return Recipe(DINOConfig(vit), loop, DINOTraining())
    if method == "contrastive":
        return Recipe(ContrastiveConfig(vit), LoopConfig(1500, 32, 5e-4 * rate, weight_decay=0.05))
    if method == "contrastive_all":  # all 37 views in time, eight at once
        return Recipe(ContrastiveConfig(vit, views=8), LoopConfig(1500, 8, 5e-4 * rate, weight_decay=0.05))
    raise UsageError(f"there is no method {method!r}; choose {', '.join(METHODS)}")


METHODS = ("mae", "igpt", "dino", "contrastive", "contrastive_all")
