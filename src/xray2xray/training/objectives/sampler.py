"""The objective of the sampler: samples of a patient that are as far from each other as they are from the truth.

The energy score is strictly proper (Gneiting and Raftery, J. Am. Stat. Assoc. 102:359, 2007): it is least for samples
of the true distribution, and two a patient estimate it ("engression": Shen and Meinshausen, arXiv 2307.00835).
"""

import copy
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import torch
from torch import Tensor, nn

from ...models.transitions.direct import DirectTransition
from ...models.transitions.sampler import KNOTS_DEG, DirectSampler, SamplerConfig
from ...models.vision.vqgan import VisionModel
from ...parallel.progress import progress as shown
from ...projection.geometry import STANDARD_ARC
from ..objective import Batch, Objective, TrainingStopped, draw_rows, follow, require, require_shares
from ..pictures import contact_sheet
from ..settings import Settings, Size
from ..steps import LoopConfig
from .vision import stored_to_network

if TYPE_CHECKING:
    from ..stage_data import StageData

VALIDATED_DEG = (-90.0, -45.0, 45.0, 90.0)
TEMPERATURES = tuple(0.5 + 0.05 * n for n in range(51))
FRONTAL = STANDARD_ARC.index(0.0)


@dataclass(frozen=True)
class SamplerTraining:
    """`fitted`: patients whose residuals give the linear spread. `joint`, `token` and `pixel` weigh the three scores;
    of a batch's views `pixel_views` are decoded, each twice, after the share `pixel_from` of the steps."""

    fitted: int = 400
    targets: int = 3
    average_decay: float = 0.99
    joint: float = 1.0
    token: float = 1.0
    pixel: float = 10.0
    pixel_from: float = 0.3
    pixel_views: int = 3
    validated: int = 4  # held-out patients that are looked at while training
    samples: int = 8

    def __post_init__(self) -> None:
        require(
            1 <= self.targets < len(STANDARD_ARC), f"targets must be 1 to {len(STANDARD_ARC) - 1}, got {self.targets}"
        )
        for name, least in (("fitted", 2), ("pixel_views", 1), ("validated", 1), ("samples", 2)):
            require(getattr(self, name) >= least, f"{name} must be at least {least}, got {getattr(self, name)}")
        require(min(self.joint, self.token, self.pixel) >= 0, "the scores' weights must not be negative")
        require_shares(self, "average_decay", "pixel_from")


class SamplerObjective(Objective):
    """Latents and views as for the direct form, which is frozen here. A batch counts patients."""

    stage = "sampler"

    def __init__(
        self,
        model: DirectSampler,
        direct: DirectTransition,
        vision: VisionModel,
        latents: np.ndarray,
        views: np.ndarray,
        weight: Tensor,
        training: SamplerTraining,
    ) -> None:
        super().__init__()
        self.model = model
        self.average = copy.deepcopy(model).requires_grad_(False)
        self.training_config = training
        # in a tuple: frozen, so no part of this stage's state
        self._frozen = (vision.eval().requires_grad_(False), direct.eval().requires_grad_(False))
        self._latents, self._views, self._weight = latents, views, weight
        self._train = len(weight)

    @classmethod
    def settings(cls, size: Size) -> Settings:
        network = SamplerConfig(size.vision.tokens, size.vision.latent_dim, hidden=size.dim)
        if size.steps is None:
            loop = LoopConfig(steps=800, batch=8, rate=8e-4, warm_up=80, log_every=20, check_every=200)
        else:
            half = size.dim // 2
            network = replace(network, dim=half, heads=size.heads, blocks=size.layers // 4, condition_dim=half)
            loop = LoopConfig(steps=size.steps // 4, batch=32, rate=3e-4, warm_up=1000)
        return Settings(network, loop, SamplerTraining())

    @classmethod
    def build(cls, model: DirectSampler, data: "StageData", training: SamplerTraining) -> Self:
        mean = data.trained("direct")
        return cls(model, mean, data.vision, data.latents, data.views, data.weight, training)

    @property
    def result(self) -> DirectSampler:
        return self.average

    @torch.no_grad()
    def prepare(self, started: bool = False) -> None:
        """Fit the linear spread, unless the weights come with one."""
        if started:
            return
        knots = [STANDARD_ARC.index(yaw) for yaw in KNOTS_DEG]
        patients = torch.arange(min(self._train, self.training_config.fitted)).split(8)
        residuals = []
        for some in shown(patients, "residuals"):
            predicted, _ = self._predicted(self._cached(some, torch.tensor(FRONTAL)), torch.tensor(KNOTS_DEG))
            residuals.append(self._cached(some[:, None], torch.tensor(knots)) - predicted.cpu())
        self.model.spread.fit(torch.cat(residuals))
        self.average.spread.load_state_dict(self.model.spread.state_dict())

    def learned(self, part: str) -> nn.Module:
        return self.model

    def draw(self, size: int, progress: float, generator: torch.Generator) -> Batch:
        training = self.training_config
        patients = draw_rows(self._weight, size, generator)
        open_ones = torch.tensor([i for i in range(len(STANDARD_ARC)) if i != FRONTAL])
        targets = open_ones[torch.rand(size, len(open_ones), generator=generator).argsort(dim=1)[:, : training.targets]]
        batch = {
            "frontal": self._cached(patients, torch.tensor(FRONTAL)),
            "wanted": self._cached(patients[:, None], targets),
            "target_yaw": torch.tensor(STANDARD_ARC)[targets],
            "noise": torch.randn(2, size, self.model.config.noise, generator=generator),
        }
        if training.pixel > 0 and progress >= training.pixel_from:
            chosen = torch.randperm(targets.numel(), generator=generator)[: training.pixel_views]
            row, column = chosen // training.targets, chosen % training.targets
            stored = self._views[patients[row].numpy(), targets[row, column].numpy()]
            batch |= {"chosen": chosen, "x": stored_to_network(stored)[:, None]}
        return batch

    def forward(self, batch: Batch, part: str, progress: float) -> tuple[Tensor, dict[str, Tensor]]:
        training, wanted, yaw = self.training_config, batch["wanted"], batch["target_yaw"]
        with torch.no_grad():
            predicted, hidden = self._predicted(batch["frontal"], yaw)
        both = batch["noise"].flatten(0, 1)
        deviations = self.model(hidden.repeat(2, 1, 1, 1), yaw.repeat(2, 1), both)
        drawn = predicted + deviations.unflatten(0, (2, -1))  # (2, b, t, n, C)
        # The joint score ties the views of a sample together, but in so many dimensions it is hardly sensitive to where
        # the spread lies; the score of each token is.
        joint = energy_score(drawn.flatten(2), wanted.flatten(1)).mean()
        token = energy_score(drawn, wanted).mean()
        loss = training.joint * joint + training.token * token
        figures = {"joint": joint.detach(), "token": token.detach(), **_spread_and_error(drawn.detach(), wanted)}
        if "x" in batch:
            decoded = self._frozen[0].decode(drawn.flatten(1, 2)[:, batch["chosen"]].flatten(0, 1)).float()
            crps = energy_score(decoded.unflatten(0, (2, -1))[..., None], batch["x"][..., None]).mean()
            loss = loss + training.pixel * crps
            figures["crps"] = crps.detach()
        return loss, figures

    def after_step(self, step: int, progress: float, generator: torch.Generator) -> dict[str, float]:
        follow(self.average, self.model, step, self.training_config.average_decay)
        return {}

    def validate(self) -> dict[str, float]:
        """CRPS of the held-out patients' pixels beside the mean error of the prediction alone (a CRPS, too, of a
        forecast without spread), and the temperature that would suit them."""
        if self._train == len(self._latents):
            return {}
        mean, drawn, x = self._held_out(self.training_config.validated)
        return {
            "crps": float(energy_score(drawn[..., None], x[..., None]).mean()),
            "mean_error": float((mean - x).abs().mean()),
            "temperature": _best_temperature(mean, drawn, x),
        }

    @torch.no_grad()
    def finish(self) -> None:
        """Set the temperature by the CRPS of all held-out patients' pixels."""
        if self._train < len(self._latents):
            self.average.temperature.fill_(1.0)
            mean, drawn, x = self._held_out(len(self._latents) - self._train)
            self.average.temperature.fill_(_best_temperature(mean, drawn, x))

    def watch(self, step: int, figures: dict[str, float]) -> None:
        if step > 100 and figures.get("spread", 1.0) < 1e-3:
            raise TrainingStopped(f"{self.stage}: all samples are the same at step {step}; lower the rate")

    def picture(self) -> np.ndarray | None:
        """One held-out patient: truth, prediction, and two samples."""
        if self._train == len(self._latents):
            return None
        mean, drawn, x = self._held_out(1)
        return contact_sheet([x[0], mean[0], drawn[0, 0], drawn[1, 0]])

    def configuration(self) -> dict[str, Any]:
        model, training = asdict(self.model.config), asdict(self.training_config)
        return {"model": model, "training": training, "patients": self._train}

    def _predicted(self, frontal: Tensor, yaw_deg: Tensor) -> tuple[Tensor, Tensor]:
        """`DirectTransition.expected` of frontals (b, n, C) at (b, t) or the same (t,) degrees."""
        direct = self._frozen[1]
        device = next(direct.parameters()).device
        frontal, yaw = frontal.to(device), yaw_deg.to(device).expand(len(frontal), yaw_deg.shape[-1])
        return direct.expected(direct.look(frontal, torch.zeros(len(frontal), device=device)), yaw)

    def _cached(self, patients: Tensor, angles: Tensor) -> Tensor:
        return torch.from_numpy(self._latents[patients.numpy(), angles.numpy()]).float()

    @torch.no_grad()
    def _held_out(self, patients: int) -> tuple[Tensor, Tensor, Tensor]:
        """Network values of held-out patients at `VALIDATED_DEG`: prediction (b, t, 1, h, w), samples (s, b, t, ...)
        and truth."""
        vision, _ = self._frozen
        angles = [STANDARD_ARC.index(yaw) for yaw in VALIDATED_DEG]
        generator = torch.Generator().manual_seed(0)
        means, samples, truths = [], [], []
        for patient in range(self._train, min(self._train + patients, len(self._latents))):
            frontal = self._cached(torch.tensor([patient]), torch.tensor(FRONTAL))
            predicted, hidden = self._predicted(frontal, torch.tensor(VALIDATED_DEG))
            yaw = torch.tensor(VALIDATED_DEG, device=predicted.device)[None]
            noise = self.average.noise(self.training_config.samples, 1, generator=generator)
            drawn = torch.stack([predicted + self.average(hidden, yaw, one) for one in noise])
            means.append(vision.decode(predicted.flatten(0, 1))[None])
            samples.append(vision.decode(drawn.flatten(0, 2)).unflatten(0, drawn.shape[:3]))
            truths.append(stored_to_network(self._views[[patient]][:, angles])[:, :, None].to(predicted.device))
        return torch.cat(means), torch.cat(samples, dim=1), torch.cat(truths)


def energy_score(samples: Tensor, truth: Tensor) -> Tensor:
    """The energy score over the last axis, the norm divided by the root of its length: samples (s, ..., d), truth
    (..., d) -> (...). Fair: unbiased for any number s > 1 of samples (Ferro, Q. J. R. Meteorol. Soc. 140:1917, 2014).
    With d = 1 it is the CRPS."""
    count = len(samples)
    error = _distance(samples, truth).mean(dim=0)
    apart = sum((_distance(samples[:i], samples[i]).sum(dim=0) for i in range(1, count)), start=torch.zeros_like(error))
    return error - apart / (count * (count - 1))


def _distance(x: Tensor, y: Tensor) -> Tensor:
    return ((x - y).square().mean(dim=-1) + 1e-12).sqrt()  # the root has no gradient at zero


def _spread_and_error(drawn: Tensor, wanted: Tensor) -> dict[str, Tensor]:
    """Of two samples: the spread of the ensemble, and that over the error it has to match."""
    variance = (drawn[0] - drawn[1]).square().mean() / 2
    error = (drawn.mean(dim=0) - wanted).square().mean()
    return {"spread": variance.sqrt(), "spread_over_error": (1.5 * variance / error).sqrt()}


def _best_temperature(mean: Tensor, drawn: Tensor, x: Tensor) -> float:
    """The factor on the samples' deviations from the mean (pixels, taken to be linear in it) of the least CRPS."""
    mean, drawn, x = (views[..., ::2, ::2] for views in (mean, drawn, x))
    scores = [float(energy_score((mean + t * (drawn - mean))[..., None], x[..., None]).mean()) for t in TEMPERATURES]
    return TEMPERATURES[int(np.argmin(scores))]
