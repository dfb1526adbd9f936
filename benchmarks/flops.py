"""FLOPs of the networks, counted from their configurations: a multiplication and an addition are two.

Only matrix products, convolutions and attention count, which is nearly all; attention counts as if nothing were masked,
as is usual. `tests/benchmarks/test_training.py` holds these sums to torch's own counter.
"""

from xray2xray.models.transitions import AutoregressiveConfig, DirectConfig
from xray2xray.models.vision.vqgan import FOLD, VisionConfig
from xray2xray.projection.geometry import STANDARD_ARC
from xray2xray.training.presets import Preset


def linear(rows: int, before: int, after: int) -> int:
    return 2 * rows * before * after


def convolution(side: int, before: int, after: int, kernel: int = 3) -> int:
    """`side` is that of the output."""
    return linear(side**2, before * kernel**2, after)


def block(tokens: int, dim: int) -> int:
    """A transformer block: queries, keys, values, output, a feed-forward network four times as wide; attention."""
    return linear(tokens, dim, 12 * dim) + 2 * linear(tokens, dim, tokens)


def encoder(config: VisionConfig) -> int:
    """One view to its latents."""
    side = config.size // FOLD
    total = convolution(side, FOLD**2, config.widths[0])
    for level, (width, blocks) in enumerate(zip(config.widths, config.blocks, strict=True)):
        if level:
            side //= 2
            total += convolution(side, config.widths[level - 1], width)
        total += 2 * blocks * convolution(side, width, width)
    return total + convolution(side, config.widths[-1], config.latent_dim, 1)


def decoder(config: VisionConfig) -> int:
    """Latents to one view."""
    side, widths = config.grid, config.widths[::-1]
    total = convolution(side, config.latent_dim, widths[0])
    for level, (width, blocks) in enumerate(zip(widths, config.blocks[::-1], strict=True)):
        if level:
            side *= 2
            total += convolution(side, widths[level - 1], width)
        total += 2 * blocks * convolution(side, width, width)
    head, seam = config.head_width, 4
    total += convolution(side, widths[-1], 4 * head) + convolution(2 * side, head, 4 * seam)
    return total + convolution(4 * side, seam, 1, 5)


def codebook(config: VisionConfig) -> int:
    """The nearest entries of one view's latents."""
    return linear(config.tokens, config.latent_dim, config.codebook_size)


def direct(config: DirectConfig, targets: int = 1) -> int:
    """Latents of one view to those of `targets` others, the given view looked at once."""
    n, latent, dim, condition = config.tokens, config.latent_dim, config.dim, config.condition_dim
    angle = 2 * config.harmonics

    def layer() -> int:
        return block(n, dim) + linear(1, condition, 6 * dim)

    given = linear(n, latent, dim) + linear(1, angle + condition, condition) + config.trunk * layer()
    prior = linear(1, n * latent, config.prior_inputs) + len(STANDARD_ARC) * linear(
        1, config.prior_inputs, config.prior_outputs
    )
    target = linear(1, config.prior_outputs, n * latent) + linear(1, 3 * angle + condition, condition)
    target += 2 * linear(n, latent, dim) + config.head * layer()
    return given + prior + targets * target


def autoregressive(config: AutoregressiveConfig) -> int:
    """Tokens of the next view, each position passed once: with a cache, or while training."""
    n, dim = config.tokens, config.dim
    positions = (config.context_views + 1) * n
    return config.layers * block(positions, dim) + linear(n, dim, dim) + linear(n, dim, config.codebook_size)


def training_step(stage: str, preset: Preset, batch: int) -> int:
    """One step in the middle of a stage's training: backward costs twice the forward pass.

    V: through its codebook, before the critic. Direct: with some views decoded by V, which only passes gradients on.
    """
    if stage == "vision":
        return batch * (3 * (encoder(preset.vision) + decoder(preset.vision)) + codebook(preset.vision))
    if stage == "direct":
        training = preset.stages["direct"].training
        decoded = min(training.pixel_views, batch * training.targets)
        return 3 * batch * direct(preset.stages["direct"].network, training.targets) + 2 * decoded * decoder(
            preset.vision
        )
    return 3 * batch * autoregressive(preset.stages["autoregressive"].network)
