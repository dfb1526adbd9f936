import torch

from xray2xray.experiments.pretraining.networks.igpt import ImageGPT, ImageGPTConfig

CONFIG = ImageGPTConfig(tokens=9, codebook_size=11, dim=16, heads=2, layers=4)


def network() -> ImageGPT:
    torch.manual_seed(0)
    return ImageGPT(CONFIG)


def test_no_token_knows_itself_or_a_later_one() -> None:
    model = network()
    tokens = torch.randint(11, (2, 9))
    for place in range(9):
        changed = tokens.clone()
        changed[:, place] = (tokens[:, place] + 1) % 11
        difference = (model(changed) - model(tokens)).abs().amax(dim=(0, 2))
        assert torch.all(difference[: place + 1] == 0)
        assert torch.all(difference[place + 1 :] > 0)


def test_features_come_from_the_middle_layer() -> None:
    model = network()
    tokens = torch.randint(11, (2, 9))
    middle, logits = model.read(tokens)
    assert torch.equal(model.middle(tokens), middle)
    assert torch.equal(model(tokens), logits)
    torch.testing.assert_close(middle.mean(dim=-1), torch.zeros(2, 9), atol=1e-5, rtol=0)
    for block in model.blocks[2:]:  # what lies above the middle plays no part
        for parameter in block.parameters():
            torch.nn.init.zeros_(parameter)
    assert torch.equal(model.middle(tokens), middle)
    assert not torch.equal(model(tokens), logits)


def test_the_rest_of_a_view_is_written_greedily() -> None:
    model = network()
    tokens = torch.randint(11, (2, 9))
    written = model.complete(tokens, 4)
    assert torch.equal(written[:, :4], tokens[:, :4])
    assert torch.equal(model(written)[:, 4:].argmax(dim=-1), written[:, 4:])
