import copy

import pytest
import torch

from xray2xray.training.muon import Muon, orthogonalised


@pytest.mark.parametrize("shape", [(8, 8), (6, 20), (20, 6)])
def test_singular_values_become_about_one(shape):
    torch.manual_seed(0)
    values = torch.linalg.svdvals(orthogonalised(torch.randn(shape)).float())
    assert values.min() > 0.6
    assert values.max() < 1.3


def test_singular_vectors_stay():
    torch.manual_seed(0)
    matrix = torch.randn(5, 9)
    u, _, vh = torch.linalg.svd(matrix, full_matrices=False)
    turned = u.T @ orthogonalised(matrix).float() @ vh.T
    off_diagonal = turned - torch.diag(turned.diagonal())
    assert off_diagonal.abs().max() < 0.05
    assert turned.diagonal().min() > 0.6


def test_a_kernel_and_a_bias_learn_a_convolution():
    torch.manual_seed(0)
    wanted, learned = (torch.nn.Conv2d(2, 4, 3) for _ in range(2))
    optimizer = Muon(
        [{"params": [learned.weight], "orthogonal": True}, {"params": [learned.bias], "orthogonal": False}],
        lr=0.02,
        weight_decay=0.0,
    )
    x = torch.randn(16, 2, 8, 8)
    losses = []
    for _ in range(200):
        loss = (learned(x) - wanted(x).detach()).square().mean()
        losses.append(float(loss))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert losses[-1] < 0.01 * losses[0]


def test_state_is_kept_in_a_checkpoint():
    torch.manual_seed(0)

    def fresh() -> tuple[torch.nn.Linear, Muon]:
        layer = torch.nn.Linear(3, 3)
        with torch.no_grad():
            layer.weight.copy_(torch.eye(3))
            layer.bias.zero_()
        groups = [{"params": [layer.weight], "orthogonal": True}, {"params": [layer.bias], "orthogonal": False}]
        return layer, Muon(groups, lr=0.1)

    def step(layer: torch.nn.Linear, optimizer: Muon) -> None:
        optimizer.zero_grad()
        (layer(torch.arange(3.0)) ** 2).sum().backward()
        optimizer.step()

    layer, optimizer = fresh()
    step(layer, optimizer)
    other, resumed = fresh()
    other.load_state_dict(layer.state_dict())
    resumed.load_state_dict(copy.deepcopy(optimizer.state_dict()))  # a state is shared, not copied
    step(layer, optimizer)
    step(other, resumed)
    assert torch.equal(layer.weight, other.weight)
    assert torch.equal(layer.bias, other.bias)
