"""Folds by patient, the shares of a fold's training, and scans of different range apart."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from xray2xray.core.errors import InputError
from xray2xray.core.evidence import FROM_CT
from xray2xray.data.groups import SOURCE_CT
from xray2xray.data.store import LiftedStudy, ViewStore
from xray2xray.evaluation.scoring import Cohort, Scores, joined
from xray2xray.experiments.folds.report import ALL, by_range, markdown
from xray2xray.experiments.folds.scans import FOLDS, known_scans, split
from xray2xray.experiments.folds.teach import Taught, train_on
from xray2xray.models.transitions.volumetric import VolumetricConfig, VolumetricTransition
from xray2xray.models.world_model import WorldModel
from xray2xray.projection.geometry import STANDARD_ARC, preset

CONFIG = VolumetricConfig(size=16, depth=8, widths=(8, 8, 8, 8), heads=1, donors=2)
SCANS = ("segthor-02_2mm", "segthor-03_2mm", "segthor-05_2mm", "LIDC-IDRI-0001_2mm")


def store_of(folder: Path, names: dict[str, dict[str, str]]) -> ViewStore:
    """Studies with these labels; each has a volume of its own."""
    store = ViewStore.create(folder, preset("chest", CONFIG.size))
    rows, columns = CONFIG.cells
    for number, (study, labels) in enumerate(names.items()):
        portions = np.full((CONFIG.depth, rows, columns), 0.1 + 0.01 * number, np.float16)
        lifted = LiftedStudy(portions, portions.sum(axis=0).repeat(2, axis=0).repeat(2, axis=1))
        views = np.full((len(STANDARD_ARC), CONFIG.size, CONFIG.size), 0.5)
        store.write(study, views, STANDARD_ARC, labels, lifted)
    return store


@pytest.fixture
def real(tmp_path: Path) -> ViewStore:
    names: dict[str, dict[str, str]] = {}
    for scan in SCANS:
        names |= {scan: {}, f"{scan}-warp-0001": {SOURCE_CT: scan}}
    return store_of(tmp_path / "real", names)


def test_every_fold_holds_whole_and_cut_scans() -> None:
    known = known_scans()
    for fold in range(FOLDS):
        assert {scan.range for scan in known.values() if scan.fold == fold} == {"whole", "cut"}
    assert {scan.fold for scan in known.values()} == set(range(FOLDS))


def test_a_scan_and_its_warps_are_on_one_side(real: ViewStore) -> None:
    judged = set()
    for fold in {known_scans()[scan].fold for scan in SCANS}:
        found = split(real, fold)
        judged |= set(found.judged)
        assert all("-warp-" not in study for study in found.judged)
        assert not {study.split("-warp-")[0] for study in found.learned} & set(found.judged)
        assert len(found.learned) == 2 * (len(SCANS) - len(found.judged))
    assert judged == set(SCANS)


def test_more_scans_hold_the_fewer(real: ViewStore) -> None:
    one, two = (set(split(real, 1, count).learned) for count in (1, 2))
    assert one < two
    assert (len(one), len(two)) == (2, 4)


def test_a_scan_without_a_fold_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"somebody.*folds\.csv"):
        split(store_of(tmp_path, {"somebody": {}}), 0)


def test_real_scans_have_their_share_of_the_draws(real: ViewStore, tmp_path: Path) -> None:
    virtual = store_of(tmp_path / "virtual", {f"thorax-{n:07d}": {"seed": str(n)} for n in range(3)})
    places = [*((real, study) for study in real.studies()), *((virtual, study) for study in virtual.studies())]
    weight = Taught(tuple(places), len(real), 0.25).weight
    np.testing.assert_allclose([weight[: len(real)].sum(), weight[len(real) :].sum()], [0.25, 0.75])


def test_a_training_goes_on_and_its_donors_are_real(real: ViewStore, tmp_path: Path) -> None:
    virtual = store_of(tmp_path / "virtual", {f"thorax-{n:07d}": {"seed": str(n)} for n in range(3)})
    places = [*((real, study) for study in real.studies()), *((virtual, study) for study in virtual.studies())]
    torch.manual_seed(0)
    start = WorldModel(WorldModel.from_pretrained("tiny").vision, VolumetricTransition(CONFIG).eval())
    taught = Taught(tuple(places), len(real), 0.5)
    found = [train_on(taught, start, 4, steps=2, seed=0, out=tmp_path / "run") for _ in range(2)]
    first, second = (model.transition.state_dict() for model in found)  # the second finds the first one's checkpoint
    for name, value in first.items():
        torch.testing.assert_close(second[name], value)
    transition = found[0].transition
    assert isinstance(transition, VolumetricTransition)
    assert transition.config == replace(CONFIG, donors=4)
    totals = {round(float(real_p.sum(axis=0).mean()), 3) for real_p in (taught[n][0] for n in range(len(real)))}
    assert all(any(abs(float(p.mean()) - total) < 2e-3 for total in totals) for p in transition.donor_p)


def cohort(names: tuple[str, ...], gain: float) -> Cohort:
    mse = np.full((len(names), len(STANDARD_ARC)), 1e-2)
    ours, theirs = Scores(mse * 10 ** (-gain / 10), mse), Scores(mse, mse)
    return Cohort(STANDARD_ARC, 0.0, list(names), [FROM_CT] * len(names), {"ours": ours}, {"mean_view": theirs})


def test_whole_and_cut_scans_apart() -> None:
    both = joined([cohort(SCANS[:3], 1.0), cohort(SCANS[3:], -2.0)])
    found = by_range(both, "ours", 0)
    assert found["whole"]["mean_view"]["ahead_by_far"]["mean"] == pytest.approx(1.0)
    assert found["cut"]["best"]["ahead_by_near"]["mean"] == pytest.approx(-2.0)
    assert found[ALL]["mean_view"]["ahead"] == 3
    assert found[ALL]["mean_view"]["far"]["mean"] == pytest.approx(20.0)
    assert "3 of 4" in markdown(found)
