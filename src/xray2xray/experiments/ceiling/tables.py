"""Readers of tables: linear models, and boosted trees where a label is a threshold. Each gives answers (n, 7)."""

import numpy as np
import torch
from sklearn.ensemble import HistGradientBoostingClassifier

from .cohort import ENDPOINTS, People
from .objective import losses, truth_of

PENALTIES = tuple(float(p) for p in np.logspace(-4, 1, 6))


def linear(tables: tuple[np.ndarray, np.ndarray, np.ndarray], train: People, validation: People) -> np.ndarray:
    """Penalised logistic and Cox regression, the penalty of each endpoint chosen on the validation patients.

    Args:
        tables: (n, d) of the training, validation and test patients.

    Returns:
        answers (n_test, 7) for the test patients.
    """
    mean, sd = tables[0].mean(axis=0), tables[0].std(axis=0)
    x, x_validation, x_test = (
        torch.as_tensor((table - mean) / np.where(sd > 1e-9, sd, 1), dtype=torch.float64) for table in tables
    )
    fits = [_fit(x, truth_of(train), penalty) for penalty in PENALTIES]
    held_out = torch.stack([losses(x_validation @ w + b, truth_of(validation)) for w, b in fits])
    answers = torch.stack([x_test @ w + b for w, b in fits])
    return answers[held_out.argmin(dim=0), :, torch.arange(len(ENDPOINTS))].T.numpy()


def oracle(train: People, validation: People, test: People) -> np.ndarray:
    """Answers (n_test, 7) of one who knows age, sex and the true factors: trees for the labels, Cox regression."""
    tables = tuple(np.hstack([part.known, part.factors]) for part in (train, validation, test))
    answers = linear((tables[0], tables[1], tables[2]), train, validation)
    for column, label in enumerate(train.labels.T):
        trees = HistGradientBoostingClassifier(max_iter=200, min_samples_leaf=5, early_stopping=False, random_state=0)
        answers[:, column] = trees.fit(tables[0], label).decision_function(tables[2])
    return answers


def _fit(x: torch.Tensor, truth: torch.Tensor, penalty: float) -> tuple[torch.Tensor, torch.Tensor]:
    """Weights (d, 7) and intercepts (7,) at the least penalised loss."""
    weights = torch.zeros(x.shape[1], len(ENDPOINTS), dtype=x.dtype, requires_grad=True)
    intercepts = torch.zeros(len(ENDPOINTS), dtype=x.dtype, requires_grad=True)
    newton = torch.optim.LBFGS([weights, intercepts], max_iter=200, line_search_fn="strong_wolfe")

    def closure() -> torch.Tensor:
        newton.zero_grad()
        loss = losses(x @ weights + intercepts, truth).sum() + penalty / 2 * weights.square().sum()
        loss.backward()
        return loss

    newton.step(closure)
    return weights.detach(), intercepts.detach()
