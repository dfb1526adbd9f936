"""Counterfactual pairs: one virtual patient without and with a lesion, which the frontal shows or cannot show.

A lesion is a soft Gaussian ball of `LESION_HU`. In the *visible* pair it lies in lung that nothing covers from the
front. In the *hidden* pair it lies behind the heart or a dome, and what it adds to each ray of the frontal is taken
from the soft tissue further along the same ray: a copy of the ball, scaled about the source by s and divided by s, has
the same frontal, so that several faint copies cancel it. The laterals differ as much as in the visible pair. The
frontal holds no information about it: the two predictions must agree, which of them has the lesion must be found in
half of the pairs, and a calibrated spread must cover the lesion.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

import numpy as np
import torch
from scipy.ndimage import distance_transform_edt

from ..core.seeds import FIRST_TEST_SEED
from ..parallel.progress import progress
from ..phantoms import TISSUES, make_volume, sample_patient
from ..projection.detector import detect
from ..projection.forward import project
from ..projection.geometry import Geometry
from ..volume.attenuation import hu_to_mu
from ..volume.chest import Chest
from ..volume.volume import Volume
from .metrics import Array
from .results import NOT_JSON, Estimate

if TYPE_CHECKING:
    from ..models.world_model import WorldModel

Kind = Literal["hidden", "visible"]
KINDS: tuple[Kind, ...] = ("hidden", "visible")
LESION_HU, SIGMA_MM = 700.0, 9.0  # lung becomes soft tissue; 21 mm across at half its height
COPIES = 8  # that cancel a hidden lesion: each takes at most 90 HU from soft tissue
KERMA_UGY, QUANTA = 2.5, 30_000.0  # exposure of a radiograph at the detector; quanta per uGy and mm2 (see `detect`)
LATERALS_DEG = (-90.0, 90.0)
PAIR_YAW_DEG = (0.0, *LATERALS_DEG)
LUNG = [TISSUES.index(name) for name in ("lung_right", "lung_left")]
SOFT = [TISSUES.index(name) for name in ("heart", "mediastinum", "abdomen")]


@dataclass(frozen=True)
class Pair:
    """Views p (3, h, w) at `PAIR_YAW_DEG` without and with the lesion."""

    name: str
    kind: Kind
    without_p: Array
    with_p: Array


def make_pair(seed: int, kind: Kind, geometry: Geometry) -> Pair | None:
    """The pair of a seed's patient; None where the anatomy has no place for it."""
    volume, tissue = make_volume(sample_patient(seed))
    chest = Chest.of(volume)
    centre = chest.isocentre_mm
    lesion = _lesion(volume, tissue, centre, kind, geometry, np.random.default_rng([seed, KINDS.index(kind)]))
    if lesion is None:
        return None
    views = [
        project(hu_to_mu(hu, chest.body), volume.affine, geometry, PAIR_YAW_DEG, centre)
        for hu in (volume.hu, (volume.hu + lesion).astype(np.float32))
    ]
    return Pair(f"thorax-{seed}", kind, views[0], views[1])


def _lesion(
    volume: Volume, tissue: np.ndarray, centre: Array, kind: Kind, geometry: Geometry, rng: np.random.Generator
) -> np.ndarray | None:
    """HU to add, or None."""
    mm = float(volume.spacing_mm[0])
    lung = np.isin(tissue, LUNG)
    soft = np.isin(tissue, SOFT) & (volume.hu > -20) & (volume.hu < 100)
    depth = distance_transform_edt(lung) * mm
    room = depth > 1.6 * SIGMA_MM
    thick = soft.sum(axis=1) * mm  # in the way of a frontal ray, nearly
    if kind == "hidden":
        room &= (thick > 60)[:, None, :]
    else:
        room &= (thick < 5)[:, None, :]
    room &= volume.hu < -600  # lung that no finding has filled
    places = np.argwhere(room)
    if not len(places):
        return None
    at = places[rng.integers(len(places))]
    point = volume.affine[:3, :3] @ at + volume.affine[:3, 3]
    source = centre - [0.0, geometry.sod_mm, 0.0]
    added = _ball(volume, point, 1.0)
    if kind == "visible":
        return added
    # Scales about the source at which the ray through the lesion runs in soft tissue, the lesion itself far away.
    along = np.linspace(0.8, 1.2, 401)
    index = np.rint((source + along[:, None] * (point - source) - volume.affine[:3, 3]) / mm).astype(int)
    inside = np.all((index >= 0) & (index < volume.shape[0]), axis=1)
    clear = np.zeros(len(along), bool)
    clear[inside] = soft[tuple(index[inside].T)]
    clear &= np.abs(along - 1) * np.linalg.norm(point - source) > 3 * SIGMA_MM
    if np.count_nonzero(clear) < COPIES:
        return None
    for scale in along[clear][np.linspace(0, np.count_nonzero(clear) - 1, COPIES).astype(int)]:
        added -= _ball(volume, source + scale * (point - source), float(scale)) / COPIES
    return added


def _ball(volume: Volume, point: Array, scale: float) -> np.ndarray:
    """A Gaussian ball at `point`, (nx, ny, nz) HU: `scale` times as wide, and as much thinner."""
    axes = [volume.affine[a, 3] + volume.affine[a, a] * np.arange(volume.shape[a]) - point[a] for a in range(3)]
    x, y, z = (np.exp(-0.5 * (axis / (SIGMA_MM * scale)) ** 2) for axis in axes)
    return LESION_HU / scale * x[:, None, None] * y[None, :, None] * z[None, None, :]


# ---------------------------------------------------------------- what a model predicts of them


def photons(geometry: Geometry) -> float:
    """Quanta that reach a pixel of this detector with nothing in the way."""
    return KERMA_UGY * QUANTA * geometry.pixel_mm**2


@dataclass(frozen=True)
class PairRow:
    """What a lesion changes in one pair.

    Attributes:
        frontal_change: largest change of the frontal over the SD of the noise there.
        frontal_p, lateral_p: the largest changes, in p.
        kept: response (see `response`) of the predicted laterals: 1 where the whole lesion is in their difference.
        identified: whether the prediction of the patient with the lesion is recognised.
        spread: SD of the response over samples of the patient with it, in units of the lesion.
        spread_elsewhere: the median of the same for the shadow at other places of the body.
    """

    case: str
    frontal_change: float
    frontal_p: float
    lateral_p: float
    kept: float
    identified: bool
    spread: float | None = None
    spread_elsewhere: float | None = None


@dataclass(frozen=True)
class PairSummary:
    """All pairs of one kind: the mean of every number of `PairRow`, and how many seeds gave no suitable pair."""

    n: int
    unsuitable: int
    pairs: tuple[PairRow, ...]
    frontal_change: Estimate | None = None
    frontal_p: Estimate | None = None
    lateral_p: Estimate | None = None
    kept: Estimate | None = None
    identified: Estimate | None = None
    spread: Estimate | None = None
    spread_elsewhere: Estimate | None = None
    example: Pair | None = field(default=None, metadata=NOT_JSON)


def measure_pair(pair: Pair, model: "WorldModel", geometry: Geometry, samples: int, seed: int) -> PairRow:
    """What the lesion does to the frontal, and to the predicted laterals.

    Both are exposed, each with noise of its own. An observer who knows the lesion's shadow in the laterals sums a view
    weighted with it.
    """
    rng = np.random.SeedSequence([seed, 7]).generate_state(2)
    dose = photons(geometry)
    frontals = np.stack(
        [detect(pair.without_p[0], dose, seed=int(rng[0])), detect(pair.with_p[0], dose, seed=int(rng[1]))]
    )
    change = np.abs(pair.with_p[0] - pair.without_p[0])
    noise = np.sqrt(np.exp(pair.without_p[0].astype(np.float64)) / dose)
    shadow = pair.with_p[1:] - pair.without_p[1:]
    predicted = model.imagine(frontals, yaw_deg=LATERALS_DEG)
    kept = response(predicted[1] - predicted[0], shadow)
    spread: dict[str, float] = {}
    if samples:
        generator = torch.Generator().manual_seed(seed)
        drawn = model.imagine(frontals[1], yaw_deg=LATERALS_DEG, generator=generator, samples=samples)
        spread = _spread_at(drawn - drawn.mean(axis=0), pair.without_p[1:], shadow)
    return PairRow(
        case=pair.name,
        frontal_change=float((change / noise).max()),
        frontal_p=float(change.max()),
        lateral_p=float(np.abs(shadow).max()),
        kept=kept,
        identified=kept > 0,
        **spread,
    )


def response(difference: Array, shadow: Array) -> float:
    """Share of the shadow found in a difference of views, by least squares: 1 if they are equal, 0 if orthogonal."""
    return float(np.sum(difference * shadow) / np.sum(np.square(shadow)))


def _spread_at(deviations: Array, views_p: Array, shadow: Array) -> dict[str, float]:
    """SD of the response over deviations (s, views, h, w), at the place and (median) moved over the body."""
    count = len(deviations)
    scale = float(np.sum(np.square(shadow)))
    # The right lateral is mirrored, so that one shift is one place in both.
    deviations, views_p, shadow = (
        np.stack([a[..., 0, :, ::-1], a[..., 1, :, :]], axis=-3) for a in (deviations, views_p, shadow)
    )
    spectrum = np.conj(np.fft.rfft2(shadow))
    moved = np.fft.irfft2(np.fft.rfft2(deviations) * spectrum, s=shadow.shape[-2:]).sum(axis=1) / scale
    sd = np.sqrt(np.square(moved).sum(axis=0) / (count - 1))  # at every shift of the shadow
    peak = np.unravel_index(np.argmax(np.abs(shadow[0])), shadow.shape[-2:])
    body = np.roll(views_p[0] > 1.0, (-int(peak[0]), -int(peak[1])), axis=(0, 1))  # shifts that keep it in the body
    return {"spread": float(sd[0, 0]), "spread_elsewhere": float(np.median(sd[body]))}


def evaluate_pairs(
    model: "WorldModel", geometry: Geometry, pairs: int, samples: int = 0, seed: int = 0
) -> dict[str, PairSummary]:
    """`pairs` pairs of each kind from seeds 1,000,000 + `seed` on.

    A hidden lesion that shows in the frontal (a change of more than the SD of the noise) is left out and counted.
    """
    result: dict[str, PairSummary] = {}
    for kind in KINDS:
        rows: list[PairRow] = []
        example: Pair | None = None
        unsuitable = 0
        for number in progress(range(3 * pairs), f"counterfactual pairs, {kind}", 3 * pairs):
            if len(rows) == pairs:
                break
            pair = make_pair(FIRST_TEST_SEED + seed + number, kind, geometry)
            row = None if pair is None else measure_pair(pair, model, geometry, samples, seed + number)
            if row is None or (kind == "hidden" and row.frontal_change > 1):
                unsuitable += 1
                continue
            example = example or pair
            rows.append(row)
        result[kind] = PairSummary(len(rows), unsuitable, tuple(rows), **_means(rows), example=example)
    return result


def _means(rows: Sequence[PairRow]) -> dict[str, Estimate]:
    names = ("frontal_change", "frontal_p", "lateral_p", "kept", "identified", "spread", "spread_elsewhere")
    values = {name: [getattr(row, name) for row in rows if getattr(row, name) is not None] for name in names}
    return {name: Estimate.of(np.array(found, np.float64)) for name, found in values.items() if found}
