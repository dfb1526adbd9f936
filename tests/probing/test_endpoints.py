"""Losses of several findings and one event, of which not all is known."""

import numpy as np
import pytest
import torch

from xray2xray.core.errors import InputError
from xray2xray.probing.cox import PartialLikelihood
from xray2xray.probing.endpoints import Endpoints, cox_loss, losses, masked_bce

NAN = np.nan


def test_what_is_unknown_counts_nowhere() -> None:
    logits = torch.randn(5, 2, generator=torch.Generator().manual_seed(0)).requires_grad_(True)
    labels = torch.tensor([[1, NAN], [0, NAN], [NAN, NAN], [1, NAN], [NAN, NAN]], dtype=torch.float64)
    found = masked_bce(logits, labels)
    known = torch.nn.functional.binary_cross_entropy_with_logits(logits[[0, 1, 3], 0], torch.tensor([1.0, 0, 1]))
    torch.testing.assert_close(found, torch.stack([known, torch.tensor(0.0)]))
    found.sum().backward()
    assert logits.grad is not None
    assert (logits.grad != 0).tolist() == [[True, False], [True, False], [False] * 2, [True, False], [False] * 2]


def test_the_partial_likelihood_is_coxs_with_ties() -> None:
    rng = np.random.default_rng(0)
    score, time, event = rng.normal(size=30), np.ceil(5 * rng.random(30)), rng.integers(3, size=30).astype(float)
    expected = -PartialLikelihood.of(time, event == 1).value(score) / (event == 1).sum()
    columns = [torch.from_numpy(c) for c in (score, time, event)]
    assert float(cox_loss(*columns)) == pytest.approx(expected, rel=1e-5)

    unknown = [torch.cat([c, torch.tensor([value])]) for c, value in zip(columns, (50.0, NAN, NAN))]
    assert float(cox_loss(*unknown)) == pytest.approx(expected, rel=1e-5)

    learned = columns[0].clone().requires_grad_(True)
    cox_loss(learned, *columns[1:]).backward()
    h = 1e-3
    numeric = [
        float(cox_loss(learned.detach() + h * e, *columns[1:]) - cox_loss(learned.detach() - h * e, *columns[1:]))
        for e in torch.eye(30, dtype=torch.float64)
    ]
    assert learned.grad is not None
    assert learned.grad.numpy() == pytest.approx(np.array(numeric) / (2 * h), abs=2e-3)


def test_a_batch_without_events_has_no_loss_and_a_gradient() -> None:
    score = torch.randn(4, requires_grad=True)
    loss = cox_loss(score, torch.ones(4), torch.zeros(4))
    loss.backward()
    assert float(loss.detach()) == 0
    assert score.grad is not None
    assert (score.grad == 0).all()


def test_endpoints_stand_side_by_side() -> None:
    truth = Endpoints.of({"a": [1, 0, -1], "b": [NAN, 1, 0]}, [3.0, 1, NAN], [0, 1, 1], 3)
    assert truth.names == ("a", "b")
    np.testing.assert_array_equal(truth.findings, [[1, NAN], [0, 1], [NAN, 0]])
    np.testing.assert_array_equal(truth.event, [0, 1, NAN])
    assert truth.prevalence().tolist() == [0.5, 0.5]
    batch = truth.tensors(np.array([0, 1, 2]))
    each = losses(torch.zeros(3, 3), batch)
    torch.testing.assert_close(each, torch.tensor([2.0, 2.0, 2.0]).log())
    assert len(losses(torch.zeros(3, 2), {"findings": batch["findings"]})) == 2


@pytest.mark.parametrize(
    ("labels", "time", "event", "message"),
    [
        ({}, None, None, "needs labels"),
        ({"a": [1, 0, 1]}, [1, 2, 3], None, "needs labels"),
        ({"a": [1, 0]}, None, None, "a: 3 pictures"),
        ({"a": [1, 0, 0.5]}, None, None, "a: labels must be 0 or 1"),
        ({"a": [1, 0, np.inf]}, None, None, "a: labels must be 0 or 1"),
        ({}, [1, 2, 3], [0, 0, NAN], "none of 2 patients had the event"),
        ({}, [1, -2, 3], [0, 1, 1], "negative"),
    ],
)
def test_refusals(labels, time, event, message) -> None:
    with pytest.raises(InputError, match=message):
        Endpoints.of(labels, time, event, 3)


def test_one_class_is_too_few() -> None:
    truth = Endpoints.of({"a": [1, 1, NAN, 0]}, None, None, 4)
    truth.check("training")
    with pytest.raises(InputError, match="a: 2 of the 2 validation pictures"):
        truth.take(np.array([0, 1, 2])).check("validation")
