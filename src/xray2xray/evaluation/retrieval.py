"""Retrieval across views: is the same patient's true view the nearest one to the view predicted for an angle?

PSNR rewards the average chest; this measures only whether a prediction is of this patient: in latents, and in pixels,
where predictors without latents can be compared. A part of it needs no model: turning the patient moves mass within a
row only, so in a parallel beam every row of line integrals has the same sum at every yaw (Helgason and Ludwig's
condition of order zero; in a cone beam nearly). `row_sums` measures how far the frontal's own sums go.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ..core.errors import InputError
from ..projection.geometry import STANDARD_ARC
from ..statistics.intervals import SHARE, mean_interval
from .cases import Case, batches
from .metrics import Array, unit
from .predictors import Predictor
from .results import Interval

if TYPE_CHECKING:
    from ..models.world_model import WorldModel

RETRIEVAL_YAW_DEG = (-90.0, -60.0, -30.0, 30.0, 60.0, 90.0)
RENDERED_YAW_DEG = (0.0, *RETRIEVAL_YAW_DEG)
TRUTH, COPY = "truth", "copy_input"
BATCH = 8

Embedded = dict[str, dict[str, Array]]


@dataclass(frozen=True)
class Hits:
    """How often the right patient is the nearest, and among the five nearest; the median rank, 1 the best."""

    top1: float
    top5: float
    median_rank: float


@dataclass(frozen=True)
class Found(Hits):
    """One predictor, over all angles and at each; the interval is over patients."""

    top1_ci95: Interval | None
    per_angle: dict[str, Hits]


@dataclass(frozen=True)
class Retrieval:
    """Every predictor in each space, and what a random order gives."""

    candidates: int
    chance: Hits
    latents: dict[str, Found]
    pixels: dict[str, Found]
    row_sums: dict[str, Found]


def ranks(queries: Array, truths: Array) -> NDArray[np.intp]:
    """Rank (n,) of each patient's true view for the prediction of it, 1 = nearest of n; vectors (n, d) each.

    Cosine of flattened vectors: all views share one isocentre, so the place of a thing in the picture is what
    distinguishes patients, and pooling would remove it. The cosine, because regression predicts vectors that are
    too short. Each side is centred on its own mean over the patients, because what all predictions have in common does
    not distinguish them. Ties count against the prediction, so that one answer for all patients finds none.
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
        frontal_p = views_p[:, 0]
        latents = np.stack([vision.encode(one)[0].cpu().numpy() for one in views_p])
        for space, true in (("latents", latents), ("pixels", unit(views_p)), ("row_sums", views_p.sum(axis=-1))):
            keep(space, TRUTH, true[:, 1:])
            keep(space, COPY, np.repeat(true[:, :1], len(at), axis=1))
        for form, model in models.items():
            views = model.prediction(model.observe([(frontal_p, 0.0)]), RETRIEVAL_YAW_DEG)
            keep("latents", form, views.latents(model.vision).cpu().numpy())
            keep("pixels", form, unit(views.pixels(model.vision).cpu().numpy()))
        for name, predictor in predictors.items():
            keep("pixels", name, predictor.predict(unit(frontal_p))[:, at])
    if sum(map(len, parts["pixels"].get(TRUTH, []))) < 2:
        raise InputError("retrieval needs at least two virtual patients that could be rendered")
    return {space: {name: np.concatenate(v) for name, v in named.items()} for space, named in parts.items()}


def summarise_retrieval(embedded: Embedded, seed: int = 0) -> Retrieval:
    """Ranks of every predictor in each space; `seed` of the bootstrap."""
    n = len(embedded["latents"][TRUTH])
    chance = Hits(1 / n, min(5, n) / n, (n + 1) / 2)
    return Retrieval(n, chance, **{space: _found(named, seed) for space, named in embedded.items()})


def _found(named: Mapping[str, Array], seed: int) -> dict[str, Found]:
    truth = named[TRUTH]
    found: dict[str, Found] = {}
    for name, vectors in named.items():
        if name == TRUTH:
            continue
        rank = np.stack([ranks(vectors[:, a], truth[:, a]) for a in range(truth.shape[1])], axis=1)
        bounds = mean_interval((rank == 1).mean(axis=1), seed=seed, within=SHARE)
        per_angle = {f"{yaw:g}": _hits(rank[:, a]) for a, yaw in enumerate(RETRIEVAL_YAW_DEG)}
        found[name] = Found(**vars(_hits(rank)), top1_ci95=bounds, per_angle=per_angle)
    return found


def _hits(rank: NDArray[np.intp]) -> Hits:
    return Hits(float(np.mean(rank == 1)), float(np.mean(rank <= 5)), float(np.median(rank)))
