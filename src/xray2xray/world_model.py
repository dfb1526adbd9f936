"""V and M together: from one radiograph to the views from all other angles."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from .errors import InputError, UsageError
from .pretrained import folder_of, read_config, read_part, with_tuples, write_part
from .transition.action import Action
from .transition.autoregressive import AutoregressiveConfig, AutoregressiveTransition
from .transition.direct import ARC_DEG, DirectConfig, DirectTransition
from .transition.rollout import Transition, roll_out
from .vision.normalise import from_network, to_network
from .vision.vqgan import VisionConfig, VisionModel

Form = Literal["direct", "autoregressive"]
VOLUMETRIC_YAW_DEG = (-90.0, -45.0, 0.0, 45.0, 90.0)
CHUNK = 64  # views per pass through V: bounds memory, whatever is asked for


@dataclass(frozen=True)
class WorldModelConfig:
    """The networks of a world model, and what is known of their training."""

    form: Form
    vision: VisionConfig
    transition: DirectConfig | AutoregressiveConfig
    notes: dict[str, Any]


class WorldModel:
    """A vision model V and a transition model M.

    Views come and go as line integrals p, numpy float32 (h, w) or (b, h, w), of the size V was trained on. Latents are
    tensors (b, n, C), tokens (b, n) int64; the direct form works on latents, the autoregressive one on tokens.
    """

    def __init__(self, vision: VisionModel, transition: Transition, notes: dict[str, Any] | None = None) -> None:
        self.vision = vision.eval().requires_grad_(False)
        self.transition = transition.eval().requires_grad_(False)
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
        except (TypeError, ValueError, RuntimeError) as error:
            raise InputError(f"{folder / 'config.json'} does not describe a model ({error})") from None
        read_part(folder, "vision", vision)
        read_part(folder, form, transition)
        known = {"format", "version", "vision", "direct", "autoregressive", "sha256"}
        notes = {key: value for key, value in config.items() if key not in known}
        return cls(vision.to(device), transition.to(device), notes)

    def save_pretrained(self, folder: str | Path) -> None:
        """Write V and this form of M (float16, config.json with sha256); the other form's file stays if it is there."""
        write_part(Path(folder), "vision", self.vision, self.config.notes)
        write_part(Path(folder), self.config.form, self.transition)

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
    ) -> Tensor:
        """The states at `yaw_deg`: latents (b, t, n, C) or tokens (b, t, n); see `transition.rollout.roll_out`."""
        return roll_out(self.transition, state.to(self.device), input_yaw_deg, yaw_deg, generator)

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
    ) -> np.ndarray:
        """The views at `yaw_deg` from one view.

        Args:
            view_p: (h, w), or (b, h, w) for several patients.
            input_yaw_deg: where it was taken; 0 is PA.
            yaw_deg: n angles; the autoregressive form reaches multiples of 5 degrees from the input.
            generator: samples the autoregressive form; greedy without.

        Returns:
            float32 p, (n, h, w) or (b, n, h, w). At the input's own angle it is V's reconstruction of the input.
        """
        states = self.roll_out(self.state(view_p), input_yaw_deg, yaw_deg, generator)
        views = self.decode(states.flatten(0, 1)).reshape(*states.shape[:2], self.size, self.size)
        return views[0] if np.ndim(view_p) == 2 else views

    def reconstruct_views(self, views_p: np.ndarray, quantised: bool | None = None) -> np.ndarray:
        """V's own reconstruction (n, h, w) of views (n, h, w): the ceiling of what M can reach.

        `quantised` reconstructs through tokens; by default as this form of M is decoded (direct: through latents).
        """
        latents, tokens = self.encode(views_p)
        through_tokens = self.config.form == "autoregressive" if quantised is None else quantised
        return self.decode(tokens if through_tokens else latents)

    @torch.no_grad()
    def features(self, views_p: np.ndarray, kind: str = "volumetric", input_yaw_deg: float = 0.0) -> np.ndarray:
        """One vector per view, float32 (b, d), for probes.

        Args:
            views_p: (b, h, w) or (h, w).
            kind: `vision`, V's latents, all of the grid, d = n C; `volumetric`, these and what the direct form imagines
                from five angles (-90 .. 90): its hidden states, averaged over each quarter of the picture. Where a
                finding lies matters: averages over the whole picture lost to raw pixels.
            input_yaw_deg: where the views were taken.

        Raises:
            UsageError: an unknown kind, or volumetric features of an autoregressive model.
        """
        if kind not in ("vision", "volumetric"):
            raise UsageError(f"there are no features {kind!r}; choose vision or volumetric")
        latents, _ = self.encode(views_p)
        vision = latents.flatten(1)
        if kind == "vision":
            return vision.cpu().numpy()
        if not isinstance(self.transition, DirectTransition):
            raise UsageError("volumetric features come from the direct form; load the model with form='direct'")
        imagined = [self._imagined_features(self.transition, part, input_yaw_deg) for part in latents.split(CHUNK)]
        return torch.cat([vision, torch.cat(imagined)], dim=1).cpu().numpy()

    def _imagined_features(self, transition: DirectTransition, latents: Tensor, input_yaw_deg: float) -> Tensor:
        here = torch.full((len(latents),), float(input_yaw_deg), device=self.device)
        targets = torch.tensor(VOLUMETRIC_YAW_DEG, device=self.device).expand(len(latents), -1)
        hidden = transition.imagine(transition.observe(latents, here), targets)
        side = self.config.vision.grid // 2
        quarters = transition.norm(hidden).unflatten(2, (2, side, 2, side)).mean(dim=(3, 5))
        return quarters.flatten(1)

    def _network(self, views_p: np.ndarray) -> Tensor:
        """(b, 1, h, w) in network values."""
        views = np.asarray(views_p, np.float32)
        if views.ndim == 2:
            views = views[None]
        if views.ndim != 3 or views.shape[1:] != (self.size, self.size):
            raise InputError(f"this model sees views of {self.size} x {self.size} pixels, got an array {views.shape}")
        if not np.isfinite(views).all():
            raise InputError("the view holds NaN or infinity; check the image it came from")
        return to_network(torch.from_numpy(np.ascontiguousarray(views)).to(self.device))[:, None]
