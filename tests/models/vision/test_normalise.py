import torch

from xray2xray.models.vision import from_network, to_network


def test_the_scale_is_the_one_of_the_contract():
    p = torch.tensor([-1.0, 0.0, 2.5, 10.0, 12.0])
    assert torch.equal(to_network(p), torch.tensor([-1.0, -1.0, -0.5, 1.0, 1.0]))


def test_there_and_back():
    p = torch.linspace(0, 10, 101)
    torch.testing.assert_close(from_network(to_network(p)), p, atol=1e-5, rtol=0)


def test_what_a_decoder_overshoots_is_clipped():
    assert from_network(torch.tensor([-1.3, 1.2])).tolist() == [0.0, 10.0]
