"""A chest computes its body, lungs, isocentre and attenuation once, and they are those of the volume."""

import cProfile
import pstats
from collections.abc import Callable

import numpy as np

from xray2xray.projection import preset, render
from xray2xray.volume import Chest, Volume, body_mask, hu_to_mu, isocentre_mm, remove_couch


def calls(profile: cProfile.Profile, name: str) -> int:
    """How often functions of this name were called while the profile ran."""
    return sum(row[1] for (_, _, function), row in pstats.Stats(profile).stats.items() if function == name)  # type: ignore[attr-defined]


def test_what_is_derived_from_a_volume(chest: Callable[..., Volume]) -> None:
    volume = chest()
    found = Chest.of(volume)
    assert Chest.of(found) is found
    assert found.hu is volume.hu
    assert np.array_equal(found.lungs, found.body & (volume.hu < -500))
    assert np.array_equal(found.mu_per_mm, hu_to_mu(volume.hu, body_mask(volume)))
    assert found.isocentre_mm.tolist() == isocentre_mm(volume).tolist()


def test_many_uses_compute_each_once(chest: Callable[..., Volume]) -> None:
    found = remove_couch(chest(couch=True))
    assert isinstance(found, Chest)
    with cProfile.Profile() as profile:
        for yaw in (0.0, 90.0):
            render(found, preset("chest", 16), [yaw])
        body_mask(found)
        isocentre_mm(found)
    assert calls(profile, "_coarse_body") == calls(profile, "body") == calls(profile, "hu_to_mu") == 1
