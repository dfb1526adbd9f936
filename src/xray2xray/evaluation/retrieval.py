"""Cross-view alignment: does the view predicted for an angle find the same patient's true view among those of others?

PSNR rewards the average chest; this asks only whether a prediction is of this patient. It is asked of latents, and of
pixels, where predictors without latents can be compared. A part of the answer needs no model: turning the patient moves
mass within a row only, so in a parallel beam every row of line integrals has the same sum at every yaw (Helgason and
Ludwig's condition of order zero; in a cone beam nearly). `row_sums` says how far the frontal's own sums lead.
"""

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..core.errors import InputError
from ..projection.geometry import STANDARD_ARC
from . import metrics
from .baselines import Predictor
from .cases import Case, batches
from .metrics import Array, unit

if TYPE_CHECKING:
    from ..models.world_model import WorldModel

RETRIEVAL_YAW_DEG = (-90.0, -60.0, -30.0, 30.0, 60.0, 90.0)
RENDERED_YAW_DEG = (0.0, *RETRIEVAL_YAW_DEG)
TRUTH, COPY = "truth", "copy_input"
BATCH = 8

Embedded = dict[str, dict[str, Array]]


def ranks(queries: Array, truths: Array) -> NDArray[np.intp]:
    """Rank (n,) of each patient's true view for the prediction of it, 1 = nearest of n; vectors (n, d) each.

    Cosine of flattened vectors: all views share one isocentre, so where in the picture a thing lies is what tells
    patients apart, and pooling would forget it. The cosine, because regression predicts vectors that are too short.
    Each side is centred on its own mean over the patients: what all predictions have in common says nothing about whose
    they are. Ties count against the prediction, so that one answer for all patients finds none.
    """
    similarity = _directions(queries) @ _directions(truths).T
    return np.sum(similarity >= np.diag(similarity)[:, None], axis=1)


def _directions(vectors: Array) -> Array:
    centred = vectors - vectors.mean(axis=0, dtype=np.float64)
    length = np.linalg.norm(centred, axis=1, keepdims=True)
    # vectors that are alike but for rounding have no direction
    noise = 1e-6 * np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.where(length > noise, centred / np.maximum(length, 1e-30), 0)


def embed_candidates(
    cases: Iterable[Case], models: Mapping[str, "WorldModel"], predictors: Mapping[str, Predictor]
) -> Embedded:
    """{"latents", "pixels", "row_sums"} -> {"truth", each predictor} -> vectors (n, angles, d) at `RETRIEVAL_YAW_DEG`.

    Args:
        cases: patients with their views at `RENDERED_YAW_DEG`.
        models: forms of M on one V.
        predictors: baselines of pixels.

    Raises:
        InputError: there are fewer than two patients, so that nothing can be mistaken.
    """
    parts: dict[str, dict[str, list[Array]]] = {"latents": {}, "pixels": {}, "row_sums": {}}
    vision = next(iter(models.values()))
    at = [STANDARD_ARC.index(yaw) for yaw in RETRIEVAL_YAW_DEG]

    def keep(space: str, name: str, vectors: Array) -> None:
        parts[space].setdefault(name, []).append(vectors.reshape(*vectors.shape[:2], -1).astype(np.float32))

    for batch in batches(cases, BATCH):
        views_p = np.stack([case.views_p for case in batch])
        frontal_p, true_p = views_p[:, 0], views_p[:, 1:]
        latents = np.stack([vision.encode(one)[0].cpu().numpy() for one in views_p])
        for space, views in (("latents", latents), ("pixels", unit(views_p)), ("row_sums", views_p.sum(axis=-1))):
            keep(space, TRUTH, views[:, 1:])
            keep(space, COPY, np.repeat(views[:, :1], len(at), axis=1))
        for form, model in models.items():
            predicted = model.prediction(model.observe([(frontal_p, 0.0)]), RETRIEVAL_YAW_DEG)
            keep("latents", form, predicted.latents(model.vision).cpu().numpy())
            keep("pixels", form, unit(predicted.pixels(model.vision).cpu().numpy()))
        for name, predictor in predictors.items():
            keep("pixels", name, predictor.predict(unit(frontal_p))[:, at])
    if sum(map(len, parts["pixels"].get(TRUTH, []))) < 2:
        raise InputError("retrieval needs at least two virtual patients that could be rendered")
    return {space: {name: np.concatenate(v) for name, v in named.items()} for space, named in parts.items()}


def summarise_retrieval(embedded: Embedded, seed: int = 0) -> dict[str, Any]:
    """Top-1, top-5 and median rank of every predictor in each space, over all angles and at each; and by chance."""
    n = len(embedded["latents"][TRUTH])
    found: dict[str, Any] = {
        "candidates": n,
        "chance": {"top1": 1 / n, "top5": min(5, n) / n, "median_rank": (n + 1) / 2},
    }
    for space, named in embedded.items():
        truth = named[TRUTH]
        found[space] = {
            name: _summary(np.stack([ranks(v[:, a], truth[:, a]) for a in range(truth.shape[1])], axis=1), seed)
            for name, v in named.items()
            if name != TRUTH
        }
    return found


def _summary(rank: NDArray[np.intp], seed: int) -> dict[str, Any]:
    """From ranks (patients, angles); intervals over patients."""
    interval = metrics.mean_interval((rank == 1).mean(axis=1), seed=seed)
    return {
        **_hits(rank),
        "top1_ci95": None if interval is None else list(interval),
        "per_angle": {f"{yaw:g}": _hits(rank[:, a]) for a, yaw in enumerate(RETRIEVAL_YAW_DEG)},
    }


def _hits(rank: NDArray[np.intp]) -> dict[str, float]:
    return {
        "top1": float(np.mean(rank == 1)),
        "top5": float(np.mean(rank <= 5)),
        "median_rank": float(np.median(rank)),
    }
