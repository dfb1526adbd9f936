import pytest
import torch

from xray2xray.models.vision import VisionConfig, VisionModel
from xray2xray.models.vision.codebook import on_sphere
from xray2xray.models.vision.discriminator import Discriminator, critic_loss, matching_loss

SMALL = VisionConfig(size=32, widths=(8, 16), blocks=(1, 1), head_width=8, latent_dim=8, codebook_size=32)


def test_the_tiny_grid_is_eight_by_eight():
    config = VisionConfig()
    assert (config.grid, config.tokens) == (8, 64)


def test_shapes_and_lengths():
    model = VisionModel(SMALL)
    latents = model.encode(torch.rand(3, 1, 32, 32))
    assert latents.shape == (3, 16, 8)
    torch.testing.assert_close(latents.norm(dim=-1), torch.full((3, 16), 8**0.5))
    tokens = model.tokens(latents)
    assert tokens.shape == (3, 16)
    assert tokens.dtype == torch.int64
    assert model.decode(latents).shape == model.decode_tokens(tokens).shape == (3, 1, 32, 32)


def test_latents_run_row_by_row():
    model = VisionModel(SMALL)
    x = torch.rand(1, 1, 32, 32)
    grid = model.encoder(x)[0]  # (C, 4, 4)
    top_right, second_row = model.encode(x)[0, [3, 4]]
    torch.testing.assert_close(top_right, on_sphere(grid[:, 0, 3]))
    torch.testing.assert_close(second_row, on_sphere(grid[:, 1, 0]))


def test_a_size_that_does_not_divide_is_refused():
    with pytest.raises(ValueError, match="does not divide"):
        VisionConfig(size=100)


def test_critic_scores_patches_and_its_losses_have_the_right_sign():
    critic = Discriminator(8)
    x = torch.rand(2, 1, 64, 64)
    scores, features = critic(x)
    assert scores.shape == (2, 1, 4, 4)
    assert float(matching_loss(features, features).detach()) == 0.0
    confident = torch.full((2, 1, 4, 4), 2.0)
    assert float(critic_loss(confident, -confident)) == 0.0
    assert float(critic_loss(-confident, confident)) == 3.0
