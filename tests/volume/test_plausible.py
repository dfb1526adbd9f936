"""What can be no chest CT is refused by the distribution of its values and by its size, not by single voxels."""

from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from xray2xray.core.errors import InputError
from xray2xray.volume import Volume, read_volume
from xray2xray.volume.plausible import check_chest_ct

Chest = Callable[..., Volume]
Change = Callable[[np.ndarray], np.ndarray]


def outside(volume: Volume) -> np.ndarray:
    """bool (nx, ny, 1): what the scanner's circle leaves out."""
    nx, ny, _ = volume.shape
    x, y = np.ogrid[:nx, :ny]
    return (((x - nx / 2) / (nx / 2)) ** 2 + ((y - ny / 2) / (ny / 2)) ** 2 > 1)[..., None]


def saved(path: Path, hu: np.ndarray, affine: np.ndarray, unit: str = "mm") -> Path:
    image = nib.Nifti1Image(hu.astype(np.float32), affine)
    image.header.set_xyzt_units(unit)
    nib.save(image, path)
    return path


RAW: dict[str, Change] = {
    "stored without rescale": lambda hu: hu + 1024,
    "rescaled twice": lambda hu: hu - 1024,
    "an eighth": lambda hu: hu / 8,
    "grey values": lambda hu: np.clip((hu + 1000) / 8, 0, 255),
    "attenuation x 1000": lambda hu: (hu + 1000) * 0.0206,
}


@pytest.mark.parametrize("kind", RAW)
@pytest.mark.parametrize("padding", [None, -2000.0, -3024.0, 3000.0])
def test_values_that_are_no_hu_are_refused_with_any_padding(
    tmp_path: Path, chest: Chest, kind: str, padding: float | None
) -> None:
    volume = chest((4.0, 4.0, 8.0))
    values = RAW[kind](volume.hu)
    if padding is not None:
        values = np.where(outside(volume), padding, values)
    with pytest.raises(InputError, match="do not look like HU"):
        read_volume(saved(tmp_path / "a.nii", values, volume.affine))


@pytest.mark.parametrize("padding", [-1024.0, -2000.0, -3024.0, -32768.0])
def test_padding_and_metal_do_not_matter(tmp_path: Path, chest: Chest, padding: float) -> None:
    volume = chest((4.0, 4.0, 8.0))
    hu = np.where(outside(volume), padding, volume.hu)
    hu[50, 40, 20] = 30_000
    assert read_volume(saved(tmp_path / "a.nii", hu, volume.affine)).hu.max() == 30_000


@pytest.mark.parametrize("padding", [32_767.0, 62_512.0, 64_511.0])
def test_padding_that_nobody_declared_is_no_metal(tmp_path: Path, chest: Chest, padding: float) -> None:
    volume = chest((4.0, 4.0, 8.0))
    with pytest.raises(InputError, match=r"values up to .* more than any metal"):
        read_volume(saved(tmp_path / "a.nii", np.where(outside(volume), padding, volume.hu), volume.affine))


@pytest.mark.parametrize(
    ("factor", "unit", "says"),
    [
        (1.0, "meter", "xyzt_units says meter"),
        (1.0, "micron", "xyzt_units says micron"),
        (0.001, "mm", "look like metres called mm: correct pixdim and xyzt_units"),
        (0.1, "unknown", "look like centimetres called mm"),
        (1000.0, "mm", "larger than any human .* look like micrometres called mm"),
        (7.0, "mm", "larger than any human"),
    ],
)
def test_sizes_of_no_human_name_the_unit(tmp_path: Path, chest: Chest, factor: float, unit: str, says: str) -> None:
    volume = chest((4.0, 4.0, 8.0))
    affine = np.diag([factor, factor, factor, 1]) @ volume.affine
    with pytest.raises(InputError, match=says):
        read_volume(saved(tmp_path / "a.nii", volume.hu, affine, unit))


@pytest.mark.parametrize(("factor", "unit"), [(0.001, "meter"), (1000.0, "micron"), (1.0, "unknown")])
def test_true_units_are_read(tmp_path: Path, chest: Chest, factor: float, unit: str) -> None:
    volume = chest((4.0, 4.0, 8.0))
    affine = np.diag([factor, factor, factor, 1]) @ volume.affine
    np.testing.assert_allclose(
        read_volume(saved(tmp_path / "a.nii", volume.hu, affine, unit)).affine, volume.affine, rtol=1e-4, atol=1e-3
    )


def test_slices_too_far_apart_and_noise_are_refused_or_said() -> None:
    """A cylinder of water with two lungs and a spine, 300 mm each way."""
    x, y, _ = np.mgrid[-150:150:75j, -150:150:75j, -150:150:75j]
    hu = np.where(np.hypot(x, y) < 140, 40.0, -1000.0)
    hu[np.hypot(np.abs(x) - 60, y) < 45] = -850.0
    hu[np.hypot(x, y + 100) < 15] = 500.0

    def said(values: np.ndarray, slice_mm: float) -> tuple[str, ...]:
        affine = np.diag([4.0, 4.0, slice_mm, 1.0])
        return check_chest_ct(Volume(values.astype(np.float32), affine), "scan")

    assert said(hu, 4.0) == ()
    assert said(hu[:, :, :40], 12.0) == ("thick slices: 12 mm, views are as coarse",)
    with pytest.raises(InputError, match="50 mm from slice to slice"):
        said(hu[:, :, :8], 50.0)
    rng = np.random.default_rng(0)
    assert "very noisy" in said(hu + rng.normal(0, 250, hu.shape), 4.0)[0]
    with pytest.raises(InputError, match="neighbouring voxels have little in common"):
        said(rng.permutation(hu.ravel()).reshape(hu.shape), 4.0)
    hu[::2] = -1000
    with pytest.raises(InputError, match="planes without values"):
        said(hu, 4.0)
