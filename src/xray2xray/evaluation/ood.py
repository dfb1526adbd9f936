"""Is this view like those that V was trained on? Its reconstruction error against the training distribution."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from .metrics import Array, mse, unit

WARN_ABOVE = 0.99  # one training frontal in a hundred would be flagged


@dataclass(frozen=True)
class OutOfDistribution:
    """`error`: RMSE of V's reconstruction on the unit scale; `percentile`: share of training frontals below it, 0..1.

    `ratio` is the error over the training median: it still grows where the percentile is 1.
    """

    error: float
    percentile: float
    ratio: float
    warn: bool

    @property
    def words(self) -> str:
        """One sentence, without percentiles where the view is unusual."""
        if self.warn:
            return (
                f"The vision model reconstructs this view {self.ratio:.1f} times worse than a typical training view: "
                "it is unlike what the model has seen, and the predicted views are guesses."
            )
        return (
            f"The vision model reconstructs this view better than {100 * (1 - self.percentile):.0f} % of its training "
            "views: it looks like what the model has seen."
        )


def reconstruction_error(view_p: ArrayLike, reconstruction_p: ArrayLike) -> Array:
    """RMSE on the unit scale of views (..., h, w) in p -> float64 (...)."""
    return np.sqrt(mse(unit(view_p), unit(reconstruction_p)))


def out_of_distribution(error: float, training_quantiles: ArrayLike) -> OutOfDistribution:
    """Place an error among `training_quantiles` (0, 1 ... 100 % of the training errors, ascending).

    Raises:
        ValueError: no quantiles are known.
    """
    quantiles = np.asarray(training_quantiles, np.float64)
    if quantiles.size < 2:
        raise ValueError("no training distribution of V's reconstruction error is known")
    levels = np.linspace(0, 1, len(quantiles))
    percentile = float(np.interp(error, quantiles, levels))
    median = float(np.interp(0.5, levels, quantiles))
    return OutOfDistribution(float(error), percentile, float(error / max(median, 1e-9)), percentile > WARN_ABOVE)
