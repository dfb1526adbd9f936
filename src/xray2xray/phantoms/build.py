"""A patient becomes a volume: deform, paint, add tubes and lesions, then scan it the way a CT scanner would."""

import math
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from scipy.ndimage import zoom

from ..volume.volume import Volume
from . import tubes
from .calcium import calcifications
from .emphysema import add_emphysema
from .lesions import add_lesions, redistribute
from .lobes import LOBES, Fissures
from .lungs import find_lungs
from .painter import paint, paint_capsules, unit_norm
from .patient import Patient, sample_patient
from .scan import acquire
from .shape import CAGE_BACK, CAGE_FRONT, Shape, at, profiles, shape
from .texture import texture
from .tissues import AIR, AIRWAY, LUNG_LEFT, LUNG_RIGHT

EXTENT_MM = 384.0  # edge of the cube that every virtual patient is built in
_COARSE = 17  # grid of the smooth displacement


class Built(NamedTuple):
    """A patient on a (size, size, size) grid of `EXTENT_MM`."""

    volume: Volume  # HU, air -1000
    tissue: np.ndarray  # uint8, position in `TISSUES`
    findings: np.ndarray  # uint8, bit i set where `PATHOLOGIES[i]` is


def make_patient(patient: Patient, size: int = 128) -> Built:
    """Build a patient: the volume, and what is where in it."""
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
    boxy = patient.body.boxiness
    units = np.stack([unit_norm(power) for power in (min(boxy + 0.4, 3.3), 3.6, boxy + 0.35, boxy + 0.9)])
    paint(displacement, step, to_canonical, voxel, table, s, units, noise, hu, tissue)
    add_emphysema(hu, tissue, patient.burden.emphysema, noise)

    place = _Placer(to_canonical, displacement, step)
    aorta, *great = tubes.great_vessels(patient, s, table)
    chains = [aorta, *great, *tubes.airways(patient, s, table), *tubes.shoulder_bones(patient, s, table)]
    chains += calcifications(patient.burden, s, aorta, rng)
    hila = {
        LUNG_RIGHT: place(np.array([[s.midline + 40, s.hilum_y, s.hilum_z]]))[0],
        LUNG_LEFT: place(np.array([[s.midline - 40, s.hilum_y, s.hilum_z + 8]]))[0],
    }
    fissures = _fissures(patient, s, table)
    lungs = find_lungs(hu, tissue, noise, displacement, step, to_canonical, voxel, fissures)
    vessels = tubes.pulmonary_tree(tissue, hila, voxel, rng)
    paint_capsules(hu, tissue, redistribute(vessels, hila, patient.findings.edema), voxel)
    # Lesions come before the great vessels and airways, which no lesion of the lung may fill.
    streams = np.random.default_rng([patient.seed, 2])
    findings = add_lesions(hu, tissue, lungs, noise, patient, hila, voxel, streams)
    paint_capsules(hu, tissue, _rows(chains, place, voxel), voxel)
    acquire(hu, tissue, patient.scan, (s.base, s.apex), voxel, rng)
    affine = np.diag([voxel, voxel, voxel, 1.0])
    affine[:3, 3] = -(size - 1) / 2 * voxel
    findings[(tissue == AIR) | (tissue == AIRWAY)] = 0
    return Built(Volume(hu=hu, affine=affine, source=f"thorax-{patient.seed:07d}"), tissue, findings)


def make_volume(patient: Patient, size: int = 128) -> tuple[Volume, np.ndarray]:
    """The volume and the tissue map of `make_patient`."""
    built = make_patient(patient, size)
    return built.volume, built.tissue


def patient_volume(seed: int, size: int = 128, uncut: bool = False) -> Volume:
    """The volume of a seed's patient; `uncut`, all that is built of the body, whatever the scan would leave out."""
    patient = sample_patient(seed)
    if uncut:
        scan = replace(patient.scan, field_of_view_mm=math.inf, above_mm=math.inf, below_mm=math.inf)
        patient = replace(patient, scan=scan)
    return make_patient(patient, size).volume


def _fissures(patient: Patient, s: Shape, table: np.ndarray) -> Fissures:
    """The fissures of a patient, with her own variation of some mm, drawn in by atelectasis."""
    rng = np.random.default_rng([patient.seed, 3])
    height, findings = patient.body.height, patient.findings
    base = min(s.dome_right, s.dome_left)
    return Fissures(
        midline=s.midline,
        back_y=at(table, CAGE_BACK, 46 * height),
        back_z=46 * height + rng.normal(0, 5),
        front_y=at(table, CAGE_FRONT, base) - 28 * height,
        front_z=base - 8 + rng.normal(0, 5),
        horizontal_z=s.hilum_z - 4 + rng.normal(0, 5),
        horizontal_tilt=rng.normal(0.08, 0.06),
        shrunken=LOBES.index(findings.atelectasis_lobe) + 1,
        collapse=findings.atelectasis,
    )


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
