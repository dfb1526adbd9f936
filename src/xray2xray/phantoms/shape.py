"""From a patient's numbers to shape: profiles along the body axis, and the parameters of the painter.

Canonical frame, mm: x to the patient's right, y anterior, z superior, origin near the body axis at mid-lung. A profile
is a curve over z (vertebral column, inner rib cage, skin) sampled every millimetre; the painter looks it up per voxel.
Control points were read off adult CT atlases by eye, which ones is not recorded, and then varied; they are no published
dimensions, and nothing here is measured on the development CTs.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy.ndimage import gaussian_filter1d

from .lobes import side_of
from .patient import Patient

Z_MIN, Z_MAX = -260, 240  # the range of every profile, mm
Z = np.arange(Z_MIN, Z_MAX + 1, dtype=np.float64)

APEX_MM = 133.0  # of the lungs above the mid-lung plane, in a body of height 1
HEART_LONG, HEART_WIDE, HEART_DEEP = 1.28, 0.96, 0.86  # half axes of the ventricles, in units of the heart's size

# Columns of the profile table, in this order.
SPINE_X, SPINE_Y, CAGE_W, CAGE_FRONT, CAGE_BACK, SKIN_W, SKIN_FRONT, SKIN_BACK, MEDIA_W = range(9)


class Shape(NamedTuple):
    """Scalars of the painter (a NamedTuple of floats, because numba can take it apart). mm and HU."""

    fat: float
    bone: float
    spacing: float
    rib_phase: float
    rib_drop: float
    rib_first: float
    vertebra: float
    dome_right: float
    dome_left: float
    sulcus_side: float
    sulcus_front: float
    sulcus_back: float
    dome_y: float
    heart_x: float
    heart_y: float
    heart_z: float
    heart_long: float
    heart_wide: float
    heart_deep: float
    tilt_cos: float
    tilt_sin: float
    swing_cos: float
    swing_sin: float
    girdle: float
    apex: float
    base: float
    midline: float
    hilum_y: float
    hilum_z: float
    breast: float
    breast_z: float
    breast_x: float
    lung_hu: float
    blood_hu: float
    supine: float
    gas: float
    scapula: float
    scapula_x: float
    sternum_top: float
    sternum_bottom: float


def _curve(points: Sequence[tuple[float, float]], scale: float, smooth_mm: float = 12) -> np.ndarray:
    """A smooth curve over `Z` through control points (z, value); z is stretched by the patient's height."""
    z, value = np.array(sorted(points)).T
    return gaussian_filter1d(np.interp(Z, z * scale, value), smooth_mm, mode="nearest")


def profiles(patient: Patient) -> np.ndarray:
    """The (n_z, 9) float32 table of curves, one column each as named above."""
    p, s = patient.body, patient.body.height
    spine_y = (
        -58 * p.depth * s + p.kyphosis * np.where(Z > 10, 20 * ((Z - 10) / 100) ** 2, 6 * ((Z - 10) / 100) ** 2) * 1.1
    )
    spine_x = p.scoliosis_mm * np.sin(Z / 95.0 + p.rib_phase * 6.28)
    # Retrosternal to prevertebral depth: shallow at the inlet, deepest above the diaphragm.
    inlet = [(90, p.inlet_mm), (130, 0.7 * p.inlet_mm), (240, 46)]
    depth = _curve([(-260, 112), (-150, 120), (-105, 131), (-55, 137), (0, 130), (50, 108), *inlet], s) * p.depth * s
    front = spine_y + 15 * s + depth + p.sternum_mm * s * np.exp(-((Z / s - 10) ** 2) / (2 * 55**2))
    dome = np.clip((APEX_MM * s - Z) / (112 * s), 0, None)  # 0 at the apex, then opening like a dome
    opening = np.where(dome < 1, np.sqrt(np.clip(1 - (1 - np.clip(dome, 0, 1)) ** 2.2, 0, 1)), 1.0) ** p.taper
    cage_w = opening * _curve([(-260, 126), (-150, 134), (-90, 139), (-30, 134), (30, 124), (80, 112), (240, 100)], s)
    cage_w = cage_w * p.width * s
    back = spine_y - 42 * s * np.clip(opening * 1.15, 0, 1)  # the lungs reach beside the spine, behind its bodies
    # The apex is a dome in depth as well, round its own middle, which lies towards the back.
    middle = 0.6 * back + 0.4 * front
    closing = np.where(dome < 1, np.clip(opening, 0, 1) ** 0.4, 1.0)
    lung_front, back = middle + (front - middle) * closing, middle + (back - middle) * closing
    # Skin: cage, muscle and fat; the shoulder girdle above, the neck at last.
    arms_up = patient.scan.arms_up
    # Raised arms take the shoulders with them: the axilla is narrow, and the apices are seen from the side.
    if arms_up:
        flank = [(-260, 12), (-60, 14), (0, 28), (50, 44), (85, 60), (240, 70)]
        shoulders = [(-260, 0), (40, 0), (95, 176), (200, 168), (240, 110)]
    else:
        flank = [(-260, 12), (-60, 14), (0, 22), (50, 42), (85, 66), (240, 70)]
        shoulders = [(-260, 0), (20, 0), (80, 205), (150, 165), (175, 95), (240, 68)]
    wide = _curve(flank, s) * p.muscle
    girdle = _curve(shoulders, s, 10)
    body_w = _curve([(-260, 126), (-90, 138), (-30, 134), (30, 124), (75, 112), (100, 96), (240, 40)], s) * p.width * s
    skin_w = np.maximum(body_w + wide, girdle * p.shoulders * p.width * s * 0.97) + p.fat_mm
    belly = _curve([(-260, 26), (-160, 20), (-90, 8), (-40, 0), (240, 0)], s) * p.belly
    skin_front = front + 10 * s + (4 + 5 * p.muscle) * (95 * s > Z) + 0.75 * p.fat_mm + belly
    skin_front = gaussian_filter1d(skin_front, 14, mode="nearest")
    skin_back = spine_y - (58 * s + 8 * p.muscle) - 0.8 * p.fat_mm
    media_w = (
        _curve([(-260, 24), (-40, 24), (0, 27), (40, 29), (65, 24), (90, 23), (115, 31), (150, 44), (240, 60)], s)
        * p.mediastinum
        * s
    )
    columns = (spine_x, spine_y, cage_w, lung_front, back, skin_w, skin_front, skin_back, media_w)
    return np.stack(columns, axis=1).astype(np.float32)


def _heart_breadth(depth: float, tilt: float, swing: float) -> float:
    """Breadth of the painter's heart in units of its size: left ventricle's reach and right atrium's."""
    axes = (HEART_LONG, HEART_DEEP * depth, 0.78 * HEART_WIDE)
    sideways = (np.cos(swing) * np.cos(tilt), np.sin(swing), np.cos(swing) * np.sin(tilt))
    left = float(np.linalg.norm(np.multiply(axes, sideways)))
    return left + max(left, 1.24 * HEART_WIDE)


def at(table: np.ndarray, column: int, z: float) -> float:
    """A profile's value at height z (mm)."""
    return float(np.interp(z, Z, table[:, column]))


def shape(patient: Patient, table: np.ndarray) -> Shape:
    """The painter's scalars for a patient whose profiles are `table`."""
    p, f, s = patient.body, patient.findings, patient.body.height
    supine = patient.scan.supine
    supine_lift = 10.0 if supine else -4.0  # the abdomen pushes the diaphragm up when lying
    hyperinflation = 1.4 * patient.burden.emphysema  # up to 0.56: the diaphragm is low and flat
    base = -72 * s - p.inspiration_mm + supine_lift - 40 * hyperinflation
    right, left = base + 0.5 * p.dome_gap_mm, base - 0.5 * p.dome_gap_mm
    # A collapsing lobe pulls the diaphragm up, a lower lobe most, and the mediastinum over; much fluid pushes it away.
    side = side_of(f.atelectasis_lobe)
    collapse = f.atelectasis * (34 if f.atelectasis_lobe.endswith("lower") else 16)
    right, left = (right + collapse, left) if side > 0 else (right, left + collapse)
    push = 14 * f.atelectasis * side - 12 * (f.effusion_right**2 - f.effusion_left**2)
    tilt, swing = np.radians(p.heart_tilt_deg), np.radians(35.0)
    thorax = 2 * float(table[:, CAGE_W].max()) - 2
    size = patient.cardiothoracic_ratio * thorax / _heart_breadth(p.heart_depth, tilt, swing)
    heart_z = left - 2 + 0.5 * size  # it rests on the diaphragm and is flattened by it
    front = at(table, CAGE_FRONT, heart_z)
    midline = p.heart_shift_mm * 0.5 + push
    back = at(table, SPINE_Y, heart_z)
    heart_deep = min(HEART_DEEP * size * p.heart_depth, 0.46 * (front - back - 26 * s))
    return Shape(
        fat=p.fat_mm,
        bone=patient.burden.bone,
        spacing=p.rib_spacing_mm * s,
        rib_phase=p.rib_phase,
        rib_drop=76 * s * p.rib_drop,
        rib_first=112 * s,
        vertebra=s,
        dome_right=right,
        dome_left=left,
        sulcus_side=p.sulcus_side_mm * s * (1 - hyperinflation),
        sulcus_front=p.sulcus_front_mm * s * (1 - hyperinflation),
        sulcus_back=p.sulcus_back_mm * s * (1 - hyperinflation),
        dome_y=p.dome_y,
        heart_x=midline + p.heart_shift_mm - 20 * s,
        heart_y=front - 10 - heart_deep,
        heart_z=heart_z,
        heart_long=HEART_LONG * size,
        heart_wide=HEART_WIDE * size,
        heart_deep=heart_deep,
        tilt_cos=float(np.cos(tilt)),
        tilt_sin=float(np.sin(tilt)),
        swing_cos=float(np.cos(swing)),
        swing_sin=float(np.sin(swing)),
        girdle=-25 * s,
        apex=APEX_MM * s,
        base=min(left, right) - p.sulcus_back_mm * s,
        midline=midline,
        hilum_y=at(table, SPINE_Y, 10) + 46 * s * p.depth,
        hilum_z=8 * s,
        breast=p.breast_mm * (0.75 if supine else 1.0),
        breast_z=-8 * s - 0.35 * p.breast_mm * (0.4 if supine else 1.0),
        breast_x=(82 if supine else 74) * s * p.width,
        lung_hu=p.lung_hu,
        blood_hu=patient.scan.blood_hu,
        supine=float(supine),
        gas=float(np.random.default_rng([patient.seed, 4]).uniform(-45, 10)),  # of the stomach: none to half full
        scapula=s,
        scapula_x=(120 if patient.scan.arms_up else 98) * s,
        sternum_top=88 * s,
        sternum_bottom=-58 * s,
    )
