"""A patient becomes a volume: deform, paint, add tubes and lesions, then scan it the way a CT scanner would."""

import numpy as np
from scipy.ndimage import zoom

from ..volume import Volume
from . import tubes
from .calcium import calcifications
from .emphysema import add_emphysema
from .painter import paint, paint_capsules, unit_norm
from .patient import Patient, sample_patient
from .scan import acquire
from .shape import CAGE_BACK, CAGE_FRONT, Shape, at, profiles, shape
from .texture import texture
from .tissues import LUNG_LEFT, LUNG_RIGHT

EXTENT_MM = 384.0  # edge of the cube that every virtual patient is built in
_COARSE = 17  # grid of the smooth displacement


def make_volume(patient: Patient, size: int = 128) -> tuple[Volume, np.ndarray]:
    """Build a patient on a (size, size, size) grid of `EXTENT_MM`.

    Returns:
        The volume in HU (air -1000) and the tissue map (uint8; names in `painter.TISSUES`) on the same grid.
    """
    rng = np.random.default_rng([patient.seed, 1])
    voxel = EXTENT_MM / size
    table = profiles(patient)
    s = shape(patient, table)
    to_canonical = _to_canonical(patient, size, voxel)
    displacement = smooth_displacement(rng, patient.body.warp_mm)
    step = -(-size // (_COARSE - 1))
    noise = texture(rng, size)
    hu = np.empty((size, size, size), np.float32)
    tissue = np.empty((size, size, size), np.uint8)
    powers = (np.clip(patient.body.boxiness + 0.1, 2.0, 3.0), patient.body.boxiness, patient.body.boxiness + 0.5)
    units = np.stack([unit_norm(power) for power in powers])
    paint(displacement, step, to_canonical, voxel, table, s, units, noise, hu, tissue)
    add_emphysema(hu, tissue, patient.burden.emphysema, noise)

    place = _Placer(to_canonical, displacement, step)
    aorta, *vessels = tubes.great_vessels(patient, s, table)
    chains = [aorta, *vessels, *tubes.airways(patient, s, table), *tubes.shoulder_bones(patient, s, table)]
    chains += calcifications(patient.burden, s, aorta, rng)
    hila = {
        LUNG_RIGHT: place(np.array([[s.midline + 40, s.hilum_y, s.hilum_z]]))[0],
        LUNG_LEFT: place(np.array([[s.midline - 40, s.hilum_y, s.hilum_z + 8]]))[0],
    }
    paint_capsules(hu, tissue, tubes.pulmonary_tree(tissue, hila, voxel, rng), voxel)
    paint_capsules(hu, tissue, _rows(chains, place, voxel), voxel)
    _opacities(hu, tissue, patient, s, table, place, noise, rng, voxel)
    acquire(hu, tissue, patient.scan, (s.base, s.apex), voxel, rng)
    affine = np.diag([voxel, voxel, voxel, 1.0])
    affine[:3, 3] = -(size - 1) / 2 * voxel
    return Volume(hu=hu, affine=affine, source=f"thorax-{patient.seed:07d}"), tissue


def patient_volume(seed: int, size: int = 128) -> Volume:
    """The volume of a seed's patient."""
    return make_volume(sample_patient(seed), size)[0]


def _to_canonical(patient: Patient, size: int, voxel: float) -> np.ndarray:
    """(3, 4): voxel index -> canonical mm, through the patient's extra linear deformation."""
    linear = np.linalg.inv(np.array(patient.body.affine))
    matrix = np.zeros((3, 4))
    matrix[:, :3] = linear * voxel
    matrix[:, 3] = linear @ np.full(3, -(size - 1) / 2 * voxel)
    return matrix


def smooth_displacement(rng: np.random.Generator, amplitude_mm: float) -> np.ndarray:
    """(m, m, m, 3) float32 displacement in mm, smooth over roughly a quarter of the body."""
    knots = rng.normal(size=(5, 5, 5, 3))
    fine = np.stack([zoom(knots[..., a], (_COARSE + 1) / 5, order=3, mode="nearest") for a in range(3)], axis=-1)
    return (fine * amplitude_mm / fine.std()).astype(np.float32)


class _Placer:
    """Canonical mm -> voxel index: inverts the deformation by fixed-point iteration (it is smooth and small)."""

    def __init__(self, to_canonical: np.ndarray, displacement: np.ndarray, step: int) -> None:
        self.inverse = np.linalg.inv(to_canonical[:, :3])
        self.offset = to_canonical[:, 3]
        self.displacement = displacement
        self.step = step

    def __call__(self, points: np.ndarray) -> np.ndarray:
        index = (points - self.offset) @ self.inverse.T
        for _ in range(6):
            cell = np.clip(np.rint(index / self.step).astype(int), 0, self.displacement.shape[0] - 1)
            index = (points - self.displacement[tuple(cell.T)] - self.offset) @ self.inverse.T
        return index


def _rows(chains: list[tubes.Chain], place: _Placer, voxel: float) -> np.ndarray:
    """Chains in mm -> capsule rows in voxels, corners rounded."""
    rows = []
    for points, radii, hu, tissue in chains:
        centre, radius = tubes.rounded(points, radii)
        curve, radius = place(centre), radius / voxel
        for a, b, ra, rb in zip(curve[:-1], curve[1:], radius[:-1], radius[1:], strict=True):
            rows.append([*a, *b, ra, rb, hu, tissue, 0.0])
    return np.array(rows)


def _opacities(
    hu: np.ndarray,
    tissue: np.ndarray,
    patient: Patient,
    s: Shape,
    table: np.ndarray,
    place: _Placer,
    noise: np.ndarray,
    rng: np.random.Generator,
    voxel: float,
) -> None:
    """Consolidation (ragged, lobar or patchy) and the plates of a partly collapsed base, inside the lungs, in place."""
    f = patient.findings
    middle = 0.5 * (at(table, CAGE_FRONT, 0) + at(table, CAGE_BACK, 0))
    spots: list[tuple[np.ndarray, np.ndarray]] = []
    if f.consolidation:
        for _ in range(int(rng.integers(1, 4))):
            place_mm = [f.consolidation_side * rng.uniform(55, 95), middle + rng.uniform(-50, 35), rng.uniform(-55, 70)]
            spots.append((np.array(place_mm), rng.uniform(0.6, 1.2, 3) * (18 + 26 * f.consolidation)))
    if f.atelectasis:
        base = s.dome_right if f.atelectasis_side > 0 else s.dome_left
        for _ in range(int(rng.integers(1, 3))):
            place_mm = [
                f.atelectasis_side * rng.uniform(50, 85),
                middle + rng.uniform(-45, 25),
                base + rng.uniform(4, 26),
            ]
            spots.append((np.array(place_mm), np.array([46, 34, 7]) * (0.6 + 0.7 * f.atelectasis)))
    for centre, radii in spots:
        c, r = place(centre[None])[0], radii / voxel
        low = np.clip(np.floor(c - 1.6 * r), 0, hu.shape[0] - 1).astype(int)
        high = np.clip(np.ceil(c + 1.6 * r) + 1, 1, hu.shape[0]).astype(int)
        if (high <= low).any():
            continue
        box = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
        grid = np.ogrid[box]
        distance = np.sqrt(sum(((g - c[a]) / r[a]) ** 2 for a, g in enumerate(grid)))
        share = np.clip((1.0 - distance + 0.28 * noise[box]) / 0.35, 0, 1)
        lung = (tissue[box] == LUNG_RIGHT) | (tissue[box] == LUNG_LEFT)
        share *= lung
        hu[box] += share * (np.float32(25.0) - hu[box]) * 0.93
