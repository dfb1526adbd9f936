"""Is this view like those that V was trained on? Its reconstruction error against the training distribution."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..core.errors import InputError
from ..data.store import SCALE, ViewStore
from ..models.input_statistics import InputStatistics
from ..parallel.progress import progress
from .metrics import Array, mse, unit

if TYPE_CHECKING:
    from ..models.world_model import WorldModel

BODY_P = 0.5  # less than this is air or a couch beside the body, which a radiograph's frame hardly shows
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


def measure_inputs(store: ViewStore | str | Path, model: "WorldModel") -> InputStatistics:
    """The statistics of a training store's frontals and of V's reconstructions of them, read one study at a time.

    Studies that a table gives to validation or test are left out.

    Raises:
        InputError: the store holds no training study, or one lacks the frontal.
    """
    store = store if isinstance(store, ViewStore) else ViewStore.open(store)
    counts, errors = np.zeros(65536, np.int64), []
    studies = store.training_studies()
    for study in progress(studies, "reconstructing"):
        view_p = store.read_at(study, 0.0)[None]
        counts += np.bincount(np.rint(view_p * SCALE).astype(np.int64).ravel(), minlength=65536)
        errors.append(float(reconstruction_error(view_p, model.reconstruct_views(view_p, quantised=False))[0]))
    if not errors:
        raise InputError(f"{store.folder} holds no training study; render some patients into it first")
    quantiles = np.quantile(errors, np.linspace(0, 1, 101)).astype(np.float32)
    return InputStatistics(store.geometry, _body_quantiles(counts, 256), quantiles, store.words(studies))


def _body_quantiles(counts: NDArray[np.int64], levels: int) -> NDArray[np.float32]:
    """p at the quantiles (i + 1/2) / levels of those pixels of a histogram of uint16 counts that are above `BODY_P`."""
    below = np.cumsum(np.where(np.arange(len(counts)) > BODY_P * SCALE, counts, 0))
    wanted = (np.arange(levels) + 0.5) / levels * (below[-1] - 1) + 1
    return (np.searchsorted(below, wanted) / SCALE).astype(np.float32)


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
