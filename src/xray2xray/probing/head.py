"""What every head does with its features, and whom it refuses."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..core.errors import InputError, UsageError
from ..core.evidence import EVIDENCE_LEVELS, RADIOGRAPH, VIRTUAL

Array = NDArray[np.floating]


def feature_rows(features: ArrayLike, name: str, width: int | None = None, kind: str = "") -> NDArray[np.float64]:
    """Features as float64 (n, d); one vector is one row.

    Raises:
        InputError: another width than the head reads, or NaN.
    """
    x = np.atleast_2d(np.asarray(features, np.float64))
    if x.ndim != 2 or (width is not None and x.shape[1] != width):
        wanted = "(n, d)" if width is None else f"{width} {kind}"
        raise InputError(f"{name}: it reads {wanted} features, got {x.shape[1] if x.ndim == 2 else x.shape}")
    if not np.isfinite(x).all():
        raise InputError(f"{name}: features hold NaN or infinite numbers")
    return x


def refuse_real(name: str, trained_on: str, evidence_level: str) -> None:
    """A head trained on virtual patients has learned planted findings; of a real radiograph it would say nonsense.

    Raises:
        UsageError: the features come from real radiographs and the head was trained on virtual ones, or
            `evidence_level` is none: a misspelt one must not pass for another.
    """
    for said in (trained_on, evidence_level):
        if said not in EVIDENCE_LEVELS:
            raise UsageError(f"{name}: {said!r} is no evidence level; use {', '.join(map(repr, EVIDENCE_LEVELS))}")
    if trained_on == VIRTUAL and evidence_level == RADIOGRAPH:
        raise UsageError(
            f"the {name} was trained on virtual patients and refuses a real radiograph; "
            "train one on labelled radiographs"
        )


def standardisation(x: Array, blocks: Sequence[int] = ()) -> tuple[Array, Array]:
    """Mean and scale (d,) of features (n, d), the scale being their standard deviation.

    Args:
        blocks: how many of the features each of several sets has, where they stand side by side. A set's standard
            deviations then shrink by the root of its share of the widest one, so that all have the same variance:
            under one penalty, age and sex would drown among three thousand latents.

    Raises:
        InputError: the blocks do not add up to the features.
    """
    scale = x.std(axis=0)
    scale[scale < 1e-9] = 1  # a constant feature says nothing and must not divide by zero
    if blocks:
        if min(blocks) < 1 or sum(blocks) != x.shape[1]:
            raise InputError(f"sets of {', '.join(map(str, blocks))} features are not the {x.shape[1]} given")
        scale *= np.repeat(np.sqrt(np.array(blocks) / max(blocks)), blocks)
    return x.mean(axis=0), scale


def row_space(x: Array) -> tuple[Array, Array]:
    """Features (n, d) as coordinates (n, r) in an orthonormal basis (r, d) of their rows' span, r at most n.

    The weights of an L2-penalised linear model lie in that span, so it is the same model with n numbers a row, not
    d: coordinates @ (basis @ weights) = x @ weights. Where d is not larger than n, x itself and the unit matrix.
    """
    n, d = x.shape
    if d <= n:
        return x, np.eye(d)
    values, vectors = np.linalg.eigh(x @ x.T)
    kept = values > 1e-10 * values[-1]
    lengths = np.sqrt(values[kept])
    return vectors[:, kept] * lengths, (vectors[:, kept] / lengths).T @ x
