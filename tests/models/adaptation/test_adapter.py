"""Untrained it changes nothing; saved and read it is the same; the buffer keeps old fakes; edges tell anatomy."""

import json

import numpy as np
import pytest
import torch

from xray2xray.core.errors import InputError
from xray2xray.experiments.adaptation.anatomy import gradient_correlation
from xray2xray.experiments.adaptation.buffer import ImageBuffer
from xray2xray.io.model_folder import write_part
from xray2xray.models.adaptation import Adapter, AdapterConfig, Generator

CONFIG = AdapterConfig(size=32, width=8, dilations=(1, 2))


def test_untrained_it_is_the_identity():
    x = torch.rand(2, 1, 32, 32) * 2 - 1
    changed = Generator(CONFIG)(x)
    torch.testing.assert_close(changed, x)
    torch.testing.assert_close(gradient_correlation(x, changed), torch.ones(2))


def test_saved_and_read_it_is_the_same(tmp_path):
    torch.manual_seed(0)
    generator = Generator(CONFIG)
    torch.nn.init.normal_(generator.last.weight, std=0.1)
    write_part(tmp_path, "adapter", generator, {"adaptation": {"half": "first"}})
    adapter, view = Adapter.from_pretrained(tmp_path), np.full((32, 32), 3.0, np.float32)
    assert adapter.notes == {"half": "first"}
    made = Adapter(generator)(view)
    assert np.abs(made - view).max() > 0.01
    np.testing.assert_allclose(adapter(view), made, atol=0.02)  # float16 on disk


def test_bad_input(tmp_path):
    adapter = Adapter(Generator(CONFIG))
    for bad in (np.zeros((16, 16)), np.full((32, 32), np.nan)):
        with pytest.raises(InputError, match="32 x 32"):
            adapter(bad)
    with pytest.raises(InputError, match="neither a packaged"):
        Adapter.from_pretrained(tmp_path)
    write_part(tmp_path, "vision", Generator(CONFIG))
    with pytest.raises(InputError, match="holds no adapter"):
        Adapter.from_pretrained(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(config | {"adapter": {"size": 31, "width": 8, "dilations": [1]}}))
    with pytest.raises(InputError, match="does not describe"):
        Adapter.from_pretrained(tmp_path)


def test_the_packaged_adapter_keeps_a_view_where_it_is():
    adapter = Adapter.from_pretrained("cyclegan")
    row, column = np.mgrid[:128, :128]
    lungs = ((np.abs(column - 64) - 20) / 14) ** 2 + ((row - 60) / 30) ** 2 < 1
    view = np.where((np.abs(column - 64) < 50) & (np.abs(row - 64) < 50), np.where(lungs, 2.2, 4.5), 0).astype(
        np.float32
    )
    adapted = adapter(view)
    assert adapter.notes["half"] == "first"
    assert 0.01 < np.abs(adapted - view).mean() < 1.0
    assert np.corrcoef(adapted.ravel(), view.ravel())[0, 1] > 0.9


def test_the_buffer_shows_new_fakes_then_by_chance_old_ones():
    buffer = ImageBuffer(2, 4)
    fakes = torch.arange(4.0)[:, None, None, None].expand(4, 1, 4, 4)
    exchange, keep = torch.tensor([[0.4, 0.0]]), torch.tensor([[0.6, 0.0]])
    assert torch.equal(buffer.exchange(fakes[:2], keep.repeat(2, 1)), fakes[:2])  # filling: each is kept and shown
    assert torch.equal(buffer.exchange(fakes[2:3], keep), fakes[2:3])
    assert torch.equal(buffer.images, fakes[:2])
    assert torch.equal(buffer.exchange(fakes[3:], exchange), fakes[:1])  # the oldest slot for the new fake
    assert torch.equal(buffer.images, fakes[[3, 1]])


def test_gradient_correlation_knows_anatomy_from_contrast():
    x = torch.rand(1, 1, 64, 64, generator=torch.Generator().manual_seed(0))
    assert float(gradient_correlation(x, 0.3 * x - 2)) == pytest.approx(1)
    assert float(gradient_correlation(x, -x)) == pytest.approx(-1)
    assert abs(float(gradient_correlation(x, x.flip(-1)))) < 0.1
    half = torch.zeros(1, 1, 64, 64)
    half[..., :32] = 1
    mixed = torch.cat([x[..., :32], x.flip(-1)[..., 32:]], dim=-1)
    assert float(gradient_correlation(x, mixed, half)) > 0.95 > float(gradient_correlation(x, mixed))
