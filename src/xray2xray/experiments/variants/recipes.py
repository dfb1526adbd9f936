"""The variants of M that are compared: how each is made, what it learns from, and what it is when trained."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np
import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from ...evaluation.predictors import Predictor
from ...models.transitions import AutoregressiveConfig, AutoregressiveTransition, DirectConfig, DirectTransition
from ...models.vision.vqgan import VisionModel
from ...models.world_model import WorldModel
from ...training.objectives.autoregressive import AutoregressiveObjective, AutoregressiveTraining
from ...training.objectives.direct import DirectObjective, DirectTraining
from ...training.steps import LoopConfig, Machine, Steps
from .image_to_image import ImageToImage, ImageToImageObjective

WIDTH, HEADS = 128, 4  # half of `tiny`'s: a CPU gets through more views
TRAINING = DirectTraining(pixel_weight=0.0)  # latents alone, for the same reason
TARGETS = TRAINING.targets
Trainable: TypeAlias = DirectObjective | AutoregressiveObjective | ImageToImageObjective


@dataclass(frozen=True)
class Data:
    """V, and the stored views (patients, 37, h, w) with its latents and tokens of them; those beyond `weight` are held
    out."""

    vision: VisionModel
    views: np.ndarray
    latents: np.ndarray
    tokens: np.ndarray
    weight: Tensor


@dataclass(frozen=True)
class Variant:
    """`minus`: the variant that it is compared with. `seeds`: trainings at most."""

    words: str
    make: Callable[[Data], Trainable]
    loop: LoopConfig
    minus: str
    seeds: int = 2


def direct(layers: int, paired: bool = True) -> Callable[[Data], Trainable]:
    """The direct form with half of the layers before and half after the turn."""

    def make(data: Data) -> Trainable:
        seen = data.vision.config
        config = DirectConfig(seen.tokens, seen.latent_dim, WIDTH, HEADS, trunk=layers // 2, head=layers // 2)
        learned = data if paired else unpaired(data)
        return DirectObjective(
            DirectTransition(config), data.vision, learned.latents, learned.views, data.weight, TRAINING
        )

    return make


def autoregressive(layers: int, training: AutoregressiveTraining, **config: Any) -> Callable[[Data], Trainable]:
    """The paper's form; `config`: what its `AutoregressiveConfig` has beside the sizes."""

    def make(data: Data) -> Trainable:
        seen = data.vision.config
        model = AutoregressiveTransition(
            AutoregressiveConfig(seen.tokens, seen.codebook_size, WIDTH, HEADS, layers, **config)
        )
        return AutoregressiveObjective(model, data.vision, data.tokens, data.views, data.weight, training)

    return make


def image_to_image(data: Data) -> Trainable:
    return ImageToImageObjective(ImageToImage(data.views.shape[-1]), data.views, data.weight, TARGETS)


def unpaired(data: Data, seed: int = 0) -> Data:
    """The same views, but at each angle in another order of the training patients: no two views are of one chest."""
    orders = np.random.default_rng(seed).permuted(np.tile(np.arange(len(data.weight)), (len(data.views[0]), 1)), axis=1)
    views, latents, tokens = (_reordered(array, orders) for array in (data.views, data.latents, data.tokens))
    return Data(data.vision, views, latents, tokens, data.weight)


def _reordered(array: np.ndarray, orders: np.ndarray) -> np.ndarray:
    """Of patients (n, angles, ...) the first ones in another order at each angle: orders (angles, m)."""
    changed = array.copy()
    for angle, order in enumerate(orders):
        changed[: len(order), angle] = array[order, angle]
    return changed


DIRECT_LOOP = LoopConfig(steps=1, batch=12, rate=8e-4)
JUMPS = AutoregressiveTraining(frontal_share=1.0)  # as it is packaged: a token for every jump
STEPS = AutoregressiveTraining(own_share=0.5)  # as in the paper, and half of the time behind its own last view
GPT_LOOP = LoopConfig(steps=1, batch=16, rate=8e-4, betas=(0.9, 0.95))
VARIANTS = {
    "direct": Variant("`direct`, 6 layers", direct(6), DIRECT_LOOP, "direct", seeds=5),
    "unpaired": Variant("taught with patients shuffled", direct(6, paired=False), DIRECT_LOOP, "direct", seeds=1),
    "direct_12": Variant("`direct`, 12 layers", direct(12), DIRECT_LOOP, "direct", seeds=1),
    "direct_24": Variant("`direct`, 24 layers", direct(24), DIRECT_LOOP, "direct_12", seeds=1),
    "image_to_image": Variant("U-Net, picture to picture", image_to_image, DIRECT_LOOP, "direct", seeds=3),
    "gpt_12": Variant(
        "`autoregressive`, 12 layers", autoregressive(12, JUMPS, actions="jump"), GPT_LOOP, "direct", seeds=1
    ),
    "walk": Variant(
        "the same by anchored steps of 5 degrees",
        autoregressive(12, STEPS, context_views=2),
        GPT_LOOP,
        "gpt_12",
        seeds=1,
    ),
    "gpt_24": Variant(
        "`autoregressive`, 24 layers", autoregressive(24, JUMPS, actions="jump"), GPT_LOOP, "gpt_12", seeds=1
    ),
}


def flops_of_a_step(objective: Trainable, loop: LoopConfig) -> int:
    """Of the forward and backward pass of one step, by torch's counter. The objective is trained a little by it."""
    steps = Steps(objective, replace(loop, steps=2), Machine(precision="32-true"))
    with FlopCounterMode(display=False) as counter:
        steps(1)  # in the middle of the training
    return counter.get_total_flops()


def models_and_predictors(
    runs: Mapping[str, Sequence[Trainable]], vision: VisionModel
) -> tuple[dict[str, WorldModel], dict[str, Predictor]]:
    """What was trained, by "name seed", ready to be evaluated: world models, and what is none."""
    models: dict[str, WorldModel] = {}
    predictors: dict[str, Predictor] = {}
    for name, objectives in runs.items():
        for seed, objective in enumerate(objectives):
            average = objective.average.eval()
            if isinstance(average, ImageToImage):
                predictors[f"{name} {seed}"] = average
            else:
                models[f"{name} {seed}"] = WorldModel(vision, average)
    return models, predictors


def seeded(variant: Variant, data: Data, seed: int) -> Trainable:
    """An untrained variant whose weights come from a seed."""
    torch.manual_seed(seed)
    return variant.make(data)
