import numpy as np

from xray2xray.projection.geometry import STANDARD_ARC, mirror_arc, preset
from xray2xray.projection.render import render
from xray2xray.volume.volume import Volume


def _chest(lung_hu: float, air_hu: float = -1000.0) -> Volume:
    """An elliptic cylinder of water, two lungs, off the origin."""
    size, step = 80, 5.0
    affine = np.diag([step, step, step, 1.0])
    affine[:3, 3] = [-180, -150, 900]
    x, y, z = np.meshgrid(*3 * [(np.arange(size) - (size - 1) / 2) * step], indexing="ij", sparse=True)
    hu = np.full((size, size, size), air_hu, np.float32)
    hu[np.broadcast_to((x / 160) ** 2 + (y / 110) ** 2 <= 1, hu.shape)] = 0
    for side in (-75, 75):
        hu[((x - side) / 55) ** 2 + (y / 75) ** 2 + (z / 110) ** 2 <= 1] = lung_hu
    return Volume(hu, affine, "ellipses")


def test_water_attenuates_as_water_and_the_body_is_centred():
    view = render(_chest(-850), preset(size=65), [0])[0]
    assert np.isclose(view[32, 32], 0.0206 * 220, rtol=0.03)  # the mediastinum, 220 mm of water
    columns = np.flatnonzero(view[32] > 0.3)
    assert abs(columns[0] + columns[-1] - 64) <= 1
    lung = view[:, 20] < 0.75 * view[32, 32]
    assert abs(np.flatnonzero(lung).mean() - 32) < 1  # mid-lung at the isocentre


def test_lung_contrast_below_minus_900_is_kept():
    """Emphysema must not vanish: 50 HU over 150 mm of lung are worth 0.15."""
    normal, emphysema = (render(_chest(hu), preset(size=64), [0])[0] for hu in (-900, -950))
    difference = (normal - emphysema)[32, 18:20].max()
    assert np.isclose(difference, 0.0206 * 0.05 * 150, rtol=0.1)


def test_noise_of_room_air_does_not_add_up():
    assert render(_chest(-850, air_hu=-970), preset(size=32), [0])[0, 16, 0] == 0


def test_a_mirrored_patient_has_the_mirrored_arc():
    volume = _chest(-850.0)
    hu = volume.hu.copy()
    hu[:4] += 300.0  # no two sides alike
    centre = volume.affine[:3, :3] @ ((np.array(volume.shape) - 1) / 2) + volume.affine[:3, 3]
    middle = np.eye(4)
    middle[0, 3] = -centre[0]  # mirrored about its own middle
    volume = Volume(hu, middle @ volume.affine)
    exchanged = Volume(hu[::-1], volume.affine)
    geometry = preset("chest", 32)
    views, mirrored = (render(one, geometry, STANDARD_ARC, threads=1) for one in (volume, exchanged))
    assert np.abs(views - views[..., ::-1]).max() > 0.1
    np.testing.assert_allclose(mirror_arc(views), mirrored, atol=2e-3)


def test_voxel_order_does_not_matter():
    volume = _chest(-850)
    flipped = volume.affine @ np.diag([-1.0, 1, 1, 1])
    flipped[:3, 3] = volume.affine[:3, :3] @ [volume.shape[0] - 1, 0, 0] + volume.affine[:3, 3]
    other = Volume(volume.hu[::-1], flipped)
    geometry = preset(size=32)
    assert np.allclose(render(volume, geometry, [30]), render(other, geometry, [30]), atol=1e-3)
