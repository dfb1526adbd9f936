"""V and M together: from one radiograph to the views from all other angles."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from ..core.errors import InputError, UsageError
from ..io.model_folder import PARTS, SAMPLER_OF, folder_of, read_config, read_part, with_tuples, write_part
from .transitions.action import Action
from .transitions.autoregressive import STEP_DEG, AutoregressiveConfig, AutoregressiveTransition
from .transitions.direct import ARC_DEG, DirectConfig, DirectTransition
from .transitions.hidden import hidden_states
from .transitions.rollout import Transition, roll_out
from .transitions.sampler import DirectSampler, SamplerConfig
from .vision.normalise import from_network, to_network
from .vision.vqgan import VisionConfig, VisionModel

Form = Literal["direct", "autoregressive"]
POOL = 2  # cells along a side over which hidden states are averaged
CHUNK = 64  # views per pass through V: bounds memory, whatever is asked for


@dataclass(frozen=True)
class WorldModelConfig:
    """The networks of a world model, and what is known of their training."""

    form: Form
    vision: VisionConfig
    transition: DirectConfig | AutoregressiveConfig
    notes: dict[str, Any]


class WorldModel:
    """A vision model V and a transition model M, and to the direct form perhaps a sampler.

    Views come and go as line integrals p, numpy float32 (h, w) or (b, h, w), of the size V was trained on. Latents are
    tensors (b, n, C), tokens (b, n) int64; the direct form works on latents, the autoregressive one on tokens.
    """

    def __init__(
        self,
        vision: VisionModel,
        transition: Transition,
        notes: dict[str, Any] | None = None,
        sampler: DirectSampler | None = None,
    ) -> None:
        self.vision = vision.eval().requires_grad_(False)
        self.transition = transition.eval().requires_grad_(False)
        self.sampler = None if sampler is None else sampler.eval().requires_grad_(False)
        form: Form = "direct" if isinstance(transition, DirectTransition) else "autoregressive"
        self.config = WorldModelConfig(form, vision.config, transition.config, notes or {})

    @classmethod
    def from_pretrained(
        cls, source: str | Path = "tiny", form: str = "direct", device: str | torch.device = "cpu"
    ) -> "WorldModel":
        """A trained model: `tiny` ships with the package, any other is a folder written by training.

        Raises:
            InputError: there is no such model, or a file is missing, damaged or has the wrong sha256.
            UsageError: an unknown form.
        """
        if form not in ("direct", "autoregressive"):
            raise UsageError(f"there is no form {form!r}; choose direct or autoregressive")
        folder = folder_of(source)
        config = read_config(folder)
        absent = [part for part in ("vision", form) if part not in config]
        if absent:
            raise InputError(f"{folder} holds no trained {' and no '.join(absent)}; train that stage first")
        try:
            vision = VisionModel(VisionConfig(**with_tuples(config["vision"])))
            transition: Transition
            if form == "direct":
                transition = DirectTransition(DirectConfig(**config[form]))
            else:
                transition = AutoregressiveTransition(AutoregressiveConfig(**config[form]))
            sampled = form == "direct" and "sampler" in config
            sampler = DirectSampler(SamplerConfig(**config["sampler"])) if sampled else None
        except (TypeError, ValueError, RuntimeError) as error:
            raise InputError(f"{folder / 'config.json'} does not describe a model ({error})") from None
        read_part(folder, "vision", vision)
        read_part(folder, form, transition)
        if sampler is not None:
            if config.get(SAMPLER_OF) != config["sha256"]["direct"]:
                raise InputError(f"{folder}: its sampler is of another direct form; train the stage sampler again")
            read_part(folder, "sampler", sampler)
            sampler = sampler.to(device)
        known = {"format", "version", "sha256", SAMPLER_OF, *PARTS}
        notes = {key: value for key, value in config.items() if key not in known}
        return cls(vision.to(device), transition.to(device), notes, sampler)

    def save_pretrained(self, folder: str | Path) -> None:
        """Write V and this form of M (float16, config.json with sha256); the other form's file stays if it is there."""
        write_part(Path(folder), "vision", self.vision, self.config.notes)
        direct = write_part(Path(folder), self.config.form, self.transition)
        if self.sampler is not None:
            write_part(Path(folder), "sampler", self.sampler, {SAMPLER_OF: direct})

    @property
    def device(self) -> torch.device:
        return next(self.vision.parameters()).device

    @property
    def size(self) -> int:
        """Pixels along the side of a view."""
        return self.config.vision.size

    @torch.no_grad()
    def encode(self, views_p: np.ndarray) -> tuple[Tensor, Tensor]:
        """Latents (b, n, C), not quantised, and tokens (b, n) of views (h, w) or (b, h, w).

        Raises:
            InputError: views of another size, or values that are not finite.
        """
        x = self._network(views_p)
        latents = torch.cat([self.vision.encode(part) for part in x.split(CHUNK)])
        return latents, self.vision.tokens(latents)

    @torch.no_grad()
    def decode(self, latents_or_tokens: Tensor) -> np.ndarray:
        """Views p (b, h, w) float32 from latents (b, n, C) or tokens (b, n)."""
        latents = self.latents(latents_or_tokens)
        views = torch.cat([from_network(self.vision.decode(part)) for part in latents.split(CHUNK)])
        return views[:, 0].cpu().numpy()

    def latents(self, latents_or_tokens: Tensor) -> Tensor:
        """Latents (..., n, C) of a state of either form: as they are, or the codebook's entries of tokens (..., n)."""
        given = latents_or_tokens.to(self.device)
        return given if given.is_floating_point() else self.vision.codebook.lookup(given)

    @torch.no_grad()
    def step(self, state: Tensor, action: Action) -> Tensor:
        """The state after an action: latents (direct) or tokens (autoregressive) of the view seen from there."""
        return self.transition.step(state.to(self.device), action)

    def roll_out(
        self,
        state: Tensor,
        input_yaw_deg: float = 0.0,
        yaw_deg: Sequence[float] = ARC_DEG,
        generator: torch.Generator | None = None,
        samples: int | None = None,
        others: Mapping[float, Tensor] | None = None,
    ) -> Tensor:
        """The states at `yaw_deg`: latents (b, t, n, C) or tokens (b, t, n); see `transition.rollout.roll_out`."""
        start = state.to(self.device)
        return roll_out(self.transition, start, input_yaw_deg, yaw_deg, generator, samples, self.sampler, others=others)

    def state(self, views_p: np.ndarray) -> Tensor:
        """What this form of M works on: latents (b, n, C) for direct, tokens (b, n) for autoregressive."""
        latents, tokens = self.encode(views_p)
        return latents if self.config.form == "direct" else tokens

    def imagine(
        self,
        view_p: np.ndarray,
        input_yaw_deg: float = 0.0,
        yaw_deg: Sequence[float] = ARC_DEG,
        generator: torch.Generator | None = None,
        samples: int | None = None,
        others: Mapping[float, np.ndarray] | None = None,
        mirrored: bool = False,
    ) -> np.ndarray:
        """The views at `yaw_deg` from one view or several: the expected ones, or samples of what they may be.

        Args:
            view_p: (h, w), or (b, h, w) for several patients.
            input_yaw_deg: where it was taken; 0 is PA.
            yaw_deg: n angles; the autoregressive form reaches multiples of 5 degrees from the input.
            generator: draws a sample, all of whose views belong to one chest; the direct form needs a sampler for it.
                A generator of the same seed draws the same chests, whichever angles they are seen from; the
                autoregressive form draws its tokens, other ones for other angles.
            samples: draw that many instead of one.
            others: further views of the same patients, angle -> views like `view_p`, such as {90.0: lateral_p} beside
                a frontal. The direct form with a sampler takes them (`transition.fusion`).
            mirrored: the mean with what is imagined from the mirror image, mirrored back: the same chest twice, so that
                errors that favour a side cancel. Twice the time; of expected views from one view only.

        Returns:
            float32 p, (n, h, w) or (b, n, h, w), with `samples` (samples, n, h, w) or (samples, b, n, h, w). At the
            angle of a given view it is V's reconstruction of that view.

        Raises:
            UsageError: samples without a generator, or of a direct form that has no sampler; see `roll_out`. Samples or
                other views together with `mirrored`.
            InputError: views of another size, or not as many others as views.
        """
        if mirrored:
            if generator is not None or samples is not None or others:
                raise UsageError("mirrored is of expected views from one view: leave samples and others out")
            turned = self.imagine(mirror_image(view_p), -input_yaw_deg, [-yaw for yaw in yaw_deg])
            return (self.imagine(view_p, input_yaw_deg, yaw_deg) + mirror_image(turned)) / 2
        for yaw, other_p in (others or {}).items():
            if np.shape(other_p) != np.shape(view_p):
                raise InputError(
                    f"the view at {yaw:g} degrees is {np.shape(other_p)}, the given one {np.shape(view_p)}"
                )
        seen = {float(yaw): self.state(other_p) for yaw, other_p in (others or {}).items()}
        states = self.roll_out(self.state(view_p), input_yaw_deg, yaw_deg, generator, samples, seen)
        leading = states.shape[: 2 if samples is None else 3]
        views = self.decode(states.flatten(0, len(leading) - 1)).reshape(*leading, self.size, self.size)
        return views[..., 0, :, :, :] if np.ndim(view_p) == 2 else views

    def reconstruct_views(self, views_p: np.ndarray, quantised: bool | None = None) -> np.ndarray:
        """V's own reconstruction (n, h, w) of views (n, h, w): the ceiling of what M can reach.

        `quantised` reconstructs through tokens; by default as this form of M is decoded (direct: through latents).
        """
        latents, tokens = self.encode(views_p)
        through_tokens = self.config.form == "autoregressive" if quantised is None else quantised
        return self.decode(tokens if through_tokens else latents)

    @torch.no_grad()
    def features(
        self,
        views_p: np.ndarray,
        kind: str = "volumetric",
        input_yaw_deg: float = 0.0,
        depth: int | None = None,
        yaw_deg: Sequence[float] | None = None,
        pool: int | None = None,
    ) -> np.ndarray:
        """One vector per view, float32 (b, d), for probes; as (b, d / width, width) it is a set of tokens, see `width`.

        Args:
            views_p: (b, h, w) or (h, w).
            kind: `vision`, V's latents; `hidden`, the transition's hidden states on the way to other angles;
                `volumetric`, V's latents and then these hidden states.
            input_yaw_deg: where the views were taken.
            depth: of the hidden states, blocks of the transition from 0 to all of them (by default).
            yaw_deg: where the hidden states look; by default across (`across`), from a frontal at the left lateral.
                More imagined views, side by side, were worth less to a probe of few labels (docs/decisions.md). The
                autoregressive form walks there; its `hidden` is by default its next step in both directions.
            pool: cells along a side over which a picture's states are averaged. By default V's latents keep their whole
                grid, and hidden states are averaged over quarters (2). Where a finding lies matters: averages over the
                whole picture (1) lost to raw pixels.

        Raises:
            UsageError: an unknown kind, a depth that the transition does not have, or a pool that does not divide the
                grid.
        """
        if kind not in ("vision", "hidden", "volumetric"):
            raise UsageError(f"there are no features {kind!r}; choose vision, hidden or volumetric")
        if kind == "vision" and depth is not None:
            raise UsageError("a depth is of the transition's hidden states; V's latents (vision) have none")
        found = []
        latents, tokens = self.encode(views_p)
        if kind != "hidden":
            found.append(pooled(latents[:, None], pool or self.config.vision.grid))
        if kind != "vision":
            state = latents if self.config.form == "direct" else tokens
            targets = self._targets(kind, input_yaw_deg) if yaw_deg is None else yaw_deg
            parts = [
                pooled(hidden_states(self.transition, part, input_yaw_deg, targets, depth), pool or POOL)
                for part in state.split(CHUNK)
            ]
            found.append(torch.cat(parts))
        return torch.cat(found, dim=1).cpu().numpy()

    def width(self, kind: str) -> int:
        """Numbers of one token in the features of a kind: V's latents or hidden states (volumetric ones mix both)."""
        return self.config.vision.latent_dim if kind == "vision" else self.config.transition.dim

    def _targets(self, kind: str, input_yaw_deg: float) -> list[float]:
        if self.config.form == "autoregressive" and kind == "hidden":
            return [input_yaw_deg - STEP_DEG, input_yaw_deg + STEP_DEG]
        return [across(input_yaw_deg)]

    def _network(self, views_p: np.ndarray) -> Tensor:
        """(b, 1, h, w) in network values."""
        views = np.asarray(views_p, np.float32)
        if views.ndim == 2:
            views = views[None]
        if views.ndim != 3 or views.shape[1:] != (self.size, self.size) or not len(views):
            raise InputError(f"this model sees views of {self.size} x {self.size} pixels, got an array {views.shape}")
        if not np.isfinite(views).all():
            raise InputError("the view holds NaN or infinity; check the image it came from")
        return to_network(torch.from_numpy(np.ascontiguousarray(views)).to(self.device))[:, None]


def across(yaw_deg: float) -> float:
    """The angle of the arc a quarter turn away: of a frontal the left lateral, of that the frontal."""
    return yaw_deg + 90.0 if yaw_deg <= 0 else yaw_deg - 90.0


def pooled(states: Tensor, pool: int) -> Tensor:
    """States (b, t, n, c) of square grids, averaged over pool x pool cells: (b, t * pool * pool * c).

    Raises:
        UsageError: the grid does not divide into them.
    """
    grid = math.isqrt(states.shape[2])
    side, rest = divmod(grid, pool)
    if rest:
        raise UsageError(f"--pool {pool} does not divide the grid of {grid} tokens a side")
    return states.unflatten(2, (pool, side, pool, side)).mean(dim=(3, 5)).flatten(1)


def mirror_image(views: np.ndarray) -> np.ndarray:
    """Views (..., h, w) with left and right exchanged: those of the mirrored patient from the opposite angle."""
    return np.ascontiguousarray(np.asarray(views)[..., ::-1])
