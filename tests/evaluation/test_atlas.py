"""Organs are found where an affine map, which is known, has moved them."""

import numpy as np
import pytest
import torch

from xray2xray.evaluation.atlas import FINE, Atlas, _places, _register, find_organs, grey
from xray2xray.evaluation.volume_rows import empty_grid
from xray2xray.evaluation.volumes import dice
from xray2xray.volume.volume import Volume

HEART, AORTA = 1, 2
SHAPES = (  # centre and half axes in mm, HU, label: body, lungs, heart, aorta
    ((0, 0, 0), (160, 110, 400), 40, 0),
    ((-75, 0, 0), (55, 80, 120), -850, 0),
    ((75, 0, 0), (55, 80, 120), -850, 0),
    ((20, 30, -30), (60, 45, 55), 50, HEART),
    ((15, -55, 0), (14, 14, 150), 60, AORTA),
)


def scene(moved: np.ndarray | None = None, size: int = 64) -> tuple[Volume, np.ndarray]:
    """A chest of ellipsoids whose points are looked up at `moved` (3, 4), and its labels."""
    grid = empty_grid(size)
    points = np.stack(np.meshgrid(*[np.arange(size)] * 3, indexing="ij"), -1) @ grid.affine[:3, :3] + grid.affine[:3, 3]
    if moved is not None:
        points = points @ moved[:, :3].T + moved[:, 3]
    hu, labels = grid.hu.copy(), np.zeros(grid.shape, np.uint8)
    for centre, axes, value, label in SHAPES:
        inside = np.square((points - centre) / np.array(axes)).sum(-1) < 1
        hu[inside], labels[inside] = value, label
    return Volume(hu, grid.affine), labels


def affine(scale: tuple[float, float, float], shift_mm: tuple[float, float, float]) -> np.ndarray:
    turned = np.array([[np.cos(0.06), -np.sin(0.06), 0], [np.sin(0.06), np.cos(0.06), 0], [0, 0, 1]])
    return np.column_stack([turned @ np.diag(scale), shift_mm])


MOVED = affine((1.12, 0.92, 1.1), (14.0, -10.0, 12.0))


def test_a_known_affine_map_is_recovered() -> None:
    scan, moved = scene()[0], scene(MOVED)[0]
    found = torch.eye(3, 4)[None]
    error = _register(grey(scan)[None], grey(moved), FINE, [found])
    assert error < 5e-3, "what is left are the edges of its voxels; 0.067 before"
    half_mm = 192.0
    expected = np.column_stack([MOVED[::-1, 2::-1], MOVED[::-1, 3] / half_mm])  # last axis first, in half edges
    places = [
        _places([torch.from_numpy(one)[None].float()], 8)[0, 2:6, 2:6, 2:6] for one in (found[0].numpy(), expected)
    ]
    assert half_mm * (places[0] - places[1]).abs().max() < 6, "a voxel of the atlas"


def test_organs_are_found_where_the_map_has_put_them() -> None:
    atlases = [
        Atlas.of(str(n), *scene(affine((s, 1.0, 1 / s), (4.0 * n, 0.0, -5.0 * n))), organs=2)
        for n, s in enumerate((0.95, 1.0, 1.05))
    ]
    volume, labels = scene(MOVED, size=96)
    heart, aorta = find_organs(volume, atlases)
    assert heart.shape == volume.shape
    assert dice(heart, labels == HEART) > 0.93
    assert dice(aorta, labels == AORTA) > 0.75, "five voxels across, and its ends show no contrast"


def test_what_fits_is_believed() -> None:
    """An atlas of the same shape whose label is wrong counts little where its scan disagrees."""
    scan, labels = scene()
    wrong = Volume(np.where(labels == HEART, -850.0, scan.hu), scan.affine)  # a lung where the heart is
    atlases = [Atlas.of("right", scan, labels, 2), *(Atlas.of(n, wrong, 0 * labels, 2) for n in "ab")]
    assert dice(find_organs(scan, atlases)[0], labels == HEART) > 0.9, "two of three atlases say that there is none"


def test_no_atlas_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one"):
        find_organs(scene()[0], [])
