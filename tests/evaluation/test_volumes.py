import numpy as np
import pytest
from skimage.metrics import structural_similarity

from xray2xray.evaluation import volumes
from xray2xray.volume.chest import isocentre_mm
from xray2xray.volume.volume import Volume


def chest(size: int, mm: float, shift_mm: tuple[float, float, float] = (0.0, 0.0, 0.0)) -> Volume:
    """An elliptic body with two lungs and a spine, centred at `shift_mm`."""
    axis = (np.arange(size) - (size - 1) / 2) * mm
    x, y, z = np.meshgrid(axis, axis, axis, indexing="ij")
    hu = np.full(x.shape, -1000.0, np.float32)
    hu[((x / 150) ** 2 + (y / 100) ** 2 < 1) & (np.abs(z) < 160)] = 40
    for side in (-1, 1):
        hu[((x - side * 70) / 50) ** 2 + ((y - 10) / 60) ** 2 + (z / 120) ** 2 < 1] = -850
    hu[(x**2 + (y + 70) ** 2 < 20**2) & (np.abs(z) < 160)] = 600
    affine = np.diag([mm, mm, mm, 1.0])
    affine[:3, 3] = axis[0] + np.array(shift_mm)
    return Volume(hu, affine, "chest")


def test_a_perfect_reconstruction() -> None:
    truth = chest(64, 6.0)
    scores = volumes.volume_scores(truth, truth)
    assert scores["psnr"] == scores["x2ct_compat_psnr"] == 100
    assert scores["ssim"] == pytest.approx(1)
    assert scores["lung_dice"] == 1
    assert scores["mae_hu"] == 0
    assert set(scores["mae_hu_by_tissue"]) == {"lung", "soft", "bone"}


def test_known_errors() -> None:
    truth = chest(64, 6.0)
    scores = volumes.volume_scores(Volume(truth.hu + 25, truth.affine), truth)
    assert scores["psnr"] == pytest.approx(40.0, abs=0.01)  # 25 of 2,500 HU
    assert scores["mae_hu"] == pytest.approx(25, abs=1e-3)
    assert all(value == pytest.approx(25, abs=1e-3) for value in scores["mae_hu_by_tissue"].values())
    assert scores["x2ct_compat_psnr"] > scores["psnr"] + 4
    water = volumes.volume_scores(Volume(np.full(truth.shape, 40.0), truth.affine), truth)
    assert water["lung_dice"] == 0
    assert water["psnr"] < 20
    with pytest.raises(ValueError, match="resample"):
        volumes.volume_scores(truth, chest(32, 12.0))


def test_ssim_agrees_with_scikit_image() -> None:
    rng = np.random.default_rng(0)
    truth = rng.uniform(0, 1, (24, 24, 24)).astype(np.float32)
    predicted = truth + 0.1 * rng.normal(size=truth.shape).astype(np.float32)
    _, oracle = structural_similarity(
        truth, predicted, data_range=1.0, gaussian_weights=True, sigma=1.5, use_sample_covariance=False, full=True
    )
    assert volumes._ssim_map(predicted, truth) == pytest.approx(oracle, abs=1e-4)


def test_resampling_puts_the_isocentre_at_the_origin() -> None:
    """Two scans of one body, another grid and elsewhere in the scanner, meet on a reconstruction's grid."""
    grid = Volume(np.zeros((84, 84, 84)), chest(84, 4.5).affine)
    here = volumes.resample(chest(96, 4.0), grid)
    there = volumes.resample(chest(80, 5.0, shift_mm=(30.0, -200.0, 1000.0)), grid)
    assert isocentre_mm(here) == pytest.approx([0, 0, 0], abs=6)
    assert np.abs(here.hu - there.hu).mean() < 15
    assert volumes.volume_scores(here, there)["lung_dice"] > 0.95


def test_labels_of_another_grid_lie_where_the_organ_lies() -> None:
    """The spine, labelled on a grid of its own with the first axis reversed, on the grid of a reconstruction."""
    scan, fine = chest(64, 6.0, (10.0, 20.0, 30.0)), chest(96, 4.0, (10.0, 20.0, 30.0))
    mirror = np.diag([-1.0, 1.0, 1.0, 1.0])
    mirror[0, 3] = 95
    labels = Volume((fine.hu == 600)[::-1] * 3.0, fine.affine @ mirror)
    grid = Volume(np.zeros((48, 48, 48)), chest(48, 8.0).affine)
    centre = isocentre_mm(scan)
    truth, found = volumes.resample(scan, grid, centre), volumes.resample_labels(labels, grid, centre)
    assert set(np.unique(found)) == {0, 3}
    assert volumes.dice(found == 3, truth.hu > 300) > 0.85


def test_errors_of_organs() -> None:
    truth = chest(32, 12.0)
    labels = np.zeros(truth.shape, np.uint8)
    labels[truth.hu == 600], labels[truth.hu == -850] = 1, 2
    predicted = np.where(truth.hu == 600, 500, truth.hu)
    predicted[truth.hu == -850] += np.where(np.arange((truth.hu == -850).sum()) % 2, 30, -10)
    found = volumes.organ_errors(Volume(predicted, truth.affine), truth, labels, ("spine",))
    assert set(found) == {"spine", "label 2"}
    assert found["spine"] == pytest.approx({"bias_hu": -100, "mae_hu": 100}, abs=1e-2)
    assert found["label 2"] == pytest.approx({"bias_hu": 10, "mae_hu": 20}, abs=0.1)


def test_display_planes_are_canonical_and_small() -> None:
    truth = chest(64, 6.0)
    flipped = Volume(truth.hu[::-1], truth.affine @ [[-1, 0, 0, 63], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]])
    planes, spacing = volumes.display_planes(flipped)
    assert np.array_equal(planes, volumes.display_planes(truth)[0])
    assert spacing == (6.0, 6.0, 6.0)
    small, spacing = volumes.display_planes(truth, most=32)
    assert small.shape == (32, 32, 32)
    assert spacing == pytest.approx((12, 12, 12))
    assert planes.max() == round((600 + 1024) / 10)
