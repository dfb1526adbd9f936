"""Who is labelled, who stops a training, and what is known of virtual patients without a picture."""

from pathlib import Path

import numpy as np
import pytest

from xray2xray.core.errors import InputError, UsageError
from xray2xray.data.store import ViewStore
from xray2xray.experiments.downstream import clinical
from xray2xray.experiments.downstream.cohort import read_cohort
from xray2xray.experiments.downstream.methods import held_out, method
from xray2xray.phantoms import sample_patient
from xray2xray.probing.endpoints import Endpoints
from xray2xray.projection.geometry import preset


def test_fewer_labels_are_among_the_more(store: Path) -> None:
    cohort = read_cohort(store)
    assert (len(cohort.rows("train")), len(cohort.rows("test"))) == (130, 80)
    few, many, other = cohort.labelled(40, 0), cohort.labelled(120, 0), cohort.labelled(40, 1)
    assert set(few) < set(many) <= set(cohort.rows("train"))
    assert set(few) != set(other)
    assert cohort.seen_in_training(2500, set()) == 0


def test_studies_of_one_ct_are_one_patient(tmp_path: Path) -> None:
    made = ViewStore.create(tmp_path / "views", preset("chest", 16))
    for i in range(40):
        label = {"edema": i // 2 % 2, "source_ct": f"ct-{i // 2}"}
        made.write(f"scan-{i:02d}", np.full((1, 16, 16), i / 10), [0.0], label)
    cohort = read_cohort(made.folder, ["edema"])
    assert len(cohort.studies) == 40, "all studies of each"
    assert len(set(cohort.patients)) == 20
    rows = cohort.labelled(3, 0)
    assert len(rows) == 6, "with a patient all studies are given"
    assert len(set(cohort.patients[rows])) == 3
    assert cohort.evidence_level == "rendered from real CT"
    with pytest.raises(InputError, match="no seed, so its true numbers are not known"):
        clinical.measured(cohort)
    with pytest.raises(InputError, match="columns age"):
        clinical.age_sex(cohort)


def test_both_sides_of_an_inner_split_know_both_classes_and_the_event() -> None:
    rng = np.random.default_rng(0)
    label, event = (rng.random((2, 60)) < 0.12).astype(float)
    truth = Endpoints.of({"edema": label}, rng.exponential(5, 60), event, 60)
    for seed in range(10):
        held = held_out(truth, seed)
        assert 12 <= held.sum() <= 20
        assert (event[held] == 1).sum() >= 4
        assert all(set(label[side]) == {0, 1} for side in (held, ~held))
    alone = Endpoints.of({"edema": np.eye(60)[0]}, None, None, 60)
    with pytest.raises(InputError, match="both sides"):
        held_out(alone, 0)


def test_clinical_numbers_are_the_patients(store: Path) -> None:
    cohort = read_cohort(store)
    patient = sample_patient(cohort.facts[0]["seed"])
    decades, _, female, _ = clinical.age_sex(cohort)[0]
    assert (60 + 10 * decades, female) == (pytest.approx(patient.age), float(patient.female))
    ctr, aorta_mm, lungs_cm2 = clinical.measured(cohort).T
    assert ctr[0] == patient.cardiothoracic_ratio
    assert 20 < aorta_mm.mean() < 40
    assert 250 < lungs_cm2.mean() < 550
    assert clinical.factors(cohort).shape == (210, 14)
    other = read_cohort(store)
    other.facts[0]["edema"] = 1 - other.facts[0]["edema"]
    with pytest.raises(InputError, match="not those of this generator"):
        clinical.measured(other)


def test_no_labels_and_negative_seeds_are_refused(store: Path) -> None:
    cohort = read_cohort(store)
    for n, seed in ((0, 0), (-5, 0), (10, -1)):
        with pytest.raises(UsageError, match="1 patient at least"):
            cohort.labelled(n, seed)


@pytest.mark.parametrize(
    ("name", "frontal_only", "knows_age"),
    [
        ("vision", True, False),
        ("age_sex+volumetric", True, True),
        ("age_sex", False, True),
        ("vision+lateral", False, False),
        ("age_sex+factors", False, True),
        ("read_factors", False, False),
        ("attentive:hidden@3", True, False),
        ("convnext", True, False),
    ],
)
def test_what_a_method_may_know(name: str, frontal_only: bool, knows_age: bool) -> None:
    found = method(name)
    assert (found.frontal_only, found.knows_age) == (frontal_only, knows_age)
