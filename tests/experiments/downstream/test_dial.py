import json

import numpy as np
import pytest
import torch

from xray2xray.data.store import ViewStore
from xray2xray.experiments.downstream.cohort import read_cohort
from xray2xray.experiments.downstream.dial import FRONTAL_SHARES, METHODS, followed, main
from xray2xray.models.transitions import DirectConfig, DirectTransition
from xray2xray.models.vision import VisionConfig, VisionModel
from xray2xray.models.world_model import WorldModel
from xray2xray.phantoms import patient_labels, sample_patient
from xray2xray.phantoms.risk import Dial, components
from xray2xray.projection import preset

SIZE, TRAIN, TEST = 32, range(240), range(1_000_000, 1_000_120)


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """The lateral shows, in one spot, what of the hazard takes depth; the frontal shows nothing."""
    made = ViewStore.create(tmp_path_factory.mktemp("dial") / "views", preset("chest", SIZE))
    rng = np.random.default_rng(0)
    for seed in [*TRAIN, *TEST]:
        views = 3 + rng.normal(0, 0.1, (2, SIZE, SIZE)).clip(-0.5, 0.5)
        views[1, 8:24, 8:24] += components(sample_patient(seed)).depth
        made.write(f"thorax-{seed:07d}", views, [0.0, 90.0], {"seed": seed, **patient_labels(seed)})
    return made.folder


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    vision = VisionConfig(size=SIZE, widths=(8, 16), blocks=(1, 1), head_width=4, latent_dim=8, codebook_size=16)
    direct = DirectConfig(vision.tokens, vision.latent_dim, 32, 2, 1, 1, 16, 2, 4, 4)
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("model")
    WorldModel(VisionModel(vision), DirectTransition(direct), {"patients": 0}).save_pretrained(folder)
    return folder


def test_follow_up_is_that_of_the_dial(store):
    cohort = read_cohort(store)
    depth = np.array([components(sample_patient(fact["seed"])).depth for fact in cohort.facts])
    high = depth > np.median(depth)
    rates = {}
    for share in (0.0, 1.0):
        _, event = followed(cohort, Dial(share, 1 - share, 0.0))
        rates[share] = [(event[side] == 1).mean() for side in (high, ~high)]
    assert rates[0.0][0] > 2 * rates[0.0][1], "the hazard is all depth"
    assert rates[1.0][0] < 1.6 * rates[1.0][1], "it is none of it"


def test_the_true_lateral_gains_as_the_hazard_takes_depth(store, source, tmp_path):
    main([str(store), "--out", str(tmp_path), "--labels", "150", "--seeds", "0", "--source", str(source)])
    rows = json.loads((tmp_path / "dial.json").read_text())["rows"]
    assert [(row["frontal"], row["method"]) for row in rows] == [(s, m) for s in FRONTAL_SHARES for m in METHODS]
    lateral = {row["frontal"]: row for row in rows if row["method"] == "vision+lateral"}
    assert lateral[0.0]["harrell_c"] > 0.65
    assert lateral[0.0]["over_vision"] > lateral[1.0]["over_vision"] + 0.05
    assert "| `vision+lateral` less `vision` |" in (tmp_path / "dial.md").read_text()
    assert (tmp_path / "dial.png").stat().st_size > 5000


def test_no_store_is_one_clear_line(tmp_path, refused):
    assert "nowhere" in refused(main, [tmp_path / "nowhere", "--out", tmp_path / "out"])
