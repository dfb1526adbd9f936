"""One fold's training, of the volumetric form and of the baselines."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from ...core.errors import InputError
from ...data.groups import group_of
from ...data.store import ViewStore
from ...evaluation.baselines import fit_on_store
from ...evaluation.predictors import Predictor
from ...models.transitions.volumetric import VolumetricTransition
from ...models.world_model import WorldModel
from ...projection.geometry import STANDARD_ARC
from ...training.checkpoint import CHECKPOINT
from ...training.loop import fit
from ...training.objectives.volumetric import VolumetricObjective, VolumetricTraining
from ...training.steps import LoopConfig, Machine

Place = tuple[ViewStore, str]


@dataclass(frozen=True, eq=False)
class Taught:
    """Studies to learn from.

    Attributes:
        places: real scans and their warps first, then virtual patients.
        real: how many of them are real.
        share: of the draws that are real, 0 to 1.
    """

    places: tuple[Place, ...]
    real: int
    share: float

    def __len__(self) -> int:
        return len(self.places)

    def __getitem__(self, number: int, /) -> tuple[np.ndarray, np.ndarray]:
        store, study = self.places[number]
        lifted = store.read_lifted(study)
        if lifted is None:
            raise InputError(f"{store.path(study)} holds no volume; render it with --lifted")
        return lifted.portions, lifted.lifted_p

    @property
    def virtual(self) -> np.ndarray:
        """bool (n,)."""
        return np.arange(len(self.places)) >= self.real

    @property
    def weight(self) -> np.ndarray:
        """float64 (n,), sum one: real scans and their warps have `share` of the draws together."""
        counts = np.where(self.virtual, len(self) - self.real, self.real)
        return np.where(self.virtual, 1 - self.share, self.share) / np.maximum(counts, 1)


def train_on(taught: Taught, start: WorldModel, donors: int, steps: int, seed: int, out: Path) -> WorldModel:
    """The volumetric form after more steps; a training that was interrupted goes on.

    Args:
        donors: how many studies lend their detail to samples.
    """
    before = start.transition
    assert isinstance(before, VolumetricTransition)
    transition = VolumetricTransition(replace(before.config, donors=donors))
    transition.network.load_state_dict(before.network.state_dict())
    weight = torch.from_numpy(taught.weight).float()
    objective = VolumetricObjective(transition, taught, weight, taught.virtual, VolumetricTraining())
    loop = LoopConfig(steps, batch=8, rate=1e-3, warm_up=max(1, steps // 10), check_every=100, optimizer="muon")
    fit(objective, loop, Machine(seed=seed), out, resume=(out / CHECKPOINT).is_file())
    objective.finish()
    return WorldModel(start.vision, objective.result.eval())


def baselines_on(taught: Taught, virtual: int, seed: int) -> dict[str, Predictor]:
    """All baselines, from the same real studies and at most `virtual` of the virtual patients."""
    others = len(taught) - taught.real
    drawn = np.random.default_rng(seed).permutation(others)[:virtual] + taught.real
    chosen = [*range(taught.real), *np.sort(drawn).tolist()]
    places = [taught.places[i] for i in chosen]
    views = np.concatenate([store.read_standard([study]) for store, study in places])
    owners = [group_of(store.read_labels(study), study) for store, study in places]
    return fit_on_store(views, STANDARD_ARC.index(0.0), owners, taught.weight[chosen])
