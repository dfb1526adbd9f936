"""From cases to the table of volumes."""

from pathlib import Path

import numpy as np
import pytest

from xray2xray.core.errors import InputError, UsageError
from xray2xray.core.evidence import FROM_CT, VIRTUAL
from xray2xray.data.store import ViewStore
from xray2xray.evaluation import volume_table
from xray2xray.evaluation.volume_table import (
    CEILING,
    SAMPLE,
    TRUTH,
    CaseRow,
    VolumeResult,
    covered,
    evaluate_volume,
    in_patient,
    kept,
    label_file,
    middle_planes,
    organ_scores,
    read_labels,
    summarise,
)
from xray2xray.evaluation.volumes import TISSUES, regions
from xray2xray.models.world_model import WorldModel
from xray2xray.phantoms import patient_volume
from xray2xray.projection.geometry import STANDARD_ARC, preset
from xray2xray.projection.render import render
from xray2xray.volume.chest import Chest, isocentre_mm
from xray2xray.volume.nifti import read_nifti, write_nifti
from xray2xray.volume.volume import Volume

SIZE = 24
BASELINES = ["mean_volume", "nearest_case", "mean_depth", "back_projection", "os_sart", CEILING]


@pytest.fixture(scope="module")
def scan() -> Volume:
    return patient_volume(1_000_000, 48)


@pytest.fixture(scope="module")
def model(
    sampled_model: WorldModel, small_models: dict[str, WorldModel], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    folder = tmp_path_factory.mktemp("model") / "small"
    small_models["autoregressive"].save_pretrained(folder)
    sampled_model.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = ViewStore.create(tmp_path_factory.mktemp("store") / "views", preset("chest", 16))
    for seed in (1, 2):
        made.write(f"patient-{seed}", render(patient_volume(seed, 48), made.geometry, STANDARD_ARC), STANDARD_ARC)
    return made.folder


@pytest.fixture(scope="module")
def folders(scan: Volume, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A scan somewhere in a scanner, and its labels on a grid of their own: 1 is what is dense, 2 lung."""
    scans, labels = tmp_path_factory.mktemp("scans"), tmp_path_factory.mktemp("labels")
    moved = Volume(scan.hu, scan.affine + np.array([[0, 0, 0, 40], [0, 0, 0, -90], [0, 0, 0, 300], [0, 0, 0, 0]]))
    write_nifti(scans / "one_2mm.nii.gz", moved)
    numbers = np.where(moved.hu > 300, 1, np.where(Chest.of(moved).lungs, 2, 0))[2:-2, 3:, :]
    affine = moved.affine.copy()
    affine[:3, 3] = (moved.affine @ [2, 3, 0, 1])[:3]
    write_nifti(labels / "one_labels_2mm.nii.gz", Volume(numbers, affine))
    return scans, labels


@pytest.fixture(scope="module")
def atlas(folders: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The labelled scan of another patient, and that of the first again by another name."""
    folder = tmp_path_factory.mktemp("atlases")
    other = patient_volume(7, 48)
    write_nifti(folder / "other.nii.gz", other)
    write_nifti(
        folders[1] / "other_labels.nii.gz",
        Volume(np.where(other.hu > 300, 1, np.where(Chest.of(other).lungs, 2, 0)), other.affine),
    )
    write_nifti(folder / "same.nii.gz", read_nifti(folders[0] / "one_2mm.nii.gz"))
    write_nifti(folders[1] / "same.nii.gz", read_nifti(folders[1] / "one_labels_2mm.nii.gz"))
    return folder


@pytest.fixture(scope="module")
def volumes() -> dict[str, Volume]:
    return {}


@pytest.fixture(scope="module")
def result(
    model: Path, store: Path, folders: tuple[Path, Path], atlas: Path, volumes: dict[str, Volume]
) -> VolumeResult:
    """From a scan's frontal; three samples of each form."""
    scans, labels = folders
    return evaluate_volume(
        [scans],
        train=store,
        models=["direct"],
        size=SIZE,
        samples=3,
        labels=labels,
        organs=["bone", "lung"],
        atlases=[atlas],
        source=model,
        pictures=1,
        keep=volumes.__setitem__,
    )


def test_every_row_is_there(result: VolumeResult) -> None:
    assert list(result.groups) == [FROM_CT]
    assert list(result.groups[FROM_CT].rows) == ["direct", "direct" + SAMPLE, *BASELINES, TRUTH]
    (case,) = result.cases
    for row, scores in case.rows.items():
        if row == TRUTH:
            continue
        assert {"psnr", "ssim", "mae_hu", "mae_hu_lung", "lung_dice", "x2ct_compat_psnr"} <= set(scores), row
    best = max(BASELINES, key=lambda row: case.rows[row]["psnr"])
    assert best == CEILING
    assert case.rows["mean_depth"]["psnr"] > case.rows["back_projection"]["psnr"]


def test_organs_are_looked_for_by_another_patient(result: VolumeResult) -> None:
    """Not by the scan itself, which is there by another name: its labels would be right on the truth."""
    rows = result.cases[0].rows
    read = {row for row, scores in rows.items() if "dice_lung" in scores}
    assert read == {"direct", "direct" + SAMPLE, "mean_volume", "nearest_case", TRUTH}
    assert 0.6 < rows[TRUTH]["dice_lung"] < 0.99
    assert rows[TRUTH]["dice_lung"] > rows["direct"]["dice_lung"]
    assert rows[TRUTH]["ml_error_lung"] == pytest.approx(abs(rows[TRUTH]["ml_lung"] - rows[TRUTH]["true_ml_lung"]))
    assert result.settings["atlases"] == 2


def test_atlases_without_labels_are_refused(folders: tuple[Path, Path]) -> None:
    with pytest.raises(UsageError, match="--labels FOLDER"):
        evaluate_volume([folders[0]], atlases=[folders[0]], organs=["heart"])


def test_organ_scores() -> None:
    """A cube of 10 voxels of 1 mL a side, found a voxel too far: of each, nine tenths are of both."""
    grid = Volume(np.zeros((20, 20, 20)), np.diag([10.0, 10.0, 10.0, 1.0]))
    labels, found = np.zeros(grid.shape, np.uint8), np.zeros((2, *grid.shape), bool)
    labels[5:15, 5:15, 5:15] = 1
    found[0, 6:16, 5:15, 5:15] = True
    assert organ_scores(found, labels, ["heart", "aorta"], grid) == pytest.approx(
        {"dice_heart": 0.9, "ml_heart": 1000, "true_ml_heart": 1000, "ml_error_heart": 0}
    )


def test_forms_that_refuse_two_views_or_samples_of_them_are_listed(
    model: Path, store: Path, folders: tuple[Path, Path]
) -> None:
    both = evaluate_volume(
        [folders[0]], train=store, given="frontal+lateral", size=SIZE, samples=1, source=model, pictures=0
    )
    assert both.forms == ["direct"]
    assert set(both.refused) == {"autoregressive", "direct" + SAMPLE}
    assert "one given view" in both.refused["autoregressive"]
    assert list(both.groups[FROM_CT].rows) == ["direct", *BASELINES]
    assert both.groups[FROM_CT].coverage == {}


def test_organs_are_found_by_the_affine(result: VolumeResult) -> None:
    """Where labels lay elsewhere, bone would not be what the mean volume misses most, nor lung what is too dense."""
    scores = result.cases[0].rows["mean_volume"]
    assert scores["bias_hu_bone"] < -200
    assert scores["bias_hu_lung"] > 50
    assert scores["mae_hu_bone"] >= -scores["bias_hu_bone"]


def test_samples_are_compared_with_the_truth(result: VolumeResult) -> None:
    coverage = result.groups[FROM_CT].coverage["direct"]
    measured = {name for name in coverage if not name.endswith(tuple(TISSUES))}
    assert measured == {"sd_hu", "50"}, "three samples show no more than half"
    assert {"50_lung", "50_bone", "50_soft"} <= set(coverage)
    assert coverage["sd_hu"].mean > 0


def test_volumes_are_kept_where_the_scan_lies(
    result: VolumeResult, volumes: dict[str, Volume], folders: tuple[Path, Path]
) -> None:
    assert set(volumes) == {f"one_2mm-direct{end}" for end in ("", "-sample", "-mean", "-sd")}
    centre = isocentre_mm(read_nifti(folders[0] / "one_2mm.nii.gz"))
    for volume in volumes.values():
        middle = volume.affine[:3, :3] @ np.full(3, (SIZE - 1) / 2) + volume.affine[:3, 3]
        assert middle == pytest.approx(centre, abs=1e-6)
    assert volumes["one_2mm-direct-sd"].hu.min() >= 0


def test_pictures_hold_every_row(result: VolumeResult) -> None:
    (example,) = result.examples
    assert list(example.planes) == ["truth", *(row for row in result.groups[FROM_CT].rows if row != TRUTH)]
    assert all(planes.shape == (3, SIZE, SIZE) for planes in example.planes.values())


def test_what_is_missing_is_said(model: Path, store: Path, folders: tuple[Path, Path], tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="nothing to evaluate"):
        evaluate_volume(source=model, train=store)
    with pytest.raises(InputError, match="labels of none of the scans"):
        evaluate_volume([folders[0]], source=model, train=store, labels=tmp_path)
    (tmp_path / "bad.nii.gz").write_bytes(b"no scan")
    with pytest.raises(InputError, match="no case could be evaluated"):
        evaluate_volume([tmp_path], source=model, train=store, size=SIZE)


# ---------------------------------------------------------------- parts


def row(case: str, psnr: dict[str, float], **more: float) -> CaseRow:
    return CaseRow(case, VIRTUAL, {name: {"psnr": value, **more} for name, value in psnr.items()}, {})


def test_differences_are_paired_within_each_case() -> None:
    rows = [row("a", {"form": 20.0, "mean": 18.0}, mae_hu_bone=300.0), row("b", {"form": 30.0, "mean": 28.0})]
    found = summarise(rows)
    assert found.n == 2
    gain = found.rows["mean"].behind_first["psnr"]
    assert gain.mean == pytest.approx(2)
    assert gain.ci95 == pytest.approx((2, 2)), "cases differ by ten, the difference within each does not"
    low, high = found.rows["form"].scores["psnr"].ci95 or (0, 0)
    assert high - low > 5
    assert found.rows["form"].behind_first == {}
    assert found.rows["form"].scores["mae_hu_bone"].mean == 300, "the mean of the cases that have it"


def test_coverage_of_samples_that_are_drawn_like_the_truth() -> None:
    rng = np.random.default_rng(0)
    truth = patient_volume(1_000_001, 32)
    body = Chest.of(truth).body
    centre = truth.hu + 50 * rng.standard_normal(truth.shape)
    drawn = [Volume(centre + 50 * rng.standard_normal(truth.shape), truth.affine) for _ in range(39)]
    found = covered(drawn, Chest.of(truth))
    masks = regions(Chest.of(truth))
    assert masks["body"].sum() == body.sum()
    for region, mask in masks.items():
        end = "" if region == "body" else f"_{region}"
        for level in (50, 80, 95):
            assert found[f"{level}{end}"] == pytest.approx(level / 100, abs=4 / np.sqrt(mask.sum()))
        assert found[f"sd_hu{end}"] == pytest.approx(50, rel=0.1)
    assert len(found) == 4 * len(masks)


def test_too_narrow_samples_cover_too_little_and_each_tissue_is_apart() -> None:
    """Lung is drawn without its error: half of the body's voxels are right, none of the others."""
    truth = Volume(np.where(np.arange(16)[:, None, None] < 8, -800.0, 40.0) * np.ones((16, 16, 16)), np.eye(4))
    chest = Chest.of(Volume(np.pad(truth.hu, 4, constant_values=40.0), np.diag([12.0, 12.0, 12.0, 1.0])))
    lung = chest.hu < -500
    drawn = [Volume(chest.hu + np.where(lung, one, 100.0), chest.affine) for one in (-1.0, 1.0, 2.0, -2.0)]
    found = covered(drawn, chest)
    assert found["50_lung"] == 1
    assert found["50_soft"] == 0
    assert found["50"] == pytest.approx(lung[chest.body].mean())


def test_files_of_labels(tmp_path: Path) -> None:
    for name in ("a.nii.gz", "b_labels_2mm.nii.gz", "c.nii", "c_tissue.nii", "d_labels.txt"):
        (tmp_path / name).touch()
    found = {name: label_file(tmp_path, name) for name in ("a", "b_2mm", "c", "d", "b")}
    assert {name: path and path.name for name, path in found.items()} == {
        "a": "a.nii.gz",
        "b_2mm": "b_labels_2mm.nii.gz",
        "c": "c_tissue.nii",
        "d": None,
        "b": None,
    }


def test_a_scan_is_no_label_map(tmp_path: Path, scan: Volume) -> None:
    write_nifti(tmp_path / "scan.nii.gz", scan)
    with pytest.raises(InputError, match=r"scan\.nii\.gz: label maps hold whole numbers"):
        read_labels(tmp_path / "scan.nii.gz")


def test_planes_show_the_right_on_the_left_and_head_and_front_up() -> None:
    hu = np.full((8, 8, 8), -1000.0)
    hu[7, 4, 4] = 1  # right
    hu[4, 7, 4] = 2  # front
    hu[4, 4, 7] = 3  # head
    coronal, sagittal, axial = middle_planes(Volume(hu, np.eye(4)))
    assert (coronal[3, 0], coronal[0, 3]) == (1, 3)
    assert (sagittal[3, 7], sagittal[0, 4]) == (2, 3)
    assert (axial[3, 0], axial[0, 3]) == (1, 2)


def test_what_is_kept() -> None:
    expected, drawn = (Volume(np.full((2, 2, 2), hu), np.eye(4)) for hu in (0.0, 10.0))
    other = Volume(np.full((2, 2, 2), 20.0), np.eye(4))
    assert set(kept(expected, [])) == {""}
    found = kept(expected, [drawn, other])
    assert found["-mean"].hu.flat[0] == 15
    assert found["-sd"].hu.flat[0] == pytest.approx(np.sqrt(50))
    assert found["-sample"] is drawn
    assert in_patient(expected, np.array([1.0, 2, 3])).affine[:3, 3].tolist() == [1, 2, 3]


def test_the_views_that_can_be_given_are_on_the_standard_arc() -> None:
    assert {yaw for yaws in volume_table.GIVEN.values() for yaw in yaws} <= set(STANDARD_ARC)
