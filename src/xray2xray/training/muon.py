"""Muon: the momentum of every matrix and kernel is orthogonalised before it moves the weights.

Jordan et al., "Muon: An optimizer for hidden layers in neural networks", 2024. A kernel (out, in, height, width) is
taken as a matrix (out, in * height * width). torch.optim.Muon takes no kernels.
"""

from typing import Any

import torch
from torch import Tensor

MOMENTUM = 0.95
ITERATIONS = 5
QUINTIC = (3.4445, -4.7750, 2.0315)  # Jordan et al.: singular values from 0.001 to 1 end between 0.7 and 1.2
ADAM_RMS = 0.2  # Liu et al., arXiv 2502.16982: with steps as large as AdamW's, one rate serves both


class Muon(torch.optim.AdamW):
    """Groups with `orthogonal` set are moved by Muon, the others (biases, norms) by AdamW.

    Each group needs a key `orthogonal`; rate and weight decay are used as AdamW does.
    """

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        every_group = self.param_groups
        for group in every_group:
            if group["orthogonal"]:
                for weight in group["params"]:
                    if weight.grad is not None:
                        self._move(weight, weight.grad, group["lr"], group["weight_decay"])
        self.param_groups = [group for group in every_group if not group["orthogonal"]]
        try:
            super().step(closure)
        finally:
            self.param_groups = every_group

    def _move(self, weight: Tensor, gradient: Tensor, rate: float, weight_decay: float) -> None:
        state = self.state[weight]
        if not state:
            state["momentum"] = torch.zeros_like(weight)
            state["step"] = torch.zeros(())  # AdamW looks for it where it loads a state
        state["momentum"].lerp_(gradient, 1 - MOMENTUM)
        direction = orthogonalised(gradient.lerp(state["momentum"], MOMENTUM).flatten(1))
        weight.mul_(1 - rate * weight_decay)
        weight.sub_(direction.view_as(weight), alpha=rate * ADAM_RMS * max(direction.shape) ** 0.5)


def orthogonalised(matrix: Tensor) -> Tensor:
    """U V^T of the singular value decomposition U S V^T of a matrix (m, n), nearly: singular values of 0.7 to 1.2.

    By a quintic Newton-Schulz iteration in bfloat16.
    """
    a, b, c = QUINTIC
    tall = matrix.shape[0] > matrix.shape[1]
    x = (matrix.T if tall else matrix).bfloat16()
    x = x / (x.norm() + 1e-7)
    for _ in range(ITERATIONS):
        gram = x @ x.T
        x = a * x + (b * gram + c * gram @ gram) @ x
    return (x.T if tall else x).to(matrix.dtype)
