"""A toy form of M: the mean view at each angle of the standard arc, whatever is given."""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from xray2xray.core.errors import UsageError
from xray2xray.models.transitions.base import PixelViews, State, Transition, checked_depth, yaw_angles
from xray2xray.models.vision import from_network
from xray2xray.projection.geometry import STANDARD_ARC
from xray2xray.training.objective import Objective, draw_rows
from xray2xray.training.objectives.vision import stored_to_network
from xray2xray.training.settings import Settings
from xray2xray.training.steps import LoopConfig


@dataclass(frozen=True)
class MeanConfig:
    size: int = 128


class MeanTransition(Transition):
    differentiable = False
    width = 1

    def __init__(self, config: MeanConfig) -> None:
        super().__init__()
        self.config = config
        self.mean = nn.Parameter(torch.zeros(len(STANDARD_ARC), config.size, config.size))  # in network values

    def observe(self, observations) -> State:
        return State(tuple(observations))

    def predict(self, state, poses) -> PixelViews:
        nearest = [min(STANDARD_ARC, key=lambda known: abs(known - yaw)) for yaw in yaw_angles(poses, "mean")]
        means = from_network(self.mean[[STANDARD_ARC.index(yaw) for yaw in nearest]])
        views = means.expand(len(state.observations[0].pixels), *means.shape).clone()
        for observation in state.observations:
            for i, pose in enumerate(poses):
                if pose == observation.pose:
                    views[:, i] = observation.pixels
        return PixelViews(views)

    def sample(self, state, poses, noise):
        raise UsageError("the mean view is all that this form knows, it has no sampler")

    def features(self, state, poses, depth=None) -> Tensor:
        checked_depth(depth, 0)
        return F.adaptive_avg_pool2d(self.predict(state, poses).values, 4).flatten(2)[..., None]

    def given(self, observation) -> PixelViews:
        return PixelViews(observation.pixels)


class MeanObjective(Objective):
    stage = "mean"

    def __init__(self, model: MeanTransition, views: np.ndarray, weight: Tensor) -> None:
        super().__init__()
        self.model, self._views, self._weight = model, views, weight

    @classmethod
    def settings(cls, size) -> Settings:
        return Settings(MeanConfig(size.vision.size), LoopConfig(steps=100, batch=4, rate=0.1), None)

    @classmethod
    def build(cls, model, data, training) -> "MeanObjective":
        return cls(model, data.views, data.weight)

    @property
    def result(self) -> nn.Module:
        return self.model

    def learned(self, part):
        return self.model

    def draw(self, size, progress, generator):
        return {"x": stored_to_network(self._views[draw_rows(self._weight, size, generator).numpy()])}

    def forward(self, batch, part, progress):
        return (self.model.mean - batch["x"]).square().mean(), {}

    def configuration(self) -> dict[str, Any]:
        return {"model": asdict(self.model.config), "patients": len(self._weight)}
