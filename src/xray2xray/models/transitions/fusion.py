"""Several given views: what the others tell of what the frontal leaves open, in closed form.

What a prediction from the frontal misses is, to first order, a linear function of standard normal noise, at all angles
of a patient together (`LinearSpread`). Another view shows what is missed at its own angle; the noise given that is
normal again (Bishop, Pattern Recognition and Machine Learning, 2006, section 2.3.3), and its mean moves all other
predictions.
"""

import torch
from torch import Tensor

from .sampler import LinearSpread

# How far what the spread cannot explain is to be distrusted, as a multiple of its variance: it is no white noise. The
# least error of the 40 patients that the packaged model held out was at 10 to 20, whichever view was added.
CAUTION = 12.0


def noise_given(spread: LinearSpread, missed: Tensor, yaw_deg: Tensor) -> Tensor:
    """The expected noise (b, k) of patients, given what their predictions miss.

    Args:
        missed: (b, v, n, C), latents of the other views less those predicted for them.
        yaw_deg: (v,), where they were taken.
    """
    loadings = _loadings(spread, yaw_deg.to(missed.device))
    rest = missed.flatten(1).float()
    gram, seen = loadings @ loadings.T, rest @ loadings.T
    eye = torch.eye(len(gram), device=rest.device)
    # The part of each patient's residual that no noise explains, by the degrees of freedom that are left.
    nearly = gram + 1e-6 * gram.diagonal().mean() * eye
    explained = (seen * torch.linalg.solve(nearly, seen.T).T).sum(dim=1)
    freedom = max(1, rest.shape[1] - len(gram))
    unexplained = (rest.square().sum(dim=1) - explained).clamp_min(0) / freedom
    damped = gram + (CAUTION * unexplained + 1e-6 * gram.diagonal().mean())[:, None, None] * eye
    return torch.linalg.solve(damped, seen[..., None])[..., 0]


def _loadings(spread: LinearSpread, yaw_deg: Tensor) -> Tensor:
    """(k, v * n * C): what each number of the noise does to the views at (v,) degrees."""
    each = torch.eye(spread.loadings.shape[1], device=spread.loadings.device)
    return spread(each, yaw_deg.expand(len(each), -1)).flatten(1)
