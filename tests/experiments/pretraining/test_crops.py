import torch

from xray2xray.experiments.pretraining.crops import GAIN, random_blocks, random_crops


def test_parts_of_a_ramp_are_ramps() -> None:
    """p grows by 1 from the left to the right side: a part's range says how wide it was, and it is not mirrored."""
    ramp = (1 + torch.linspace(0, 1, 64)).expand(200, 64, 64)
    parts = random_crops(ramp, 48, (0.25, 0.25), torch.Generator().manual_seed(0))
    assert parts.shape == (200, 48, 48)
    rows = parts / parts.mean(dim=(1, 2), keepdim=True)
    assert torch.allclose(rows, rows[:, :1], atol=1e-5)
    width = (rows[:, 0, -1] - rows[:, 0, 0]) * parts.mean(dim=(1, 2))
    assert 0.37 < width.min() < 0.45 < 0.55 < width.max() < 0.65  # about 1/2, by up to 1.15 wider or narrower, and gain
    left = parts[:, 0, 0]
    assert left.max() - left.min() > 0.35  # from everywhere


def test_the_whole_view_but_for_the_gain() -> None:
    view = torch.rand(1, 16, 16).expand(300, 16, 16)
    parts = random_crops(view, 16, (1.0, 1.0), torch.Generator().manual_seed(0), ratio=1.0)
    gain = parts.mean(dim=(1, 2)) / view.mean(dim=(1, 2))
    torch.testing.assert_close(parts, view * gain[:, None, None])
    assert 1 - GAIN <= gain.min() < 1 - 0.9 * GAIN
    assert 1 + 0.9 * GAIN < gain.max() <= 1 + GAIN + 1e-6


def test_blocks_cover_their_share() -> None:
    masked = random_blocks(400, 8, (0.1, 0.5), torch.Generator().manual_seed(0)).view(400, 8, 8)
    share = masked.float().mean(dim=(1, 2))
    assert 0.05 < share.min() < 0.15 < 0.45 < share.max() < 0.6
    assert abs(float(share.mean()) - 0.3) < 0.03
    rows, columns = masked.any(dim=2), masked.any(dim=1)
    assert torch.equal(masked, rows[:, :, None] & columns[:, None, :])  # rectangles
    assert masked.any(dim=0).all()
