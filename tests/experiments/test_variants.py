from dataclasses import replace

import numpy as np
import pytest
import torch

from xray2xray.data.store import SCALE
from xray2xray.evaluation.metrics import unit
from xray2xray.evaluation.scoring import Cohort, Scores
from xray2xray.experiments.variants.__main__ import main, markdown, summary
from xray2xray.experiments.variants.image_to_image import ImageToImage, ImageToImageObjective
from xray2xray.experiments.variants.recipes import (
    VARIANTS,
    Data,
    flops_of_a_step,
    models_and_predictors,
    seeded,
    unpaired,
)
from xray2xray.models.vision import VisionConfig, VisionModel
from xray2xray.projection import STANDARD_ARC
from xray2xray.training.loop import LoopConfig, Machine, fit

PATIENTS, ANGLES = 6, len(STANDARD_ARC)


@pytest.fixture
def data() -> Data:
    """Each view says whose it is, and from where: patient + angle / 100 in every number of it."""
    config = VisionConfig(size=32, widths=(8, 16), blocks=(1, 1), head_width=8, latent_dim=8, codebook_size=32)
    said = np.arange(PATIENTS)[:, None] + np.arange(ANGLES) / 100
    views = np.broadcast_to((said * SCALE)[..., None, None], (PATIENTS, ANGLES, 32, 32)).astype(np.uint16)
    latents = np.broadcast_to(said[..., None, None], (PATIENTS, ANGLES, 16, 8)).astype(np.float16)
    tokens = np.broadcast_to(np.arange(PATIENTS)[:, None, None], (PATIENTS, ANGLES, 16)).astype(np.int32)
    return Data(VisionModel(config), views, latents, tokens, torch.ones(PATIENTS - 1))


def test_unpaired_views_keep_their_angle_and_nothing_is_lost(data):
    shuffled = unpaired(data)
    owner, angle = np.divmod(shuffled.latents[:, :, 0, 0].astype(np.float64), 1)
    assert np.allclose(angle, np.arange(ANGLES) / 100, atol=2e-3)
    assert (np.sort(owner, axis=0) == np.arange(PATIENTS)[:, None]).all()
    assert (owner[-1] == PATIENTS - 1).all()  # held-out patients stay whole
    assert len(np.unique(owner[0])) == PATIENTS - 1
    assert np.allclose(shuffled.views[:, :, 0, 0] / SCALE, owner + angle, atol=2e-3)
    assert (shuffled.tokens[:, :, 0] == owner).all()


@pytest.mark.parametrize("name", VARIANTS)
def test_every_variant_learns_and_predicts_views(name, data, tmp_path):
    variant = VARIANTS[name]
    small = replace(variant.loop, steps=2, batch=2, warm_up=1)
    assert flops_of_a_step(seeded(variant, data, 0), small) > 1e6
    objective = seeded(variant, data, 0)
    objective.prepare()
    before = {key: value.clone() for key, value in objective.model.state_dict().items()}
    fit(objective, small, Machine(precision="32-true"), tmp_path)
    assert any(not torch.equal(value, before[key]) for key, value in objective.model.state_dict().items())
    models, predictors = models_and_predictors({name: [objective]}, data.vision)
    frontal = np.ones((1, 32, 32), np.float32)
    views = [model.imagine(frontal, 0.0, STANDARD_ARC) for model in models.values()]
    views += [predictor.predict(frontal) for predictor in predictors.values()]
    assert [some.shape for some in views] == [(1, ANGLES, 32, 32)]


def test_twice_the_layers_are_nearly_twice_the_flops(data):
    counted = {name: flops_of_a_step(seeded(VARIANTS[name], data, 0), VARIANTS[name].loop) for name in VARIANTS}
    assert 1.8 < counted["direct_24"] / counted["direct_12"] < 2.0
    assert 1.8 < counted["gpt_24"] / counted["gpt_12"] < 2.0


def test_picture_to_picture_begins_at_the_mean_view_and_learns(tmp_path):
    """Brightness of all views follows that of the frontal, which no mean knows."""
    torch.manual_seed(0)
    level = np.linspace(1, 4, 16)
    views = np.broadcast_to((level * SCALE)[:, None, None, None], (16, ANGLES, 32, 32)).astype(np.uint16)
    objective = ImageToImageObjective(ImageToImage(32), views, torch.ones(16), targets=2)
    objective.prepare()
    frontal = unit(np.full((1, 32, 32), level[0]))
    begun = 10 * objective.average.predict(frontal)
    assert np.allclose(begun[0, 36], level.mean(), atol=1e-2)
    assert np.allclose(begun[0, 18], level[0], atol=1e-2)  # the view that was given
    fit(objective, LoopConfig(steps=60, batch=8, rate=3e-3, warm_up=5), Machine(precision="32-true"), tmp_path)
    learned = 10 * objective.average.predict(frontal)
    assert abs(learned[0, 36].mean() - level[0]) < 0.5 * abs(level.mean() - level[0])


def test_differences_are_paired_and_seeds_are_averaged():
    def scored(psnr_of_patients):
        mse = 10 ** (-np.repeat(np.array(psnr_of_patients)[:, None], ANGLES, axis=1) / 10)
        return Scores(mse, np.ones_like(mse))

    cohort = Cohort(
        STANDARD_ARC,
        0.0,
        ["a", "b"],
        ["virtual"] * 2,
        {
            "direct 0": scored([20.0, 30.0]),
            "direct 1": scored([22.0, 32.0]),
            "direct_12 0": scored([24.0, 34.0]),
            "v_ceiling": scored([40.0, 40.0]),
        },
        {"ridge_pca": scored([20.0, 30.0])},
    )
    found = summary(cohort)
    assert set(found["scores"]) == {"direct", "direct_12", "ridge_pca"}
    assert found["scores"]["direct"]["psnr_beyond_30"] == pytest.approx(26.0)
    assert found["scores"]["direct"]["sd_over_seeds"] == pytest.approx(2**0.5)
    assert found["scores"]["direct_12"]["difference"] == pytest.approx(3.0)  # the same for both patients:
    assert found["scores"]["direct_12"]["difference_ci95"] == pytest.approx((3.0, 3.0))
    told = {"words": "W", "minus": "direct", "seeds": 2, "parameters": 1_500_000, "steps": 7}
    result = {"variants": {"direct": told, "direct_12": told | {"seeds": 1}}, "groups": {"virtual": found}}
    assert "| W | 1.5 | 7 | 26.00 ± 1.41 (2) | +1.00 [+1.00, +1.00] (0) |  |" in markdown(result)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "nowhere"),
        (["--held-out", "9000"], "held-out"),
        (["--teraflops", "0"], "teraflops"),
        (["--seeds", "0"], "seeds"),
    ],
)
def test_what_cannot_be_done_is_one_clear_line(words, said, tmp_path, refused):
    assert said in refused(main, ["--views", tmp_path / "nowhere", "--out", tmp_path / "out", *words])
