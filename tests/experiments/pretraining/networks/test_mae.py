import torch

from xray2xray.experiments.pretraining.networks.mae import (
    MAEConfig,
    MaskedAutoencoder,
    as_patches,
    as_views,
    drawing_loss,
    standardised,
)
from xray2xray.experiments.supervised.backbones.vit import ViTConfig

CONFIG = MAEConfig(ViTConfig(16, 1, 2, patch=8, picture=32), 0.75, 16, 1, 2)


def setup() -> tuple[MaskedAutoencoder, torch.Tensor, torch.Tensor]:
    torch.manual_seed(0)
    order = torch.stack([torch.randperm(16) for _ in range(3)])
    return MaskedAutoencoder(CONFIG), torch.randn(3, 1, 32, 32), order


def test_three_quarters_are_hidden_and_all_is_drawn() -> None:
    model, x, order = setup()
    drawn, hidden = model(x, order)
    assert drawn.shape == (3, 16, 64)
    assert hidden.sum(dim=1).tolist() == [12, 12, 12]
    assert not hidden.gather(1, order[:, :4]).any()


def test_what_is_hidden_is_not_seen() -> None:
    model, x, order = setup()
    drawn, hidden = model(x, order)
    patches = as_patches(x, 8)
    elsewhere = as_views(torch.where(hidden[..., None], torch.randn_like(patches), patches), 32)
    assert torch.equal(model(elsewhere, order)[0], drawn)
    seen = as_views(torch.where(hidden[..., None], patches, torch.randn_like(patches)), 32)
    assert (model(seen, order)[0] - drawn).abs().max() > 1e-4


def test_the_order_of_the_seen_patches_does_not_matter() -> None:
    """Each is put back where it was: a permutation of those seen changes nothing."""
    model, x, order = setup()
    shuffled = torch.cat([order[:, [2, 0, 3, 1]], order[:, 4:]], dim=1)
    torch.testing.assert_close(model(x, shuffled)[0], model(x, order)[0])


def test_patches_and_back() -> None:
    x = torch.arange(2 * 32 * 32.0).view(2, 1, 32, 32)
    patches = as_patches(x, 8)
    assert torch.equal(patches[1, 5].view(8, 8), x[1, 0, 8:16, 8:16])  # second row, second column of a 4 x 4 grid
    assert torch.equal(as_views(patches, 32), x)


def test_the_loss_counts_hidden_patches_by_their_own_scale() -> None:
    _, x, _ = setup()
    hidden = torch.zeros(3, 16, dtype=torch.bool)
    hidden[:, :4] = True
    wanted, mean, sd = standardised(as_patches(x, 8))
    torch.testing.assert_close(wanted * sd + mean, as_patches(x, 8))
    wrong = torch.where(hidden[..., None], wanted, 9.0)  # what was seen may be drawn anyhow
    assert float(drawing_loss(wrong, hidden, 5 * x + 1)) < 1e-6
    assert abs(float(drawing_loss(torch.zeros_like(wanted), hidden, x)) - 63 / 64) < 1e-3  # variance 1, of 64 pixels
