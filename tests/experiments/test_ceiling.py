"""The label ceiling: readers that must, and must not, find what was planted."""

import json
import re
import shlex
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from xray2xray.commands import cli
from xray2xray.commands.registry import verbs
from xray2xray.core.errors import InputError
from xray2xray.core.seeds import split_of
from xray2xray.data.rendering import Job, procedural_study, render_jobs
from xray2xray.data.store import ViewStore
from xray2xray.experiments.ceiling import __main__ as ceiling
from xray2xray.experiments.ceiling import network
from xray2xray.experiments.ceiling.__main__ import main
from xray2xray.experiments.ceiling.cohort import ENDPOINTS, SIDE, YAW_DEG, People, people, read_pictures, read_stores
from xray2xray.experiments.ceiling.network import read_with_network
from xray2xray.experiments.ceiling.objective import cox_loss
from xray2xray.experiments.ceiling.report import AGE_SEX, ORACLE, READERS, summary, words
from xray2xray.experiments.ceiling.score import Score, concordance, score
from xray2xray.experiments.ceiling.tables import linear, oracle
from xray2xray.projection import preset
from xray2xray.statistics.resampling import draw_patients

SPLITS = ("train", "validation", "test")


@pytest.fixture(scope="module")
def crowd() -> People:
    return people(range(1200))


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory, crowd: People) -> ViewStore:
    """A few patients of each split, so that every endpoint has someone with it and someone without."""
    positive = np.column_stack([crowd.labels > 0, crowd.event])
    chosen: set[int] = set()
    for split in SPLITS:
        places = crowd.places(split)
        for column in positive[places].T:
            chosen |= {int(places[column][0]), int(places[~column][0])}
    made = ViewStore.create(tmp_path_factory.mktemp("ceiling") / "views", preset("chest", 2 * SIDE))
    jobs = [Job(procedural_study(seed), procedural_study(seed), seed=seed) for seed in sorted(chosen)]
    assert render_jobs(made, jobs, YAW_DEG, workers=1) == {}
    return made


def parts(crowd: People) -> tuple[People, People, People]:
    train, validation, test = (crowd[crowd.places(split)] for split in SPLITS)
    return train, validation, test


def test_splits_share_nobody(crowd: People) -> None:
    places = [crowd.places(split) for split in SPLITS]
    np.testing.assert_array_equal(np.sort(np.concatenate(places)), np.arange(len(crowd)))
    assert {split_of(int(seed)) for seed in crowd[places[0]].seeds} == {"train"}


def test_the_oracle_reads_labels_that_are_on_the_scan_and_age_does_not(crowd: People) -> None:
    train, validation, test = parts(crowd)
    counts = draw_patients(len(test), 20)
    known = score(linear((train.known, validation.known, test.known), train, validation)[None], test, counts).value
    true = score(oracle(train, validation, test)[None], test, counts).value
    assert (true[:6] > 0.97).all()
    assert (true[:7] > known[:7] + 0.03).all()
    assert true[6] < 0.9  # chance decides the rest of it


def test_depth_orders_events_better_than_the_frontal_part(crowd: People) -> None:
    frontal, depth, hidden = (
        concordance(h, crowd.event, crowd.time_years, np.ones((1, len(crowd))))[0] for h in crowd.log_hazard.T
    )
    assert 0.6 < frontal < depth - 0.02
    assert depth - 0.01 < hidden < 0.9


def test_cox_loss_of_three_patients() -> None:
    log_hazard = torch.tensor([0.3, -0.2, 0.9])
    event, time = torch.tensor([True, False, True]), torch.tensor([1.0, 2.0, 3.0])
    expected = np.log(np.exp([0.3, -0.2, 0.9]).sum()) - 0.3  # the last event is alone at risk: no surprise
    assert cox_loss(log_hazard, event, time).item() == pytest.approx(expected / 2, rel=1e-6)
    assert cox_loss(log_hazard, torch.zeros(3, dtype=torch.bool), time).item() == 0


def test_concordance_counts_pairs() -> None:
    rng = np.random.default_rng(0)
    hazard, event, time = rng.integers(0, 4, 30).astype(float), rng.random(30) < 0.4, rng.random(30)
    counts = rng.integers(0, 3, (5, 30)).astype(float)
    for draw, found in zip(counts, concordance(hazard, event, time, counts)):
        won = pairs = 0.0
        for i in np.flatnonzero(event):
            for j in np.flatnonzero(time > time[i]):
                pairs += draw[i] * draw[j]
                won += draw[i] * draw[j] * ((hazard[i] > hazard[j]) + 0.5 * (hazard[i] == hazard[j]))
        assert found == pytest.approx(won / pairs)
    nobody = concordance(hazard, np.zeros(30, bool), time, counts)
    assert np.isnan(nobody).all()


def test_the_network_finds_what_is_on_the_picture_and_never_sees_the_answers_of_the_test(crowd: People) -> None:
    some = crowd[np.arange(300)]
    pictures = 5 + np.random.default_rng(1).normal(0, 0.3, (300, 1, SIDE, SIDE)).astype(np.float32)
    pictures[some.labels[:, 1] > 0, :, 20:44, 20:44] += 2
    places = (some.places("train"), some.places("validation"), some.places("test"))
    found = read_with_network(pictures, some, places, steps=30)
    reached = score(found[:1], some[places[2]], draw_patients(len(places[2]), 5)).value
    assert reached[1] > 0.95
    assert reached[2] < 0.8  # nothing planted

    labels = some.labels.copy()
    labels[places[2]] = 1 - labels[places[2]]
    event = some.event.copy()
    event[places[2]] = ~event[places[2]]
    again = read_with_network(pictures, replace(some, labels=labels, event=event), places, steps=30)
    np.testing.assert_array_equal(found, again)


def test_pictures_are_averaged_and_other_patients_refused(store: ViewStore, tmp_path: Path, refused) -> None:
    seeds, pictures = read_pictures(store)
    assert pictures.shape == (len(store), 2, SIDE, SIDE)
    study = store.read(procedural_study(seeds[3]))
    blocks = study.views_p[1].reshape(SIDE, 2, SIDE, 2)
    np.testing.assert_allclose(pictures[3, 1], blocks.mean(axis=(1, 3)), rtol=1e-6)

    other = ViewStore.create(tmp_path / "other", store.geometry)
    with pytest.raises(InputError, match="no virtual patients"):
        read_pictures(other)
    other.write("ct", study.views_p, YAW_DEG)  # passed over
    other.write("patient", study.views_p, YAW_DEG, {"seed": seeds[2]})
    with pytest.raises(InputError, match="another generator"):
        read_pictures(other)
    other.write("patient", study.views_p[:1], [0.0], {"seed": seeds[3]})
    with pytest.raises(InputError, match="no view at 90 degrees"):
        read_pictures(other)


def test_of_several_stores_a_patient_counts_once(store: ViewStore, tmp_path: Path) -> None:
    other = ViewStore.create(tmp_path / "other", store.geometry)
    for name in store.studies()[:2]:
        shutil.copy(store.path(name), other.folder)
    seeds, pictures = read_stores([other, store])
    alone, seen = read_pictures(store)
    assert seeds == alone
    np.testing.assert_array_equal(pictures, seen)


def test_pictures_move_with_their_edges_continued() -> None:
    """By cutting each patient's window out of a wider picture."""
    pictures = torch.randn(5, 2, 12, 10, generator=torch.Generator().manual_seed(3))
    rng, again = (torch.Generator().manual_seed(4) for _ in range(2))
    found = network._moved(pictures, rng, rng)
    down, right = torch.randint(0, 2 * network.SHIFT + 1, (2, 5), generator=again).tolist()
    wide = torch.nn.functional.pad(pictures, [network.SHIFT] * 4, mode="replicate")
    cut = torch.stack([p[:, y : y + 12, x : x + 10] for p, y, x in zip(wide, down, right)])
    noise = torch.randn(cut.shape, generator=again)
    assert torch.equal(found, cut + network.NOISE * noise)
    assert len({*zip(down, right)}) > 1


def test_a_whole_run(store: ViewStore, tmp_path: Path) -> None:
    halves = [ViewStore.create(tmp_path / name, store.geometry) for name in ("one", "two")]
    for i, name in enumerate(store.studies()):
        shutil.copy(store.path(name), halves[i % 2].folder)
    folders = [str(half.folder) for half in halves]
    main([*folders, "--out", str(tmp_path), "--steps", "20", "--seeds", "2", "--batch", "8", "--device", "auto"])
    result = json.loads((tmp_path / "ceiling.json").read_text())
    assert (result["steps"], result["batch"]) == (20, 8)
    assert sum(result["patients"].values()) == len(store)
    assert list(result["readers"]) == list(READERS)
    assert all(0 <= found["value"] <= 1 for row in result["readers"].values() for found in row.values())
    assert list(result["learning"])[-1] == str(result["patients"]["train"])
    text = (tmp_path / "ceiling.md").read_text()
    assert all(f"| {reader} |" in text for reader in READERS)
    assert all(f"`{endpoint}`: a frontal" in text for endpoint in ENDPOINTS)


def test_too_few_patients_are_refused(store: ViewStore, tmp_path: Path, refused) -> None:
    few = ViewStore.create(tmp_path / "few", store.geometry)
    study = store.read(store.studies()[0])
    few.write(study.study, study.views_p, study.yaw_deg, study.labels)
    assert "render more patients" in refused(main, [few.folder, "--out", tmp_path / "out"])


def test_the_command_that_makes_the_store_is_understood() -> None:
    (command,) = (line for line in ceiling.__doc__.splitlines() if "xray2xray render" in line)
    known = verbs()
    verb, words_after = cli._split_verb(shlex.split(command)[1:], known)
    assert cli._parse(verb, known[verb], words_after)[0]["yaw_deg"] == list(YAW_DEG)


def test_words_follow_the_numbers(crowd: People) -> None:
    test = crowd[np.arange(100)]
    values = dict.fromkeys(READERS, 0.75) | {AGE_SEX: 0.6, ORACLE: 1.0}
    scores = {name: Score(np.full(8, value), np.full((8, 40), value)) for name, value in values.items()}
    true = dict.fromkeys(("frontal part", "+ depth", "+ hidden"), scores[ORACLE])
    flat = words(summary(scores, {50: scores[READERS[2]], 100: scores[READERS[2]]}, true, test))
    assert re.search(
        r"\+0\.25 \[\+0\.25, \+0\.25\](?: \([^)]*\))? was not read from a frontal, 50% of what there is to know",
        flat[0],
    )
    assert "may be chance" in flat[0]
    assert "no rise beyond chance" in flat[-1]
    rising = words(summary(scores, {50: scores[AGE_SEX], 100: scores[READERS[2]]}, true, test))
    assert "still rising" in rising[-1]
