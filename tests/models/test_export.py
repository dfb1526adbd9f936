"""A model to share: the same model, every file pinned, a card of its own facts, and the network as ONNX."""

import json
from pathlib import Path

import numpy as np
import pytest

import xray2xray
from xray2xray.core.errors import InputError, UsageError
from xray2xray.models.card import END, model_card
from xray2xray.models.onnx import TOLERANCE, export_onnx
from xray2xray.models.transitions.volumetric import VolumetricTransition
from xray2xray.models.world_model import WorldModel
from xray2xray.projection.geometry import Pose
from xray2xray.projection.lifted import Lifted, extended

SHARES = {"mean_beyond_30": 24.8449, "ci95_beyond_30": [0.8, 0.9]}
RESULTS = {
    "n": 3,
    "cases": [{"case": "jane-doe", "evidence_level": "rendered from real CT"}],
    "models": {"volumetric": {"psnr": SHARES, "r2": SHARES}},
    "baselines": {"mean_view": {"psnr": SHARES, "r2": SHARES}},
    "over_best": {"volumetric": {"mean": 1.333, "ci95": [1.05, 1.57]}},
}


@pytest.fixture
def folder(small_volumetric: WorldModel, tmp_path: Path) -> Path:
    model = WorldModel(
        small_volumetric.vision, small_volumetric.transition, {"seed": 7, "start": "/home/jane/base", "licence": "MIT"}
    )
    model.save_pretrained(tmp_path / "model")
    (tmp_path / "model" / "probes.json").write_text("{}", encoding="utf-8")
    (tmp_path / "model" / "notes-of-mine.txt").write_text("private", encoding="utf-8")
    return tmp_path / "model"


def views(size: int, count: int = 3) -> np.ndarray:
    row, column = np.mgrid[-1 : 1 : size * 1j, -1 : 1 : size * 1j]
    return np.stack([4 * np.exp(-5 * (row**2 + (column - 0.1 * n) ** 2)) for n in range(count)]).astype(np.float32)


def test_the_exported_folder_is_the_same_model(folder: Path, tmp_path: Path) -> None:
    found = xray2xray.export(tmp_path / "out", str(folder))
    assert [path.name for path in found.files] == [
        "README.md", "config.json", "probes.json", "vision.safetensors", "volumetric.safetensors",
    ]  # fmt: skip
    first, second = WorldModel.from_pretrained(folder), WorldModel.from_pretrained(found.out)
    np.testing.assert_array_equal(
        first.imagine(views(32), yaw_deg=[30.0, 90.0]), second.imagine(views(32), yaw_deg=[30.0, 90.0])
    )
    config = json.loads((found.out / "config.json").read_text(encoding="utf-8"))
    assert set(config["files"]) == {"README.md", "probes.json"}
    assert config["start"] == "base"
    second.save_pretrained(tmp_path / "saved")  # what is pinned there is not promised here
    WorldModel.from_pretrained(tmp_path / "saved")


def test_a_model_is_not_exported_over_itself(folder: Path) -> None:
    for out in (folder, folder.parent):
        with pytest.raises(UsageError, match="lies inside the output folder"):
            xray2xray.export(out, str(folder), overwrite=True)
    WorldModel.from_pretrained(folder)


@pytest.mark.parametrize("name", ["README.md", "probes.json", "vision.safetensors"])
def test_a_file_that_was_changed_is_refused(folder: Path, tmp_path: Path, name: str) -> None:
    out = xray2xray.export(tmp_path / "out", str(folder)).out
    with (out / name).open("ab") as file:
        file.write(b"more")
    with pytest.raises(InputError, match=f"{name} does not have the sha256"):
        WorldModel.from_pretrained(out)


@pytest.mark.parametrize("listed", [{"../model/config.json": "0"}, {"..": "0"}, {"absent.npz": "0"}, ["README.md"]])
def test_a_list_of_files_that_leads_elsewhere_is_refused(folder: Path, listed: object) -> None:
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    (folder / "config.json").write_text(json.dumps(config | {"files": listed}), encoding="utf-8")
    with pytest.raises(InputError, match="copy"):
        WorldModel.from_pretrained(folder)


def test_the_card_says_what_the_folder_holds_and_names_no_case(folder: Path) -> None:
    card = model_card(folder, RESULTS)
    assert card.startswith("---\nlicense: mit\n")
    weights = sum(value.numel() for value in WorldModel.from_pretrained(folder).transition.state_dict().values())
    assert f"| `volumetric` | {weights:,} |" in card
    assert "| seed | 7 |" in card
    assert "| rendered from real CT | 3 | `volumetric` | 24.84 | 24.845 [0.800, 0.900] | +1.33 [1.05, 1.57] |" in card
    assert "jane-doe" not in card
    with pytest.raises(InputError, match=r"views\.json"):
        model_card(folder, {"cases": []})


def test_the_authors_words_stay_when_a_card_is_written_again(folder: Path, tmp_path: Path) -> None:
    (folder / "README.md").write_text("# Mine\n\nWords.\n", encoding="utf-8")
    once = xray2xray.export(tmp_path / "once", str(folder)).out
    twice = xray2xray.export(tmp_path / "twice", str(once), licence="CC-BY-4.0").out
    cards = [(out / "README.md").read_text(encoding="utf-8") for out in (once, twice)]
    assert all(card.endswith(f"{END}\n\n# Mine\n\nWords.\n") for card in cards)
    assert [card.count("## Training") for card in cards] == [1, 1]
    assert "license: cc-by-4.0" in cards[1]


def test_onnx_makes_the_same_chest_for_any_number_of_views(small_volumetric: WorldModel, tmp_path: Path) -> None:
    onnxruntime = pytest.importorskip("onnxruntime", reason="needs the extra [onnx]")
    pytest.importorskip("onnxscript", reason="needs the extra [onnx]")
    said = export_onnx(small_volumetric, tmp_path / "lifting.onnx")
    assert all(said["largest_difference_from_torch"][name] <= most for name, most in TOLERANCE.items())
    network = onnxruntime.InferenceSession(tmp_path / "lifting.onnx", providers=["CPUExecutionProvider"])
    form = small_volumetric.transition
    assert isinstance(form, VolumetricTransition)
    poses, frustum = [Pose(0.0), Pose(40.0), Pose(90.0)], form.config.frustum_of(32, Pose(0.0))
    for count in (1, 2, 5):
        given = views(32, count)
        w, p = network.run(["w", "p"], {"view_p": given[:, None]})
        assert w.shape[0] == p.shape[0] == count
        np.testing.assert_allclose(w.sum(axis=1), 1, atol=1e-5)
        found = [Lifted(frustum, extended(given[n], frustum, p[n]), w[n]).views(poses) for n in range(count)]
        np.testing.assert_allclose(np.stack(found), small_volumetric.imagine(given, yaw_deg=poses), atol=1e-3)


def test_onnx_is_of_the_volumetric_form(small_models: dict[str, WorldModel], tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="direct"):
        export_onnx(small_models["direct"], tmp_path / "lifting.onnx")
    assert list(tmp_path.iterdir()) == []
