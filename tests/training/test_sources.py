"""Several view stores, their shares of the draws, and what is held out of them."""

import numpy as np
import pytest
import torch

from xray2xray.core.errors import InputError, UsageError
from xray2xray.data.groups import SOURCE_CT
from xray2xray.data.store import ViewStore
from xray2xray.projection.geometry import STANDARD_ARC
from xray2xray.projection.geometry import preset as geometry_preset
from xray2xray.training.objective import draw_rows
from xray2xray.training.sources import _held_out, read_studies

SIZE = 8


@pytest.fixture
def make(tmp_path):
    """A function that writes a store whose study i holds p = value everywhere."""

    def write(name, value, patients):
        made = ViewStore.create(tmp_path / name, geometry_preset("chest", SIZE))
        for i, patient in enumerate(patients):
            views_p = np.full((len(STANDARD_ARC), SIZE, SIZE), value, np.float32)
            made.write(f"{name}-{i}", views_p, STANDARD_ARC, {SOURCE_CT: patient})
        return tmp_path / name

    return write


def test_shares_are_those_of_the_draws(make):
    stores = [make("first", 1.0, "abcdefghij"), make("second", 2.0, "kl")]
    studies = read_studies(stores, (0.25, 0.75), SIZE, held_out=2)
    assert studies.views.shape == (12, 37, SIZE, SIZE)
    assert studies.held_out == 2
    drawn = studies.views[draw_rows(studies.weight, 4000, torch.Generator().manual_seed(0)), 0, 0, 0] / 4096
    assert np.mean(drawn == 2) == pytest.approx(0.75, abs=0.03)
    assert (studies.views[len(studies.weight) :] == 4096).all()  # the first store's last two


def test_without_shares_every_study_is_as_likely(make):
    studies = read_studies([make("first", 1.0, "abcdefghij"), make("second", 2.0, "kl")], None, SIZE, held_out=0)
    assert studies.weight.tolist() == [1.0] * 12


def test_a_patient_of_another_store_may_not_be_held_out_of_the_first(make):
    with pytest.raises(InputError, match="held-out"):
        read_studies([make("first", 1.0, "abcdefghij"), make("second", 2.0, "kj")], None, SIZE, held_out=1)


@pytest.mark.parametrize("shares", [(1.0,), (0.0, 1.0), (-1.0, 2.0)])
def test_shares_that_do_not_fit_are_refused(make, shares):
    with pytest.raises(UsageError, match="positive share for each of the 2"):
        read_studies([make("first", 1.0, "a"), make("second", 2.0, "b")], shares, SIZE, held_out=0)


def test_a_patient_is_never_on_both_sides():
    assert _held_out([f"p{n}" for n in range(20)], 3) == 3
    assert _held_out([f"p{n}" for n in range(10)], 3) == 2
    assert _held_out([*"abcdefghijk", *["z"] * 9], 3) == 9
    assert _held_out(["z"] * 20, 3) == 0
    assert _held_out(["a"], 3) == 0
