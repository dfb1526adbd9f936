"""What a network is asked of a picture: several findings, and the time to one event. The unknown counts nowhere."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor
from torch.nn import functional as F

from ..core.errors import InputError
from ..statistics.checks import follow_up
from .cox import PartialLikelihood
from .head import Array


@dataclass(frozen=True)
class Endpoints:
    """The truth of n pictures.

    Attributes:
        names: of the k findings.
        findings: float64 (n, k), 1 or 0, NaN where unknown.
        time, event: float64 (n,), NaN where nobody followed the patient; None without such an endpoint. Events are 0
            (censored), 1 (the event), 2 and more (another end, which counts as censoring).
    """

    names: tuple[str, ...]
    findings: Array
    time: Array | None = None
    event: Array | None = None

    @classmethod
    def of(
        cls, labels: Mapping[str, ArrayLike], time: ArrayLike | None, event: ArrayLike | None, n: int
    ) -> "Endpoints":
        """From columns.

        Args:
            labels: name -> (n,) of 0 and 1; NaN or -1 where unknown.
            time, event: (n,); NaN where unknown.
            n: pictures.

        Raises:
            InputError: no endpoint, another length, a label that is neither 0 nor 1, or what `follow_up` refuses.
        """
        if (time is None) != (event is None) or not (labels or time is not None):
            raise InputError("a network needs labels, or times and events of the same patients, or both")
        columns = [np.asarray(column, np.float64) for column in labels.values()]
        followed = [] if time is None or event is None else [np.asarray(c, np.float64) for c in (time, event)]
        for name, column in zip([*labels, "time", "event"], [*columns, *followed]):
            if column.shape != (n,):
                raise InputError(f"{name}: {n} pictures want as many values, got {column.shape}")
        findings = np.stack(columns, axis=1) if columns else np.zeros((n, 0))
        findings = np.where(findings == -1, np.nan, findings)
        for name, column in zip(labels, findings.T):
            if not np.isin(column[~np.isnan(column)], (0, 1)).all():
                raise InputError(f"{name}: labels must be 0 or 1, NaN or -1 where unknown")
        if not followed:
            return cls(tuple(labels), findings)
        unknown = np.isnan(followed[0]) | np.isnan(followed[1])
        follow_up(*(column[~unknown] for column in followed))
        return cls(tuple(labels), findings, *(np.where(unknown, np.nan, column) for column in followed))

    def only(self, names: Sequence[str], event: bool) -> "Endpoints":
        """Of these findings, and of the event or not."""
        findings = self.findings[:, [self.names.index(name) for name in names]]
        return Endpoints(tuple(names), findings, *((self.time, self.event) if event else (None, None)))

    def take(self, rows: NDArray[np.intp]) -> "Endpoints":
        time, event = (None if column is None else column[rows] for column in (self.time, self.event))
        return Endpoints(self.names, self.findings[rows], time, event)

    def check(self, part: str, least: int = 1) -> None:
        """Raises InputError where the pictures of a part hold fewer than `least` of either class of a finding."""
        for name, column in zip(self.names, self.findings.T):
            counts = [int((column == value).sum()) for value in (1, 0)]
            if min(counts) < least:
                raise InputError(
                    f"{name}: {counts[0]} of the {sum(counts)} {part} pictures with a known label are positive;"
                    f" {least} of each kind are needed"
                )

    def tensors(self, rows: NDArray[np.intp]) -> dict[str, Tensor]:
        """A batch for `losses`: findings (b, k), and time and event (b,) if there are any."""
        columns = {"findings": self.findings, "time": self.time, "event": self.event}
        return {name: torch.from_numpy(column[rows]) for name, column in columns.items() if column is not None}

    def prevalence(self) -> Array:
        """The share of positives among the known, (k,)."""
        return np.nanmean(self.findings, axis=0)


def losses(answers: Tensor, truth: Mapping[str, Tensor]) -> Tensor:
    """The mean loss of each endpoint.

    Args:
        answers: (b, k) logits, and a log hazard as the last column if there is an event.
        truth: as `Endpoints.tensors` gives it.

    Returns:
        (k,) or (k + 1,); 0 for an endpoint of which nothing is known.
    """
    k = truth["findings"].shape[1]
    found = masked_bce(answers[:, :k], truth["findings"])
    if "time" not in truth:
        return found
    return torch.cat([found, cox_loss(answers[:, k], truth["time"], truth["event"])[None]])


def masked_bce(logits: Tensor, labels: Tensor) -> Tensor:
    """Cross-entropy (k,), the mean over the known of labels (b, k)."""
    known = ~torch.isnan(labels)
    each = F.binary_cross_entropy_with_logits(logits.float(), labels.nan_to_num().float(), reduction="none")
    return (each * known).sum(dim=0) / known.sum(dim=0).clamp(min=1)


def cox_loss(log_hazard: Tensor, time: Tensor, event: Tensor) -> Tensor:
    """Minus the log of Cox's partial likelihood with Efron's ties, a mean over the events of those followed; ().

    As `PartialLikelihood` counts it, for gradients; of a batch it is the likelihood within the batch.
    """
    known = ~torch.isnan(time)
    score, died = log_hazard[known].double(), (event[known] == 1).cpu().numpy()
    if not died.any():
        return log_hazard.sum() * 0
    sets = PartialLikelihood.of(time[known].cpu().numpy(), died)
    order, sorted_died, first, tie, share = (
        torch.from_numpy(index).to(score.device) for index in (sets.order, sets.died, sets.first, sets.tie, sets.share)
    )
    score = score[order] - score.max().detach()
    ratio = score.exp()
    tied = torch.zeros_like(share).index_add(0, tie, ratio[sorted_died])[tie]
    at_risk = ratio.flip(0).cumsum(0).flip(0)[first] - share * tied
    return (at_risk.log() - score[sorted_died]).mean().float()
