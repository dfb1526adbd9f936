"""An attentive probe: a learned query for each endpoint looks over the tokens of a picture, and reads where it looks.

A linear probe of many tokens has a weight for each number of each; an attentive one shares its weights among tokens
and learns which of them matter (Lee et al., Set Transformer, 2019; as a probe: Bardes et al., V-JEPA, 2024).
"""

import copy
from collections.abc import Mapping
from typing import Self

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from ..core.device import pick_device
from ..core.errors import InputError, UsageError
from ..core.evidence import VIRTUAL
from .endpoints import Endpoints, losses
from .head import Array, feature_rows, refuse_real, standardisation

WIDTH, HEADS = 64, 4
RATE, DECAY, DROPOUT = 1e-3, 0.1, 0.2
BATCH, CHECK = 64, 25  # patients of a step; steps from one look at the held-out patients to the next


class CrossAttention(nn.Module):
    """Tokens (b, t, c) -> answers (b, k): one query for each of k endpoints, and a line that reads what it found."""

    def __init__(self, tokens: int, channels: int, answers: int) -> None:
        super().__init__()
        self.embed = nn.Linear(channels, WIDTH)
        self.place = nn.Parameter(torch.randn(tokens, WIDTH) * 0.02)
        self.norm = nn.LayerNorm(WIDTH)
        self.keys_values = nn.Linear(WIDTH, 2 * WIDTH)
        self.queries = nn.Parameter(torch.randn(answers, WIDTH) * 0.02)
        self.dropout = nn.Dropout(DROPOUT)
        self.read = nn.Parameter(torch.zeros(answers, WIDTH))
        self.bias = nn.Parameter(torch.zeros(answers))

    def forward(self, tokens: Tensor) -> Tensor:
        embedded = self.norm(self.embed(tokens) + self.place)
        keys, values = self.keys_values(embedded).unflatten(-1, (2, HEADS, -1)).permute(2, 0, 3, 1, 4)
        queries = self.queries.unflatten(-1, (HEADS, -1)).transpose(0, 1).expand(len(tokens), -1, -1, -1)
        found = F.scaled_dot_product_attention(queries, keys, values).transpose(1, 2).flatten(2)
        return (self.dropout(found) * self.read).sum(dim=-1) + self.bias


class AttentiveProbe:
    """One small network for all endpoints of features that are tokens; attributes that end with `_` exist once fitted.

    Args:
        width: numbers of a token: features (n, d) are d / width tokens, see `WorldModel.width`.
        features: which features it reads, such as `vision`.
        evidence_level: of the data it is trained on.
        seed: of the weights and batches.
        steps: of training.
        device: where it is trained, and answers.

    Attributes:
        labels_: names of the findings; event_: whether the last answer is a log hazard.
        networks_: for each endpoint the network when its loss on the held-out patients was least: some endpoints are
            learned, and overfitted, before others. steps_: after how many steps that was.
    """

    labels_: tuple[str, ...]
    event_: bool
    networks_: nn.ModuleList
    steps_: list[int]
    mean_: Array
    scale_: Array

    def __init__(
        self,
        width: int,
        features: str = "features",
        evidence_level: str = VIRTUAL,
        seed: int = 0,
        steps: int = 1000,
        device: str = "cpu",
    ) -> None:
        self.width, self.features, self.evidence_level, self.seed, self.steps = (
            width,
            features,
            evidence_level,
            seed,
            steps,
        )
        self.device = device

    def fit(
        self,
        features: ArrayLike,
        labels: Mapping[str, ArrayLike],
        time: ArrayLike | None = None,
        event: ArrayLike | None = None,
        *,
        validation: NDArray[np.bool_],
    ) -> Self:
        """Learn from labelled patients; of each endpoint the weights with the least loss on the held-out ones are kept.

        Args:
            features: (n, d), one row a patient.
            labels, time, event: as `Endpoints` has them, unknown where NaN.
            validation: bool (n,), the patients who stop the training.

        Raises:
            InputError: features that are no tokens of this width, NaN, or one class only on either side.
            UsageError: a device that this machine lacks.
        """
        device = torch.device(pick_device(self.device))
        x = feature_rows(features, self._name)
        if x.shape[1] % self.width:
            raise InputError(f"{self._name}: {x.shape[1]} features are no tokens of {self.width} numbers")
        truth, held = Endpoints.of(labels, time, event, len(x)), np.asarray(validation, bool)
        for part, rows in (("training", np.flatnonzero(~held)), ("validation", np.flatnonzero(held))):
            truth.take(rows).check(part)
        self.labels_, self.event_ = truth.names, truth.time is not None
        self.mean_, self.scale_ = standardisation(x[~held])
        tokens = self._tokens(x).to(device)
        with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
            torch.manual_seed(self.seed)
            self.networks_, self.steps_ = _train(tokens, truth, held, self.steps)
        return self

    def predict_proba(self, features: ArrayLike, evidence_level: str = VIRTUAL) -> Array:
        """Probability of each finding, float64 (n, k), columns as `labels_`.

        Raises:
            UsageError: not fitted, or a real radiograph for a probe of virtual patients.
            InputError: features of another width, or NaN.
        """
        return torch.sigmoid(self._answers(features, evidence_level)[:, : len(self.labels_)]).numpy()

    def predict_risk(self, features: ArrayLike, evidence_level: str = VIRTUAL) -> Array:
        """The log hazard of the event, float64 (n,). Raises as `predict_proba`, or it was given no event."""
        answers = self._answers(features, evidence_level)
        if not self.event_:
            raise UsageError(f"the {self._name} was given no times and events to learn from")
        return answers[:, -1].numpy()

    @property
    def _name(self) -> str:
        return f"attentive probe of {self.features}"

    def _check_fitted(self) -> None:
        if not hasattr(self, "networks_"):
            raise UsageError(f"the {self._name} is not fitted yet")

    def _tokens(self, x: Array) -> Tensor:
        return torch.from_numpy(((x - self.mean_) / self.scale_).astype(np.float32)).unflatten(1, (-1, self.width))

    @torch.no_grad()
    def _answers(self, features: ArrayLike, evidence_level: str) -> Tensor:
        self._check_fitted()
        refuse_real(self._name, self.evidence_level, evidence_level)
        tokens = self._tokens(feature_rows(features, self._name, len(self.mean_), self.features))
        parts = tokens.to(next(self.networks_.parameters()).device).split(512)
        each = [torch.cat([network(some)[:, i] for some in parts]) for i, network in enumerate(self.networks_)]
        return torch.stack(each, dim=1).double().cpu()


def _train(tokens: Tensor, truth: Endpoints, held: NDArray[np.bool_], steps: int) -> tuple[nn.ModuleList, list[int]]:
    """For each endpoint the network with its least loss on the held-out patients, and after how many steps that was."""
    train, validation = np.flatnonzero(~held), np.flatnonzero(held)
    network = CrossAttention(tokens.shape[1], tokens.shape[2], len(truth.names) + (truth.time is not None))
    prevalence = torch.from_numpy(truth.take(train).prevalence())
    network.bias.data[: len(prevalence)] = torch.logit(prevalence).float()
    network.to(tokens.device)
    known = {name: column.to(tokens.device) for name, column in truth.tensors(np.arange(len(held))).items()}

    def loss_of(rows: Tensor) -> Tensor:
        return losses(network(tokens[rows]), {name: column[rows] for name, column in known.items()})

    looked_at = torch.from_numpy(validation).to(tokens.device)
    adam = torch.optim.AdamW(network.parameters(), RATE, weight_decay=DECAY)
    best = [copy.deepcopy(network) for _ in network.bias]
    least, when = [float("inf")] * len(best), [0] * len(best)
    for step in range(steps + 1):
        if step % CHECK == 0 or step == steps:
            network.eval()
            with torch.no_grad():
                found = loss_of(looked_at).tolist()
            for i in [i for i, loss in enumerate(found) if loss < least[i]]:
                best[i].load_state_dict(network.state_dict())
                least[i], when[i] = found[i], step
            network.train()
        if step < steps:
            some = train[torch.randint(len(train), (min(BATCH, len(train)),)).numpy()]
            adam.zero_grad()
            loss_of(torch.from_numpy(some).to(tokens.device)).mean().backward()
            adam.step()
    return nn.ModuleList(best).eval(), when
