"""The volumetric form: what holds by construction, whatever the network has learned."""

import numpy as np
import pytest
import torch

from xray2xray.core.errors import InputError, UsageError
from xray2xray.models.transitions.residual_bank import ResidualBank
from xray2xray.models.transitions.volumetric import VolumetricConfig, VolumetricTransition
from xray2xray.models.vision import VisionConfig, VisionModel
from xray2xray.models.world_model import WorldModel
from xray2xray.projection.forward import project
from xray2xray.projection.geometry import Pose, preset
from xray2xray.projection.lifted import Lifted
from xray2xray.reconstruction.reconstruct import centred_affine

SIZE = 32
CONFIG = VolumetricConfig(size=SIZE, depth=32, widths=(8, 16, 16, 16), heads=2, donors=2)


@pytest.fixture(scope="module")
def model() -> WorldModel:
    """A network of random weights whose mean chest is a ball."""
    torch.manual_seed(0)
    vision = VisionModel(
        VisionConfig(size=SIZE, widths=(8, 16), blocks=(1, 1), head_width=8, latent_dim=8, codebook_size=32)
    )
    form = VolumetricTransition(CONFIG)
    for parameter in form.network.parameters():
        torch.nn.init.normal_(parameter, std=0.05)
    k, i, j = np.meshgrid(*(np.linspace(-1, 1, n) for n in CONFIG.frustum.shape), indexing="ij")
    ball = (0.3 * np.exp(-8 * (k**2 + i**2 + j**2))).astype(np.float32)
    form.network.set_mean(torch.from_numpy(ball))
    detail = ball * np.cos(9 * np.stack([k, j])).astype(np.float32)
    form.set_bank(ResidualBank(0.5 * detail, np.stack([ball, ball]).sum(axis=1)))
    return WorldModel(vision, form)


def view(size: int = SIZE, across: float = 0.1) -> np.ndarray:
    row, column = np.mgrid[-1 : 1 : size * 1j, -1 : 1 : size * 1j]
    return (4 * np.exp(-5 * ((row + 0.1) ** 2 + (column - across) ** 2))).astype(np.float32)


@pytest.mark.parametrize("size", [SIZE, 3 * SIZE])
def test_the_given_view_is_kept_at_any_multiple_of_the_networks_size(model: WorldModel, size: int) -> None:
    state = model.observe([(view(size), 0.0)])
    chest = state.chests[0]  # type: ignore[attr-defined]
    np.testing.assert_allclose(chest.views([0.0])[0], view(size), atol=1e-4)
    assert model.predict(state, [0.0, 40.0]).shape == (1, 2, size, size)


def test_a_size_that_does_not_fit_is_refused(model: WorldModel) -> None:
    with pytest.raises(InputError, match="32 x 32 pixels, or a multiple"):
        model.observe([(view(40), 0.0)])


def test_views_are_of_the_chest_that_the_volume_shows(model: WorldModel) -> None:
    state = model.observe([(view(), 0.0)])
    affine = centred_affine(96, 384.0)
    mu = model.volume(state, (96, 96, 96), affine)
    assert mu is not None
    poses = [Pose(60.0), Pose(20.0, pitch_deg=10.0, roll_deg=5.0)]
    rendered = project(mu[0], affine, preset("chest", SIZE), poses)
    assert np.abs(rendered - model.predict(state, poses)[0]).mean() < 0.01 * rendered.max()


def test_a_view_from_the_front_is_the_mirror_image_from_behind(model: WorldModel) -> None:
    """What lies so far beyond the isocentre from behind lies so far before it from the front, in mm, not in planes."""

    def depth_mm(chest: Lifted) -> np.ndarray:
        frustum = chest.frustum
        mm = frustum.geometry.sdd_mm * frustum.h - frustum.geometry.sod_mm
        return (chest.w * mm[:, None, None]).sum(axis=0) / chest.w.sum(axis=0)

    behind = model.observe([(view(), 0.0)]).chests[0]  # type: ignore[attr-defined]
    front = model.observe([(view()[:, ::-1], 180.0)]).chests[0]  # type: ignore[attr-defined]
    np.testing.assert_allclose(depth_mm(front), -depth_mm(behind)[:, ::-1], atol=3.0)
    np.testing.assert_allclose(front.views([180.0])[0], view()[:, ::-1], atol=1e-4)


def test_without_a_frontal_the_mean_chest_is_corrected(model: WorldModel) -> None:
    mean = model.transition.mean_chest(SIZE)  # type: ignore[operator]
    lateral_p = 1.3 * mean.views([90.0])[0]
    state = model.observe([(lateral_p, 90.0)])
    chest = state.chests[0]  # type: ignore[attr-defined]
    before, after = (np.abs(x.views([90.0])[0] - lateral_p).mean() for x in (mean, chest))
    assert after < before
    np.testing.assert_array_equal(model.predict(state, [90.0])[0, 0], lateral_p)


def test_a_second_view_is_agreed_with(model: WorldModel) -> None:
    alone = model.observe([(view(), 0.0)])
    lateral_p = np.roll(model.predict(alone, [90.0])[0, 0], 3, axis=1)
    both = model.observe([(view(), 0.0), (lateral_p, 90.0)])
    before, after = (
        np.abs(state.chests[0].views([90.0])[0] - lateral_p).mean()  # type: ignore[attr-defined]
        for state in (alone, both)
    )
    assert after < 0.5 * before
    np.testing.assert_allclose(both.chests[0].views([0.0])[0], view(), atol=1e-3)  # type: ignore[attr-defined]
    with pytest.raises(UsageError, match="one frontal"):
        model.sample(both, [30.0], torch.Generator())


def test_samples_keep_the_view_and_add_detail(model: WorldModel) -> None:
    state = model.observe([(view(), 0.0)])
    first, second = model.sample(state, [0.0, 70.0], torch.Generator().manual_seed(0), 2)[:, 0]
    np.testing.assert_allclose(first[0], view(), atol=1e-4)
    mean = model.predict(state, [70.0])[0, 0]
    assert np.abs(first[1] - mean).max() > 0.01
    assert np.abs(second[1] - mean).max() > 0.01


def test_sampled_volumes_are_of_the_sampled_views(model: WorldModel) -> None:
    state = model.observe([(view(), 0.0)])
    affine = centred_affine(96, 384.0)
    mu = model.volume(state, (96, 96, 96), affine, torch.Generator().manual_seed(3), 2)
    assert mu is not None
    assert mu.shape == (2, 1, 96, 96, 96)
    seen = model.sample(state, [60.0], torch.Generator().manual_seed(3), 2)[:, 0, 0]
    rendered = np.stack([project(one, affine, preset("chest", SIZE), [60.0])[0] for one in mu[:, 0]])
    assert np.abs(rendered - seen).mean() < 0.01 * seen.max()


def test_donors_are_kept_to_half_a_step(model: WorldModel) -> None:
    form = model.transition
    assert isinstance(form, VolumetricTransition)
    bank = form.bank
    again = VolumetricTransition(CONFIG)
    again.set_bank(bank)
    np.testing.assert_allclose(again.bank.residuals, bank.residuals, atol=np.abs(bank.residuals).max() / 127)


def test_features_see_the_chest_in_coarse_cells(model: WorldModel) -> None:
    found = model.features(view(), "hidden", pool=8).reshape(8, 8, -1)
    assert found.shape[2] == model.width("hidden") == 16 + 8
    slabs = found[..., 16:]
    pooled = view().reshape(8, 4, 8, 4).mean(axis=(1, 3))
    np.testing.assert_allclose(slabs.sum(axis=2), pooled, rtol=0.02, atol=0.01)  # planes sum to what is measured


def test_a_grid_that_is_none_is_refused(model: WorldModel) -> None:
    state, affine = model.observe([(view(), 0.0)]), centred_affine(16, 384.0)
    for shape in ((16, 16), (-1, 16, 16), (16.0, 16, 16)):
        with pytest.raises(InputError, match="three whole numbers"):
            model.volume(state, shape, affine)  # type: ignore[arg-type]
    for wrong in (np.eye(3), np.zeros((4, 4)), np.full((4, 4), np.nan)):
        with pytest.raises(InputError, match="affine of a grid"):
            model.volume(state, (16, 16, 16), wrong)
    with pytest.raises(UsageError, match="a generator that draws"):
        model.volume(state, (16, 16, 16), affine, samples=4)
