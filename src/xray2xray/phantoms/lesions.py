"""What the findings do to the lungs: fluid, filled and collapsed lobes, water in the walls. And where each of them is.

Every lesion is a share (m,) of the voxels of the list `Lungs`; only its owner draws from its stream of random numbers,
so that a finding comes and goes without changing another one. How they look on a radiograph: Hansell et al.,
Fleischner glossary, Radiology 246:697 (2008); Felson, Chest Roentgenology (1973; from memory, not verified). HU, edges
and extents are chosen.
"""

import numpy as np

from .findings import PATHOLOGIES, Findings
from .lobes import LOBES, side_of
from .lungs import Lungs, depth
from .painter import paint_capsules
from .patient import Patient
from .tissues import ABDOMEN, FLUID, HEART, LUNG_LEFT, LUNG_RIGHT
from .tubes import lung_tree

ATELECTASIS, CARDIOMEGALY, CONSOLIDATION, EDEMA, EFFUSION = (np.uint8(1 << i) for i in range(len(PATHOLOGIES)))
_FILLED_HU, _FLUID_HU, _BRONCHUS_HU = 32.0, 10.0, -900.0


def add_lesions(
    hu: np.ndarray,
    tissue: np.ndarray,
    lungs: Lungs,
    noise: np.ndarray,
    patient: Patient,
    hila: dict[int, np.ndarray],
    voxel: float,
    rng: np.random.Generator,
) -> np.ndarray:
    """Add a patient's lesions to a painted volume, in place.

    Args:
        hu: (n, n, n) float32.
        tissue: (n, n, n) uint8; fluid is written into it.
        lungs: its lungs, as they were before vessels were painted into them.
        noise: (n, n, n) unit-variance texture, which makes edges ragged.
        patient: who; findings and posture are read.
        hila: (3,) voxel index of the hilum of LUNG_RIGHT and LUNG_LEFT.
        voxel: mm.
        rng: its children draw, one for each pathology.

    Returns:
        (n, n, n) uint8, bit i set where `PATHOLOGIES[i]` is.
    """
    f = patient.findings
    streams = dict(zip(PATHOLOGIES, rng.spawn(len(PATHOLOGIES)), strict=True))
    mask = np.zeros(hu.shape, np.uint8)
    if f.cardiomegaly:
        mask[tissue == HEART] = CARDIOMEGALY
    if not len(lungs.voxels) or not (f.pleural_effusion or f.edema or f.consolidation or f.atelectasis):
        return mask
    value, rough = hu.ravel()[lungs.voxels], noise.ravel()[lungs.voxels]
    bits = np.zeros(len(value), np.uint8)
    fluid = np.zeros(len(value), np.float32)
    if f.pleural_effusion or f.edema:
        deep = depth(lungs.voxels, lungs.inner, hu.shape[0]) * np.float32(voxel)
    if f.pleural_effusion:
        fluid = effusion(lungs, deep, f, patient.scan.supine, rough, voxel, streams["pleural_effusion"])
    dry = fluid < 0.5
    bronchi = np.zeros((0, 11))
    if f.edema:
        centres = {side: _mm(hila[label], hu.shape[0], voxel) for side, label in ((1, LUNG_RIGHT), (-1, LUNG_LEFT))}
        rise, where = edema(lungs, deep, f, centres, rough, voxel, streams["edema"])
        value += rise * np.clip((_FILLED_HU - value) / 900.0, 0, 1)
        bits[where & dry] |= EDEMA
    if f.consolidation:
        hidden = ((tissue == HEART) | (tissue == ABDOMEN)).any(axis=1)
        extent = consolidation(lungs, dry, f, hidden, rough, voxel, streams["consolidation"])
        value += extent * (0.6 + 0.4 * f.consolidation) * np.maximum(_FILLED_HU + 6 * rough - value, 0)
        bits[(extent > 0.5) & dry] |= CONSOLIDATION
        bronchi = air_bronchogram(lungs, extent, f, hila, hu.shape[0], voxel, streams["consolidation"])
    if f.atelectasis:
        extent, density = atelectasis(lungs, dry, f, rough, voxel, streams["atelectasis"])
        value += extent * density * np.maximum(_FILLED_HU + 6 * rough - value, 0)
        bits[(extent > 0.5) & dry] |= ATELECTASIS
    value += fluid * (_FLUID_HU - value)
    bits[~dry] |= EFFUSION
    hu.ravel()[lungs.voxels] = value
    tissue.ravel()[lungs.voxels[~dry]] = FLUID
    paint_capsules(hu, tissue, bronchi, voxel)
    mask.ravel()[lungs.voxels] |= bits
    return mask


def effusion(
    lungs: Lungs,
    deep: np.ndarray,
    f: Findings,
    supine: bool,
    rough: np.ndarray,
    voxel: float,
    rng: np.random.Generator,
) -> np.ndarray:
    """Share of fluid in each voxel: it fills each side from the lowest point up, until its volume is reached.

    0.1 is some 150 ml, less than the 200 ml that blunt the lateral costophrenic angle of a frontal view (Blackmore et
    al., Acad Radiol 3:103, 1996, its number from memory; elsewhere 175 to 525 ml); 0.5 is 1 l, 1 is 2.3 l (chosen).
    The surface rises to the pleura in a meniscus.
    """
    share = np.zeros(len(lungs.voxels), np.float32)
    climb, reach = rng.uniform(40, 60), rng.uniform(10, 14)
    if supine:
        height = lungs.mm[1] - np.float32(22) * np.exp(deep / np.float32(-10))
    else:  # higher at the flank than at the mediastinum
        flank = np.clip(np.abs(lungs.mm[0]) / np.float32(90), 0.2, 1)
        height = lungs.mm[2] - np.float32(climb) * flank * np.exp(deep / np.float32(-reach))
    height += np.float32(1.5) * rough
    for side, severity in ((1, f.effusion_right), (-1, f.effusion_left)):
        own = lungs.side == side
        if severity and own.any():
            space = np.count_nonzero(own) * voxel**3 / 1000  # ml
            amount = min(0.72, (40.0 + 2260.0 * severity**1.3) / space)
            level = np.quantile(height[own], amount)
            share += own * np.clip(np.float32(0.5) + (np.float32(level) - height) / np.float32(1.5 * voxel), 0, 1)
    return share


def edema(
    lungs: Lungs,
    deep: np.ndarray,
    f: Findings,
    centres: dict[int, np.ndarray],
    rough: np.ndarray,
    voxel: float,
    rng: np.random.Generator,
) -> tuple[np.ndarray, np.ndarray]:
    """Added HU (m,) and the mask (m,): a haze about the hila, fading to the pleura, and Kerley's B lines at the bases.

    The lines are interlobular septa full of water: horizontal, 1-2 cm long, up to the lateral pleura (as teaching texts
    have it; signs of edema: Gluecker et al., Radiographics 19:1507, 1999). That they are 0.7-1 cm apart is chosen.
    """
    right = lungs.side > 0
    x, y, z = (lungs.mm[a] - _by_side(right, centres[1][a], centres[-1][a]) for a in range(3))
    reach = np.float32(rng.uniform(42, 54) + 16 * f.edema)
    # Taller than wide, and more of it below the hilum than above.
    haze = np.exp(-(x * x + y * y + z * z * np.where(z > 0, np.float32(0.8), np.float32(0.45))) / reach**2)
    share = _by_side(right, min(1 + f.edema_balance, 1), min(1 - f.edema_balance, 1))
    pitch = max(rng.uniform(7, 10), 2.5 * voxel)
    septa = np.zeros_like(haze)
    # Groups of a few parallel septa on the lateral pleura, each at its own height: in step they would be stripes.
    flank = np.flatnonzero((deep < 16) & (np.abs(x) > 45) & (z < -15))
    group = np.floor((lungs.mm[1, flank] + 3 * rough[flank]) / 16) * 7 + np.floor(lungs.mm[2, flank] / 34)
    start = rng.uniform(-1, 1, 256)[group.astype(int) % 256]  # of the groups, half are there
    line = (start > 0) & (np.cos(2 * np.pi * (lungs.mm[2, flank] / pitch + start)) > 0.5)
    septa[flank[line]] = 450 * min(1.0, 2.0 / voxel)
    rise = np.float32(f.edema) * share * ((430 * haze + 75) * (1 + np.float32(0.35) * rough) + septa)
    return rise, lungs.inner & (share > 0.15) & ((haze > 0.3) | (septa > 0))


def _by_side(right: np.ndarray, on_right: float, on_left: float) -> np.ndarray:
    return np.where(right, np.float32(on_right), np.float32(on_left))


def redistribute(capsules: np.ndarray, hila: dict[int, np.ndarray], severity: float) -> np.ndarray:
    """The vessels of edema: wide above the hila, narrow below (cephalization), as left atrial pressure rises."""
    level = np.mean([hilum[2] for hilum in hila.values()])
    height = np.clip((0.5 * (capsules[:, 2] + capsules[:, 5]) - level) / 8.0, -1, 1)
    capsules = capsules.copy()
    capsules[:, 6:8] *= (1 + severity * np.where(height > 0, 0.7 * height, 0.25 * height))[:, None]
    return capsules


def consolidation(
    lungs: Lungs,
    dry: np.ndarray,
    f: Findings,
    hidden: np.ndarray,
    rough: np.ndarray,
    voxel: float,
    rng: np.random.Generator,
) -> np.ndarray:
    """Extent (m,): alveoli filled from one focus (lobar, hidden) or several (patchy), as far as the fissure.

    `hidden` (n, n) over x and z: where a frontal ray meets heart or abdomen.
    """
    region = _region(lungs, dry, f.consolidation_lobe)
    pattern, n = f.consolidation_pattern, hidden.shape[0]
    foci, amount, edge = 1, 0.30 + 0.70 * f.consolidation, 1.5 * voxel
    if pattern == "patchy":
        foci, amount, edge = int(rng.integers(3, 7)), 0.10 + 0.40 * f.consolidation, 9.0 + voxel
    elif pattern == "hidden":
        behind = region & hidden[lungs.voxels // n**2, lungs.voxels % n]
        region = behind if np.count_nonzero(behind) > 20 else region
        amount, edge = 0.35 + 0.50 * f.consolidation, 6.0 + voxel
    places = np.flatnonzero(region)
    mm = lungs.mm[:, places]
    distance = np.full(len(places), np.inf, np.float32)
    for focus in rng.choice(len(places), foci):
        stretch = np.exp(rng.normal(0, 0.2, 3)) * rng.uniform(0.7, 1.4)
        np.minimum(distance, _norm((mm - mm[:, focus, None]) * stretch[:, None].astype(np.float32)), out=distance)
    distance += np.float32(7.0 if pattern == "patchy" else 4.0) * rough[places]
    level = np.float32(np.quantile(distance, min(amount, 1.0)))
    extent = np.zeros(len(region), np.float32)
    extent[places] = np.clip(np.float32(0.5) + (level - distance) / np.float32(edge), 0, 1)
    return extent


def air_bronchogram(
    lungs: Lungs,
    extent: np.ndarray,
    f: Findings,
    hila: dict[int, np.ndarray],
    n: int,
    voxel: float,
    rng: np.random.Generator,
) -> np.ndarray:
    """Capsule rows of the bronchi of a filled region, which still hold air; see `painter.paint_capsules`."""
    filled = lungs.voxels[(extent > 0.8) & lungs.inner]
    leaves = 14
    if len(filled) < 2 * leaves:
        return np.zeros((0, 11))
    side = LUNG_RIGHT if side_of(f.consolidation_lobe) > 0 else LUNG_LEFT
    ends = np.stack(np.unravel_index(rng.choice(filled, leaves, replace=False), (n, n, n)), axis=1).astype(float)
    segments, radii = lung_tree(ends, hila[side], 1.4 / voxel)
    rest = np.tile([_BRONCHUS_HU, side, 1.0], (len(segments), 1))
    return np.concatenate([segments.reshape(-1, 6), np.minimum(radii, 3.8 / voxel), rest], axis=1)


def atelectasis(
    lungs: Lungs, dry: np.ndarray, f: Findings, rough: np.ndarray, voxel: float, rng: np.random.Generator
) -> tuple[np.ndarray, float]:
    """Extent (m,) and density in 0..1: plates across the lobe when mild, all of the shrunken lobe when severe.

    What makes the lobe small (fissure, diaphragm, mediastinum) is in `lobes` and `shape`. A plate (Fleischner's line)
    is a few mm to more than 1 cm thick and commonly horizontal (Hansell et al.); its width is chosen. Real ones lie
    under folds of the pleura (Westcott and Cole, Radiology 155:1, 1985), those painted anywhere in the lower half.
    """
    region = _region(lungs, dry, f.atelectasis_lobe)
    places = np.flatnonzero(region)
    mm = lungs.mm[:, places]
    low = np.flatnonzero(mm[2] <= np.median(mm[2]))
    collapse = np.clip((f.atelectasis - 0.3) / 0.4, 0, 1)
    filled = np.full(len(places), collapse, np.float32)
    for _ in range(int(rng.integers(1, 4))):
        apart = mm - mm[:, rng.choice(low), None]
        normal = np.array((rng.normal(0, 0.3), rng.normal(0, 0.3), 1.0))
        above = (normal / np.linalg.norm(normal)).astype(np.float32) @ apart
        radius = np.sqrt(np.maximum(_norm(apart) ** 2 - above**2, 0))
        thick, wide = rng.uniform(2, 3) + 2 * f.atelectasis, rng.uniform(18, 30) + 22 * f.atelectasis
        plate = np.clip(0.5 + (thick - np.abs(above + np.float32(1.5) * rough[places])) / voxel, 0, 1)
        np.maximum(filled, plate * np.clip((wide - radius) / 8.0, 0, 1), out=filled)
    extent = np.zeros(len(region), np.float32)
    extent[places] = filled
    return extent, 0.65 + 0.3 * f.atelectasis


def _norm(vectors: np.ndarray) -> np.ndarray:
    return np.sqrt(np.einsum("am,am->m", vectors, vectors))


def _region(lungs: Lungs, dry: np.ndarray, lobe: str) -> np.ndarray:
    """The aerated voxels of a lobe (m,); of its whole side where fluid has left less than a few of them."""
    own = dry & (lungs.lobe == LOBES.index(lobe) + 1)
    for wider in (dry & (lungs.side == side_of(lobe)), dry):
        if np.count_nonzero(own & lungs.inner) < 40:
            own = wider
    return own


def _mm(index: np.ndarray, n: int, voxel: float) -> np.ndarray:
    return (index - (n - 1) / 2) * voxel
