"""What every reader is fitted to: seven endpoints, each with the likelihood that suits it."""

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from .cohort import People


def truth_of(people: People) -> Tensor:
    """Float32 (n, 8): the six labels, then event and years."""
    columns = [people.labels, people.event[:, None], people.time_years[:, None]]
    return torch.cat([torch.as_tensor(column, dtype=torch.float32) for column in columns], dim=1)


def losses(answers: Tensor, truth: Tensor) -> Tensor:
    """Mean loss (7,) of each endpoint.

    Args:
        answers: (n, 7), logits of the six labels and a log hazard.
        truth: (n, 8) as `truth_of` gives it.
    """
    labels = binary_cross_entropy_with_logits(answers[:, :6], truth[:, :6].to(answers), reduction="none").mean(0)
    return torch.cat([labels, cox_loss(answers[:, 6], truth[:, 6] > 0.5, truth[:, 7])[None]])


def cox_loss(log_hazard: Tensor, event: Tensor, time: Tensor) -> Tensor:
    """Negative log partial likelihood of an event (Cox, J R Stat Soc B 34:187, 1972), 0 where there is none.

    Every event's hazard against those of all who were still followed; times (n,) of events should not tie.
    """
    order = torch.argsort(time, descending=True, stable=True)
    log_hazard, event = log_hazard[order], event[order]
    at_risk = torch.logcumsumexp(log_hazard, dim=0)
    return ((at_risk - log_hazard) * event).sum() / event.sum().clamp(min=1)
