"""What a linear model already knows: the frontal's latents to the latents at each angle, in closed form.

A transformer spends its first minutes on learning this. Fitted once by ridge regression, it starts where linear
regression ends and spends its training on what is not linear.
"""

import torch
from torch import Tensor, nn

ANGLE_STEP_DEG = 5.0
PENALTIES = (0.001, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0)


class LinearPrior(nn.Module):
    """Ridge regression from a frontal view's latents to those at every angle of the arc, between them interpolated.

    For other input angles the prior falls back to the mean latents of the target angle.

    Args:
        shape: (n, C) of one view's latents.
        inputs, outputs: principal components of the frontal, and of the predicted views.
        arc_deg: the angles, 5 degrees apart, ascending.
    """

    mean: Tensor
    input_mean: Tensor
    input_basis: Tensor
    weights: Tensor
    output_basis: Tensor

    def __init__(self, shape: tuple[int, int], inputs: int, outputs: int, arc_deg: tuple[float, ...]) -> None:
        super().__init__()
        self.shape, self.arc_deg = shape, arc_deg
        size = shape[0] * shape[1]
        self.register_buffer("mean", torch.zeros(len(arc_deg), size))
        self.register_buffer("input_mean", torch.zeros(size))
        self.register_buffer("input_basis", torch.zeros(size, inputs))
        self.register_buffer("weights", torch.zeros(len(arc_deg), inputs, outputs))
        self.register_buffer("output_basis", torch.zeros(outputs, size))

    @torch.no_grad()
    def fit(self, latents: Tensor) -> None:
        """Fit to latents (patients, angles, n, C) on the CPU, any float type; patients are in random order."""
        patients, angles = latents.shape[:2]
        inputs, outputs = self.weights.shape[1:]
        frontal = latents[:, self.arc_deg.index(0.0)].flatten(1).float()
        self.input_mean.copy_(frontal.mean(dim=0))
        centred = frontal - self.input_mean
        rank = min(inputs, patients - 1, centred.shape[1])
        _, _, basis = torch.svd_lowrank(centred, q=rank, niter=4)
        scores = centred @ basis
        solve = _ridge(scores, _best_penalty(scores, latents))  # (rank, patients): the same for every angle
        full = torch.empty(angles, rank, centred.shape[1])
        for angle in range(angles):
            wanted = latents[:, angle].flatten(1).float()
            self.mean[angle] = wanted.mean(dim=0)
            full[angle] = solve @ (wanted - self.mean[angle])
        # The predictions of all angles share one basis: their principal directions over patients and angles.
        spread = scores.std(dim=0, correction=0)[:, None]
        shared_rank = min(outputs, angles * rank, centred.shape[1])
        _, _, shared = torch.svd_lowrank((spread * full).flatten(0, 1), q=shared_rank, niter=4)
        self.input_basis.zero_()[:, :rank] = basis
        self.weights.zero_()[:, :rank, :shared_rank] = full @ shared
        self.output_basis.zero_()[:shared_rank] = shared.T

    def forward(self, latents: Tensor, input_yaw_deg: Tensor, target_yaw_deg: Tensor) -> Tensor:
        """Expected latents at the targets: (b, n, C), (b,), (b, t) -> (b, t, n, C). Always float32."""
        with torch.autocast(latents.device.type, enabled=False):
            return self._expect(latents.float(), input_yaw_deg.float(), target_yaw_deg.float())

    def _expect(self, latents: Tensor, input_yaw_deg: Tensor, target_yaw_deg: Tensor) -> Tensor:
        position = ((target_yaw_deg - self.arc_deg[0]) / ANGLE_STEP_DEG).clamp(0, len(self.arc_deg) - 1)
        below = position.floor().long().clamp(max=len(self.arc_deg) - 2)
        share = (position - below)[..., None]
        scores = (latents.flatten(1) - self.input_mean) @ self.input_basis
        frontal = (1 - input_yaw_deg.abs() / ANGLE_STEP_DEG).clamp(0, 1)
        scores = scores * frontal[:, None]
        coefficients = torch.einsum("bi,tio->bto", scores, self.weights)  # at every angle of the arc: tiny
        mean = torch.lerp(self.mean[below], self.mean[below + 1], share)
        row = torch.arange(len(latents), device=latents.device)[:, None]
        mixed = torch.lerp(coefficients[row, below], coefficients[row, below + 1], share)
        return (mean + mixed @ self.output_basis).unflatten(-1, self.shape)


def _ridge(scores: Tensor, penalty: float) -> Tensor:
    """(k, patients): turns targets into ridge weights; the penalty is a share of the mean variance of the scores."""
    gram = scores.T @ scores
    gram.diagonal().add_(penalty * gram.diagonal().mean() + 1e-6)
    return torch.linalg.solve(gram, scores.T)


def _best_penalty(scores: Tensor, latents: Tensor) -> float:
    """The penalty that predicts the last tenth of the patients best from the others, at every sixth angle."""
    learned = len(scores) - max(1, len(scores) // 10)
    targets = latents[:, ::6].flatten(1).float()
    targets = targets - targets[:learned].mean(dim=0)

    def error(penalty: float) -> float:
        weights = _ridge(scores[:learned], penalty) @ targets[:learned]
        return float((scores[learned:] @ weights - targets[learned:]).square().mean())

    return min(PENALTIES, key=error)
