"""What `predict` says of one radiograph, and how a film gets into the model: from the front, or with a lateral."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from xray2xray.core.errors import InputError, UsageError
from xray2xray.data.inputs import Input
from xray2xray.projection.geometry import preset
from xray2xray.projection.render import render
from xray2xray.radiograph.display import radiograph, save_png
from xray2xray.session.prediction import prediction
from xray2xray.session.session import Session
from xray2xray.session.study import open_procedural

SEED = 1_000_003


@pytest.fixture(scope="module")
def session() -> Session:
    return Session.open()


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A virtual patient's frontal, the same upside down, and the left lateral."""
    folder = tmp_path_factory.mktemp("films")
    chest = open_procedural(SEED, preset("chest", 128)).volume
    assert chest is not None
    for name, gray in zip(("chest", "side"), radiograph(render(chest, preset("chest", 256), [0.0, 90.0])), strict=True):
        save_png(folder / f"{name}.png", gray)
    Image.open(folder / "chest.png").rotate(180).save(folder / "down.png")
    return folder


def test_everything_is_said_and_nothing_of_disease(session: Session, films: Path) -> None:
    said = prediction(session, Input("chest", films / "chest.png"), samples=3)
    assert json.loads(json.dumps(said, allow_nan=False)) == said
    assert said["quality"]["refused"] is None
    assert said["view"] == {"taken": "PA", "entered_at_deg": 0.0}
    assert any("assumed to be PA" in note for note in said["assumed"])
    anatomy = said["anatomy"]
    assert 0.3 < anatomy["cardiothoracic_ratio"]["value"] < 0.8
    low, high = anatomy["ap_diameter"]["interval_95"]
    assert low < anatomy["ap_diameter"]["value"] < high
    assert 100 < anatomy["ap_diameter"]["value"] < 400
    assert set(said["unlike_training"]) == {"pixels", "vision_model", "imagined_anatomy"}
    words = json.dumps(said)
    assert not any(name in words for name in ("atelectasis", "cardiomegaly", "edema", "risk", "cvd"))


def test_of_what_the_gate_refuses_there_is_no_anatomy_unless_forced(session: Session, films: Path) -> None:
    down = Input("down", films / "down.png")
    said = prediction(session, down, samples=2)
    assert "upside down" in said["quality"]["refused"]
    assert said["anatomy"] is None
    assert prediction(session, down, samples=2, force=True)["anatomy"] is not None
    with pytest.raises(InputError, match=r"down\.png: this film is upside down; turn it by 180 degrees"):
        session.analyse(films / "down.png")


def test_an_ap_film_is_entered_from_the_front(session: Session, films: Path) -> None:
    hung = session.study(films / "chest.png", view="ap")
    result = session.analyse(hung, yaw_deg=[180.0, 90.0])
    assert result.input_yaw_deg == 180
    assert np.array_equal(result.input_p, hung.view_p[:, ::-1])
    assert np.array_equal(result.shown_p, hung.view_p), "it is shown as it is hung"
    assert result.asked is not None
    assert np.allclose(result.asked.predicted_p[0], result.input_p)
    pa = session.analyse(films / "chest.png", view="pa", yaw_deg=[90.0])
    assert pa.asked is not None
    alike = np.corrcoef(result.asked.predicted_p[1].ravel(), pa.asked.predicted_p[0].ravel())[0, 1]
    assert alike > 0.9, "both are the left lateral of one patient"
    assert result.out_of_distribution is not None
    assert pa.out_of_distribution is not None
    assert result.out_of_distribution.error == pytest.approx(pa.out_of_distribution.error, rel=1e-3)


def test_samples_have_a_spread_and_a_lateral_is_kept(session: Session, films: Path) -> None:
    result = session.analyse(films / "chest.png", yaw_deg=[0.0, 45.0], samples=2)
    assert result.samples_p is not None
    assert result.samples_p.shape == (2, 37, 128, 128)
    assert result.asked is not None
    assert result.asked.samples_p is not None
    spread = result.asked.samples_p.std(axis=0)
    assert spread[0].max() < 1e-3, "all samples agree with the given view"
    assert spread[1].max() > 0.05
    two = session.analyse(films / "chest.png", lateral=films / "side.png")
    assert any("assumed to be a left lateral" in note for note in two.notes)
    assert two.samples_p is None, "the sampler knows one frontal and nothing else"
    lateral = two.predicted_p[-1]
    truth = open_procedural(SEED, session.geometry).truth_p([90.0])
    assert truth is not None
    alone = session.analyse(films / "chest.png").predicted_p[-1]
    likeness = [np.corrcoef(one.ravel(), truth[0].ravel())[0, 1] for one in (lateral, alone)]
    assert likeness[0] > likeness[1], "the lateral tells more than the frontal alone"
    with pytest.raises(UsageError, match="give one frontal"):
        session.analyse(films / "chest.png", lateral=films / "side.png", samples=2)
    with pytest.raises(UsageError, match="every view is rendered"):
        session.analyse(open_procedural(SEED, session.geometry), lateral=films / "side.png")
