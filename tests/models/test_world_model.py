import json

import numpy as np
import pytest
import torch

from xray2xray.core.errors import InputError, UsageError
from xray2xray.models.transitions import (
    AutoregressiveConfig,
    AutoregressiveTransition,
    DirectConfig,
    DirectTransition,
)
from xray2xray.models.vision import VisionConfig, VisionModel
from xray2xray.models.world_model import WorldModel, across, mirror_image
from xray2xray.projection.geometry import Pose

SIZE = 32


@pytest.fixture
def folder(tmp_path):
    """Both forms of a small untrained model, saved."""
    torch.manual_seed(0)
    vision = VisionModel(
        VisionConfig(size=SIZE, widths=(8, 16), blocks=(1, 1), head_width=8, latent_dim=8, codebook_size=32)
    )
    direct = DirectTransition(
        DirectConfig(tokens=16, latent_dim=8, dim=32, heads=4, trunk=1, head=1, condition_dim=16, prior_inputs=4)
    )
    gpt = AutoregressiveTransition(AutoregressiveConfig(tokens=16, codebook_size=32, dim=32, heads=4, layers=1))
    WorldModel(vision, direct, {"preset": "test"}).save_pretrained(tmp_path / "model")
    WorldModel(vision, gpt, {"preset": "test"}).save_pretrained(tmp_path / "model")
    return tmp_path / "model"


@pytest.fixture
def view():
    return np.random.default_rng(0).uniform(0, 6, (SIZE, SIZE)).astype(np.float32)


@pytest.mark.parametrize("form", ["direct", "autoregressive"])
def test_imagine_gives_line_integrals_for_one_and_for_many(folder, view, form):
    model = WorldModel.from_pretrained(folder, form)
    one = model.imagine(view, yaw_deg=(-10.0, 0.0, 15.0))
    many = model.imagine(np.stack([view, view[::-1]]), yaw_deg=(-10.0, 0.0, 15.0))
    assert one.shape == (3, SIZE, SIZE)
    assert many.shape == (2, 3, SIZE, SIZE)
    assert one.dtype == many.dtype == np.float32
    assert 0.0 <= one.min() <= one.max() <= 10.0
    np.testing.assert_allclose(one, many[0], atol=1e-4)
    np.testing.assert_allclose(one[1], model.reconstruct_views(view[None])[0], atol=1e-4)


@pytest.mark.parametrize("form", ["direct", "autoregressive"])
def test_the_mirrored_patient_from_the_other_side_is_the_same_picture_mirrored(folder, view, form):
    model = WorldModel.from_pretrained(folder, form=form)
    angles = [-90.0, -30.0, 0.0, 30.0]
    both = model.imagine(view, yaw_deg=angles, mirrored=True)
    other = model.imagine(mirror_image(view), yaw_deg=[-yaw for yaw in angles], mirrored=True)
    assert np.allclose(both, mirror_image(other), atol=1e-5)
    assert np.allclose(
        2 * both,
        model.imagine(view, yaw_deg=angles)
        + mirror_image(model.imagine(mirror_image(view), yaw_deg=[-yaw for yaw in angles])),
        atol=1e-5,
    )
    with pytest.raises(UsageError, match="leave samples and others out"):
        model.imagine(view, samples=2, generator=torch.Generator(), mirrored=True)


def test_saving_and_loading_changes_no_more_than_float16_does(folder, view, tmp_path):
    model = WorldModel.from_pretrained(folder)
    model.save_pretrained(tmp_path / "again")
    again = WorldModel.from_pretrained(tmp_path / "again")
    np.testing.assert_array_equal(model.imagine(view), again.imagine(view))
    assert again.config == model.config


def test_a_state_is_encoded_once_and_used_for_everything(folder, view, monkeypatch):
    model = WorldModel.from_pretrained(folder)
    wanted = model.imagine(view, yaw_deg=[-40.0, 40.0]), model.features(view), model.features(view, "vision")
    encoded, encode = [], VisionModel.encode
    monkeypatch.setattr(VisionModel, "encode", lambda self, x: encoded.append(len(x)) or encode(self, x))
    state = model.observe([(view, 0.0)])
    found = (
        model.predict(state, [-40.0, 40.0])[0],
        model.features(state=state),
        model.features(None, "vision", state=state),
    )
    assert encoded == [1]
    for one, other in zip(found, wanted, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-6)
    for views_p, given in ((None, None), (view, state)):
        with pytest.raises(UsageError, match="give one of the two"):
            model.features(views_p, state=given)


def test_a_prediction_can_be_given(folder, view):
    """Predicted latents are the next state, without decoding; decoded and encoded again they are near."""
    model = WorldModel.from_pretrained(folder)
    predicted = model.prediction(model.observe([(view, 0.0)]), [30.0])[:, 0]
    again = model.predict(model.observe([(predicted, 30.0)]), [30.0])
    np.testing.assert_allclose(again[:, 0], predicted.pixels(model.vision).numpy(), atol=1e-5)


def test_features(folder, view):
    model = WorldModel.from_pretrained(folder)
    views = np.stack([view, view * 0.5, view + 1])
    assert model.features(views, "vision").shape == (3, 16 * 8)
    assert model.features(views).shape == (3, 16 * 8 + 4 * 32)
    assert model.features(views, "vision", pool=1).shape == (3, 8)
    np.testing.assert_array_equal(model.features(views)[:, 128:], model.features(views, "hidden"))
    with pytest.raises(UsageError, match="features"):
        model.features(views, "anatomical")
    with pytest.raises(UsageError, match="does not divide"):
        model.features(views, "vision", pool=3)


def test_hidden_states_of_the_direct_form_at_every_depth(folder, view):
    model = WorldModel.from_pretrained(folder)
    views = np.stack([view, view * 0.5])
    looked_at = [-90.0, 0.0, 90.0]
    by_depth = [model.features(views, "hidden", depth=depth, yaw_deg=looked_at) for depth in range(3)]
    assert [f.shape[1] for f in by_depth] == [4 * 32, 4 * 32, 3 * 4 * 32], "the trunk knows no target"
    latents, _ = model.encode(views)
    embedded = model.transition.embed(latents) + model.transition.place
    quarters = torch.nn.functional.layer_norm(embedded, (32,)).unflatten(1, (2, 2, 2, 2)).mean(dim=(2, 4))
    np.testing.assert_allclose(by_depth[0], quarters.flatten(1).detach().numpy(), atol=1e-5)
    np.testing.assert_allclose(by_depth[2][:, -4 * 32 :], model.features(views, "hidden"), atol=1e-6)
    assert [across(Pose(yaw)).yaw_deg for yaw in (0.0, 90.0, -90.0, -30.0)] == [90.0, 0.0, 0.0, 60.0]
    for depth in (-1, 3):
        with pytest.raises(UsageError, match=f"no depth {depth}"):
            model.features(views, "hidden", depth=depth)
    with pytest.raises(UsageError, match="vision"):
        model.features(views, "vision", depth=1)


def test_hidden_states_of_the_roll_out(folder, view):
    model = WorldModel.from_pretrained(folder, "autoregressive")
    views = np.stack([view, view[::-1]])
    assert model.features(views, "hidden", depth=0).shape == (2, 2 * 4 * 32), "both directions"
    assert model.features(views, yaw_deg=[-10.0]).shape == (2, 16 * 8 + 4 * 32)
    with pytest.raises(UsageError, match="own angle"):
        model.features(views, "hidden", yaw_deg=[0.0])


def test_a_changed_weight_file_is_refused(folder):
    path = folder / "direct.safetensors"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(bytes(content))
    with pytest.raises(InputError, match="sha256"):
        WorldModel.from_pretrained(folder)
    assert WorldModel.from_pretrained(folder, "autoregressive").config.form == "autoregressive"


def test_missing_parts_are_named(folder, tmp_path):
    (folder / "vision.safetensors").unlink()
    with pytest.raises(InputError, match=r"vision\.safetensors is missing"):
        WorldModel.from_pretrained(folder)
    with pytest.raises(InputError, match="neither a packaged model nor a folder"):
        WorldModel.from_pretrained(tmp_path / "nowhere")
    with pytest.raises(UsageError, match="form"):
        WorldModel.from_pretrained(folder, "both")


def test_a_form_that_was_not_trained(folder):
    config = json.loads((folder / "config.json").read_text())
    del config["direct"]
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(InputError, match="no trained direct"):
        WorldModel.from_pretrained(folder, "direct")


def test_views_of_the_wrong_kind_are_refused(folder, view):
    model = WorldModel.from_pretrained(folder)
    with pytest.raises(InputError, match="32 x 32"):
        model.imagine(np.zeros((SIZE, SIZE + 1), np.float32))
    with pytest.raises(InputError, match="yaw angles in degrees"):
        model.imagine(view, yaw_deg=[float("nan")])
    with pytest.raises(UsageError, match="no angles"):
        model.imagine(view, yaw_deg=[])
    with pytest.raises(UsageError, match="no view"):
        model.observe([])
    with pytest.raises(UsageError, match="a generator"):
        model.imagine(view, samples=3)
    with pytest.raises(InputError, match="of one shape"):
        model.observe([(view, 0.0), (np.stack([view, view]), 90.0)])
    with pytest.raises(InputError, match="NaN"):
        model.imagine(np.full_like(view, np.nan))
    with pytest.raises(InputError, match="32 x 32"):
        model.imagine(view[None][:0])


@pytest.mark.parametrize(
    ("views", "error"),
    [
        (np.zeros((SIZE, SIZE)), InputError),
        (5, InputError),
        ([np.zeros((SIZE, SIZE))], InputError),
        ("chest.png", InputError),
        ([("chest.png", 0.0)], InputError),
        ([(np.array("p"), 0.0)], InputError),
        ([(None, 0.0)], InputError),
        ([], UsageError),
    ],
    ids=str,
)
def test_observe_says_what_it_takes(small_volumetric, views, error):
    with pytest.raises(error):
        small_volumetric.observe(views)


def test_a_foreign_state_is_refused(small_volumetric, small_models):
    foreign = small_models["direct"].observe([(np.zeros((16, 16)), 0.0)])
    for state in (foreign, None, np.zeros(3)):
        with pytest.raises(InputError, match="no state of this model"):
            small_volumetric.predict(state, [0.0])
        with pytest.raises(InputError, match="no state of this model"):
            small_volumetric.volume(state, (4, 4, 4), np.eye(4))
    with pytest.raises(InputError, match="no state of this model"):
        small_volumetric.features(state=foreign)


def test_imagine_takes_what_people_have(small_volumetric, recwarn):
    row, column = np.mgrid[-1:1:32j, -1:1:32j]
    view_p = (4 * np.exp(-4 * (row**2 + column**2))).astype(np.float32)
    expected = small_volumetric.imagine(view_p, yaw_deg=[90.0])
    for given in (view_p.astype(np.float64), torch.from_numpy(view_p).requires_grad_(True), view_p.tolist()):
        np.testing.assert_array_equal(small_volumetric.imagine(given, yaw_deg=[90.0]), expected)
    for yaw_deg in (90, 90.0, np.float32(90), (90,), np.array([90]), torch.tensor([90]), Pose(90.0)):
        np.testing.assert_array_equal(small_volumetric.imagine(view_p, yaw_deg=yaw_deg), expected)
    assert not [warning for warning in recwarn if "line integrals" in str(warning.message)]


@pytest.mark.parametrize("scale", [255.0, 1000.0, 1.0, -3.0])
def test_imagine_warns_of_what_is_no_line_integral(small_volumetric, scale):
    view = np.random.default_rng(0).random((32, 32)) * scale
    with pytest.warns(UserWarning, match="no line integrals of a chest"):
        assert np.isfinite(small_volumetric.imagine(view, yaw_deg=0)).all()


def test_devices_have_names(folder):
    assert WorldModel.from_pretrained(folder, device="auto").device.type in ("cpu", "cuda")
    assert WorldModel.from_pretrained(folder, device=torch.device("cpu")).device.type == "cpu"
    with pytest.raises(UsageError, match="quantum"):
        WorldModel.from_pretrained(folder, device="quantum")


def test_reprs_say_what_it_is_in_a_line(small_volumetric, small_models):
    state = small_volumetric.observe([(np.ones((2, 32, 32)) * 2, 0.0)])
    assert repr(state) == "VolumetricState(2 x yaw 0)"
    assert repr(state.chests[0]) == "Lifted(32 planes of 40 x 48 cells, from yaw 0)"
    assert repr(small_volumetric).startswith("WorldModel(volumetric, 32 x 32 pixels, ")
    assert repr(small_volumetric.prediction(state, [0.0, 5.0])) == "PixelViews(2, 2, 32, 32)"
    assert repr(small_models["direct"].observe([(np.ones((16, 16)) * 2, 0.0)])) == "DirectState(1 x yaw 0)"
