"""V and M together: from given radiographs to the views from all other poses."""

import math
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..core.device import pick_device
from ..core.errors import InputError, UsageError
from ..io.model_folder import build_part, check_files, folder_of, read_config, write_part
from ..projection.geometry import STANDARD_ARC, Pose, Poses, as_poses
from .transitions.base import (
    CHUNK,
    LatentViews,
    Noise,
    Observation,
    PixelViews,
    State,
    TokenViews,
    Transition,
    Views,
    across,
)
from .transitions.registry import PARTS, form_of, forms, sampler_of
from .vision.vqgan import VisionConfig, VisionModel

POOL = 2  # cells along a side over which hidden-state features are averaged
MAX_P = 16.0  # what view stores can hold
KINDS = ("vision", "hidden", "volumetric")


@dataclass(frozen=True)
class WorldModelConfig:
    """The networks of a world model, and what is known of their training."""

    form: str
    vision: VisionConfig
    transition: Any
    notes: dict[str, Any]


class WorldModel:
    """A vision model V and a form of the transition model M, with its sampler if it has one.

    Views come and go as line integrals p, numpy float32 (h, w) or (b, h, w), of the size V was trained on. Poses are
    `projection.Pose` objects or yaw angles in degrees. No gradients are kept.
    """

    def __init__(
        self,
        vision: VisionModel,
        transition: Transition,
        notes: dict[str, Any] | None = None,
        sampler: torch.nn.Module | None = None,
    ) -> None:
        self.vision = vision.eval().requires_grad_(False)
        self.sampler = None if sampler is None else sampler.eval().requires_grad_(False)
        self.transition = transition.eval().requires_grad_(False).with_sampler(self.sampler)
        self.config = WorldModelConfig(form_of(transition), vision.config, transition.config, notes or {})

    @classmethod
    def from_pretrained(
        cls,
        source: str | Path = "tiny",
        form: str = "auto",
        device: str | torch.device = "cpu",
        revision: str | None = None,
    ) -> "WorldModel":
        """A trained model: `tiny` ships with the package, any other is a folder, or `org/name` on a Hugging Face hub.

        Args:
            source: a name, a folder that training or `xray2xray export` wrote, or `org/name` or `org/name@revision`.
            form: of M; `auto` takes the first of `registry.forms` that the folder holds.
            device: auto, cpu, cuda, or a torch device.
            revision: of a model on a hub: a tag, a branch or a commit. `source` may say it, too.

        Raises:
            InputError: there is no such model, or a file is missing, damaged or has the wrong sha256.
            UsageError: an unknown form, or a device that is not there.
        """
        if revision is not None:
            source = f"{source}@{revision}"
        device = pick_device(device) if isinstance(device, str) else device
        if form not in ("auto", *forms()):
            raise UsageError(f"there is no form {form!r}; choose auto, {' or '.join(forms())}")
        folder = folder_of(source)
        config = read_config(folder)
        check_files(folder)
        if form == "auto":
            form = next((known for known in forms() if known in config), forms()[0])
        absent = [part for part in ("vision", form) if part not in config]
        if absent:
            raise InputError(f"{folder} holds no trained {' and no '.join(absent)}; train that stage first")
        vision, transition = (_part(folder, part, device) for part in ("vision", form))
        _check_pair(folder, vision.config, transition.config)
        second, sampler = sampler_of(form), None
        if second in config:
            if config.get(f"{second}_of") != config["sha256"][form]:
                raise InputError(f"{folder}: its {second} belongs to another {form}; train the stage {second} again")
            sampler = _part(folder, second, device)
        known = {
            "format",
            "version",
            "sha256",
            "files",
            "onnx",
            *config["sha256"],
            *(f"{part}_of" for part in config["sha256"]),
        }
        return cls(vision, transition, {key: value for key, value in config.items() if key not in known}, sampler)

    def save_pretrained(self, folder: str | Path) -> None:
        """Write V, M and its sampler (float16, config.json with sha256); another form's file stays if it is there."""
        folder, form = Path(folder), self.config.form
        write_part(folder, "vision", self.vision, self.config.notes)
        written = write_part(folder, form, self.transition)
        if self.sampler is not None and (second := sampler_of(form)):
            write_part(folder, second, self.sampler, {f"{second}_of": written})

    @property
    def device(self) -> torch.device:
        return next(self.vision.parameters()).device

    @property
    def size(self) -> int:
        """Pixels along the side of a view."""
        return self.config.vision.size

    def __repr__(self) -> str:
        weights = sum(one.numel() for part in (self.vision, self.transition) for one in part.parameters())
        return (
            f"WorldModel({self.config.form}, {self.size} x {self.size} pixels, {weights / 1e6:.1f} million weights, "
            f"{'with' if self.transition.has_sampler else 'without'} samples, {self.device})"
        )

    # ------------------------------------------------ V

    @torch.no_grad()
    def encode(self, views_p: np.ndarray) -> tuple[Tensor, Tensor]:
        """Latents (b, n, C), not quantised, and tokens (b, n) of views (h, w) or (b, h, w).

        Raises:
            InputError: views of another size, or values that are not finite.
        """
        latents = self._pixels(views_p).latents(self.vision)
        return latents, self.vision.tokens(latents)

    @torch.no_grad()
    def decode(self, latents_or_tokens: Tensor) -> np.ndarray:
        """Views p (b, h, w) float32 from latents (b, n, C) or tokens (b, n)."""
        given = latents_or_tokens.to(self.device)
        return self._numpy(LatentViews(given) if given.is_floating_point() else TokenViews(given))

    @torch.no_grad()
    def reconstruct_views(self, views_p: np.ndarray, quantised: bool | None = None) -> np.ndarray:
        """V's own reconstruction (n, h, w) of views (n, h, w): the ceiling of what M can reach.

        `quantised` reconstructs through tokens, or not; by default as this form of M keeps a given view.
        """
        if quantised is None:
            return self._numpy(self.transition.given(self._observation(views_p, 0.0)))
        return self.decode(self.encode(views_p)[quantised])

    # ------------------------------------------------ M

    @torch.no_grad()
    def observe(self, views: Sequence[tuple[np.ndarray | Views, Pose | float]]) -> State:
        """The state of patients from their given views, for any number of predictions, samples and features.

        Args:
            views: each given view p, (h, w) or (b, h, w) for several patients, or a prediction (b, ...) of M, and its
                pose; 0 is PA. All are of one size: the model's, or with the volumetric form a multiple of it. Several
                views are taken by the volumetric form, from any poses, and by the direct form beside a frontal, if it
                has a sampler. Samples are drawn from a single frontal.

        Raises:
            InputError: views of another size, or of different numbers of patients.
            UsageError: this form cannot use so many views, or views from these poses.
        """
        try:
            pairs = [(view, pose) for view, pose in views]
        except (TypeError, ValueError):
            raise InputError("observe takes a list of pairs, a view and its pose: [(view_p, 0.0)]") from None
        if not pairs:
            raise UsageError("no view is given")
        observations = [self._observation(view, pose) for view, pose in pairs]
        shapes = {tuple(observation.views.values.shape) for observation in observations}
        if len(shapes) > 1:
            raise InputError(f"all given views must be of one shape, (b, h, w), got {sorted(shapes)}")
        return self.transition.observe(observations)

    @torch.no_grad()
    def prediction(self, state: State, poses: Poses, noise: Noise | None = None) -> Views:
        """The expected views (b, t, ...), or samples (samples, b, t, ...), as this form predicts them.

        Raises:
            UsageError, InputError: no poses, or what the form's `predict` and `sample` raise.
        """
        self._check_state(state)
        wanted = as_poses(poses)
        if not wanted:
            raise UsageError("no angles are asked for")
        return self.transition.sample(state, wanted, noise) if noise else self.transition.predict(state, wanted)

    def predict(self, state: State, poses: Poses = STANDARD_ARC) -> np.ndarray:
        """The expected views p (b, t, h, w) from t poses."""
        return self._numpy(self.prediction(state, poses))

    def sample(self, state: State, poses: Poses, generator: torch.Generator, samples: int | None = None) -> np.ndarray:
        """Views p (b, t, h, w) of a chest that is possible for each patient, or `samples` of them (samples, b, ...)."""
        if samples is not None and samples < 1:
            raise UsageError(f"{samples} samples are asked for: give at least 1")
        drawn = self._numpy(self.prediction(state, poses, Noise(samples or 1, generator)))
        return drawn[0] if samples is None else drawn

    @torch.no_grad()
    def sampled(self, state: State, generator: torch.Generator, samples: int) -> list[State]:
        """The states of chests that `sample` draws with this generator, of forms that draw chests.

        Raises:
            UsageError: as `Transition.sampled`.
        """
        return self.transition.sampled(state, Noise(samples, generator))

    def imagine(
        self,
        view_p: np.ndarray,
        input_yaw_deg: Pose | float = 0.0,
        yaw_deg: Poses = STANDARD_ARC,
        generator: torch.Generator | None = None,
        samples: int | None = None,
        others: Mapping[float, np.ndarray] | None = None,
        mirrored: bool = False,
    ) -> np.ndarray:
        """The views at `yaw_deg` from one view or several: the expected ones, or samples of what they may be.

        Args:
            view_p: (h, w), or (b, h, w) for several patients.
            input_yaw_deg: where it was taken; 0 is PA.
            yaw_deg: n angles or poses; the autoregressive form reaches multiples of 5 degrees from the input.
            generator: draws a sample, all of whose views belong to one chest; the direct form needs a sampler for it.
                A generator of the same seed draws the same chests, whichever angles they are seen from; the
                autoregressive form draws its tokens, other ones for other angles.
            samples: draw that many instead of one.
            others: further views of the same patients, angle -> views like `view_p`, such as {90.0: lateral_p} beside
                a frontal. The volumetric form takes them, and the direct form with a sampler; views from other poses
                than upright ones are given to `observe`.
            mirrored: the mean with the prediction from the mirror image, mirrored back: errors that favour a side
                cancel. Twice the time; of expected views from one view only.

        Returns:
            float32 p, (n, h, w) or (b, n, h, w), with `samples` (samples, n, h, w) or (samples, b, n, h, w). At the
            angle of a given view it is that view, as the form keeps it: itself, or V's reconstruction.

        Raises:
            UsageError: samples without a generator, or of a direct form that has no sampler; see the form's `observe`,
                `predict` and `sample`. Samples or other views together with `mirrored`.
            InputError: views of another size, or not as many others as views.
        """
        if samples is not None and generator is None:
            raise UsageError(f"{samples} samples are asked for: give a generator that draws them")
        if mirrored:
            if generator is not None or others:
                raise UsageError("mirrored is of expected views from one view: leave samples and others out")
            poses, (given,) = [_mirror_pose(pose) for pose in as_poses(yaw_deg)], as_poses([input_yaw_deg])
            turned = self.imagine(mirror_image(view_p), _mirror_pose(given), poses)
            return (self.imagine(view_p, input_yaw_deg, yaw_deg) + mirror_image(turned)) / 2
        further = [(other_p, float(yaw)) for yaw, other_p in (others or {}).items()]
        state = self.observe([(view_p, input_yaw_deg), *further])
        if generator is None:
            views = self.predict(state, yaw_deg)
        else:
            views = self.sample(state, yaw_deg, generator, samples)
        return views[..., 0, :, :, :] if np.ndim(view_p) == 2 else views

    def volume(
        self,
        state: State,
        shape: tuple[int, int, int],
        affine: np.ndarray,
        generator: torch.Generator | None = None,
        samples: int = 1,
    ) -> np.ndarray | None:
        """Attenuation per mm of the chests of a state, float32 (b, *shape); None of a form that keeps none.

        Args:
            shape: voxels along each axis.
            affine: (4, 4), voxel index -> RAS mm about the isocentre.
            generator: draws possible chests, (samples, b, *shape), those of `sample` with a generator of the same seed.
            samples: how many.

        Raises:
            InputError: a shape or an affine that is no grid.
            UsageError: as `sample`, or several samples without a generator.
        """
        if len(tuple(shape)) != 3 or not all(isinstance(n, int | np.integer) and n >= 1 for n in shape):
            raise InputError(f"a volume has three whole numbers of voxels, got {shape}")
        affine = np.asarray(affine, float)
        if affine.shape != (4, 4) or not np.isfinite(affine).all() or abs(np.linalg.det(affine[:3, :3])) < 1e-9:
            raise InputError(f"the affine of a grid is (4, 4), finite and invertible, got {affine.tolist()}")
        if samples < 1 or (generator is None and samples != 1):
            raise UsageError(f"{samples} samples are asked for: give at least 1, and a generator that draws them")
        self._check_state(state)
        if not self.transition.renders:
            return None
        noise = None if generator is None else Noise(samples, generator)
        return self.transition.volume(state, shape, affine, noise)

    @torch.no_grad()
    def features(
        self,
        views_p: np.ndarray | None = None,
        kind: str = "volumetric",
        input_yaw_deg: Pose | float = 0.0,
        depth: int | None = None,
        yaw_deg: Poses | None = None,
        pool: int | None = None,
        state: State | None = None,
    ) -> np.ndarray:
        """One vector per view, float32 (b, d), for probes; as (b, d / width, width) it is a set of tokens, see `width`.

        Args:
            views_p: (b, h, w) or (h, w); or None, and a state of them instead.
            kind: `vision`, V's latents; `hidden`, hidden-state features of M on the way to other angles; `volumetric`,
                V's latents and then these.
            input_yaw_deg: where the views were taken.
            depth: of the hidden states, blocks of the transition from 0 to all of them (by default).
            yaw_deg: the predicted views that hidden states are taken of; by default the one across (`across`), of a
                frontal the left lateral. More of them, side by side, were worth less to a probe of few labels
                (docs/decisions). The autoregressive form rolls out to there; its `hidden` is by default the next
                step in both directions.
            pool: cells along a side over which a view's states are averaged. By default V's latents keep their whole
                grid, and hidden states are averaged over quarters (2). Where a finding lies matters: averages over the
                whole view (1) were behind raw pixels.
            state: from `observe`; nothing is encoded again.

        Raises:
            UsageError: an unknown kind, a depth that the transition does not have, a pool that does not divide the
                grid, or not one of views and state.
        """
        if kind not in KINDS:
            raise UsageError(f"there are no features {kind!r}; choose vision, hidden or volumetric")
        if pool is not None and pool < 1:
            raise UsageError(f"--pool {pool}: it must be at least 1")
        if kind == "vision" and depth is not None:
            raise UsageError("a depth is of the transition's hidden states; V's latents (vision) have none")
        if state is not None and views_p is None:
            self._check_state(state)
            return self._features(state.observations[0], state, kind, depth, yaw_deg, pool).cpu().numpy()
        if state is not None or views_p is None:
            raise UsageError("features are of views, or of a state of them: give one of the two")
        whole = self._pixels(views_p)
        parts = [self._observation(PixelViews(part), input_yaw_deg) for part in whole.values.split(CHUNK)]
        return torch.cat([self._features(part, None, kind, depth, yaw_deg, pool) for part in parts]).cpu().numpy()

    def width(self, kind: str) -> int:
        """Numbers of one token in the features of a kind: V's latents or hidden states (volumetric ones mix both)."""
        return self.config.vision.latent_dim if kind == "vision" else self.transition.width

    def _features(
        self,
        given: Observation,
        state: State | None,
        kind: str,
        depth: int | None,
        yaw_deg: Poses | None,
        pool: int | None,
    ) -> Tensor:
        found = []
        if kind != "hidden":
            found.append(pooled(given.latents[:, None], pool or self.config.vision.grid))
        if kind != "vision":
            default = self.transition.nearby(given.pose) if kind == "hidden" else [across(given.pose)]
            poses = default if yaw_deg is None else as_poses(yaw_deg)
            if not poses:
                raise UsageError("no angles are asked for")
            hidden = self.transition.features(state or self.transition.observe([given]), poses, depth)
            found.append(pooled(hidden, pool or POOL))
        return torch.cat(found, dim=1)

    def _observation(self, view: "np.ndarray | Tensor | Views", pose: Pose | float) -> Observation:
        if not isinstance(view, Views):
            view = self._pixels(view)
            _warn_of_grey_values(view.values)
        return Observation(view, as_poses([pose])[0], self.vision)

    def _check_state(self, state: Any) -> None:
        """Raise InputError for what this model's `observe` has not made."""
        if not isinstance(state, self.transition.state) or state.observations[0].vision is not self.vision:
            raise InputError(f"a {type(state).__name__} is no state of this model: take what its observe returns")

    def _pixels(self, views_p: "np.ndarray | Tensor") -> PixelViews:
        """(b, h, w) on V's device."""
        if isinstance(views_p, str | bytes | Path):
            raise InputError("views are arrays of line integrals; of a file use Session.open().analyse(path)")
        try:
            given = views_p.detach().cpu() if isinstance(views_p, Tensor) else views_p
            views = np.asarray(given, np.float32)
        except (TypeError, ValueError):
            raise InputError(f"views are arrays of line integrals, got {type(views_p).__name__}") from None
        if views.ndim == 2:
            views = views[None]
        side = views.shape[-1] if views.ndim else 0
        fits = side == self.size or (self.transition.renders and side and side % self.size == 0)
        if views.ndim != 3 or views.shape[1] != side or not fits or not len(views):
            more = ", or a multiple" if self.transition.renders else ""
            raise InputError(
                f"this model takes views of {self.size} x {self.size} pixels{more}, got an array {views.shape}"
            )
        if not np.isfinite(views).all():
            raise InputError("the view holds NaN or infinity; check the image it came from")
        return PixelViews(torch.from_numpy(np.ascontiguousarray(views)).to(self.device))

    @torch.no_grad()
    def _numpy(self, views: Views) -> np.ndarray:
        return views.pixels(self.vision).cpu().numpy()


def _warn_of_grey_values(views_p: Tensor) -> None:
    """A chest's line integrals reach 3 to 10: grey values and HU are answered, too, but with nonsense."""
    least, most = (float(value) for value in views_p.aminmax())
    if least < -0.5 or most > MAX_P or 0 < most <= 1:
        warnings.warn(
            f"the view runs from {least:.3g} to {most:.3g}: these are no line integrals of a chest (0 to about 8). "
            "Of a radiograph take open_input(path, preset('chest', model.size)).view_p, of a CT projection.render",
            stacklevel=4,
        )


def _part(folder: Path, name: str, device: str | torch.device) -> Any:
    """A part of a model's folder as a network with its weights."""
    return build_part(folder, name, PARTS[name].network, PARTS[name].config).to(device)


def _check_pair(folder: Path, vision: VisionConfig, transition: Any) -> None:
    """Raise InputError unless M works on the views and tokens of V."""
    for key in ("size", "tokens", "latent_dim", "codebook_size"):
        given, wanted = getattr(transition, key, None), getattr(vision, key)
        if given not in (None, wanted):
            raise InputError(
                f"{folder / 'config.json'}: M has {given} {key}, V has {wanted}; copy the whole folder again"
            )


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


def _mirror_pose(pose: Pose) -> Pose:
    right, anterior, superior = pose.translation_mm
    return replace(pose, yaw_deg=-pose.yaw_deg, roll_deg=-pose.roll_deg, translation_mm=(-right, anterior, superior))
