import torch

from xray2xray.models.transitions import DirectConfig, DirectTransition
from xray2xray.models.transitions.linear_prior import LinearPrior
from xray2xray.projection.geometry import STANDARD_ARC

SMALL = DirectConfig(
    tokens=4, latent_dim=6, dim=32, heads=4, trunk=1, head=1, condition_dim=16, prior_inputs=5, prior_outputs=7
)


def test_conditioning_on_the_angle_can_be_learned():
    """AdaLN-zero begins as the identity; after some steps the same view gives different targets."""
    torch.manual_seed(0)
    model = DirectTransition(SMALL)
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    latents, wanted = torch.randn(1, 4, 6), torch.randn(1, 2, 4, 6)
    targets = torch.tensor([[-60.0, 60.0]])
    for _ in range(150):
        loss = (model.expected(model.look(latents, torch.zeros(1)), targets)[0] - wanted).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert float(loss.detach()) < 0.05


def linear_patients(patients: int = 300) -> torch.Tensor:
    """Views whose latents are exactly linear in four hidden factors."""
    generator = torch.Generator().manual_seed(0)
    factors = torch.randn(patients, 4, generator=generator)
    to_views = torch.randn(4, len(STANDARD_ARC), 4, 6, generator=generator)
    return 0.5 + torch.einsum("pf,fanc->panc", factors, to_views)


def test_the_prior_solves_a_linear_world():
    latents = linear_patients()
    prior = LinearPrior((4, 6), inputs=8, outputs=24, arc_deg=STANDARD_ARC)
    prior.fit(latents[:250])
    arc = torch.tensor(STANDARD_ARC).expand(50, -1)
    predicted = prior(latents[250:, STANDARD_ARC.index(0.0)], torch.zeros(50), arc)
    error = (predicted - latents[250:]).square().mean() / latents.var()
    assert float(error) < 0.01


def test_the_prior_interpolates_and_knows_only_frontals():
    latents = linear_patients()
    prior = LinearPrior((4, 6), inputs=8, outputs=8, arc_deg=STANDARD_ARC)
    prior.fit(latents)
    frontal = latents[:5, STANDARD_ARC.index(0.0)]
    both = prior(frontal, torch.zeros(5), torch.tensor([[30.0, 35.0, 32.5]]).expand(5, -1))
    torch.testing.assert_close(both[:, 2], both[:, :2].mean(dim=1), atol=1e-4, rtol=1e-4)
    from_the_side = prior(frontal, torch.full((5,), 45.0), torch.tensor([[30.0]]).expand(5, -1))
    torch.testing.assert_close(from_the_side[0, 0].flatten(), prior.mean[STANDARD_ARC.index(30.0)], atol=1e-5, rtol=0)
