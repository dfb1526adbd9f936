from pathlib import Path

import numpy as np
import pytest

from xray2xray.core.errors import InputError, UsageError
from xray2xray.core.evidence import RADIOGRAPH
from xray2xray.probing.survival import CoxHead
from xray2xray.statistics.concordance import harrell_c

RNG = np.random.default_rng(0)
X = RNG.normal(size=(160, 5))
TIME = np.ceil(40 * RNG.exponential(np.exp(-X[:, 0]))) / 4
EVENT = RNG.choice(3, 160, p=[0.4, 0.4, 0.2])


def test_predictions_are_curves_over_time() -> None:
    fitted = CoxHead("cvd", "volumetric").fit(X, TIME, EVENT)
    assert fitted.predict_risk(X).shape == (160,)
    times = np.linspace(0, fitted.last_, 7)
    free, incidence = fitted.predict_survival(X, times), fitted.predict_incidence(X, times)
    assert free.shape == incidence.shape == (160, 7)
    assert (free[:, 0] == 1).all()
    assert (incidence[:, 0] == 0).all()
    assert (np.diff(free, axis=1) <= 1e-12).all()
    assert (free + incidence <= 1 + 1e-9).all()
    assert fitted.score(X, TIME, EVENT) == harrell_c(TIME, EVENT, fitted.predict_risk(X))
    assert fitted.score(X, TIME, EVENT) > 0.6
    assert np.array_equal(CoxHead("cvd").fit(X, TIME, EVENT).predict_risk(X), fitted.predict_risk(X))


def test_heads_on_disk(tmp_path: Path) -> None:
    path = tmp_path / "head.npz"
    fitted = CoxHead("cvd", "volumetric").fit(X, TIME, EVENT)
    fitted.save(path)
    read = CoxHead.load(path)
    assert (read.label, read.features, read.evidence_level) == ("cvd", "volumetric", "virtual patient")
    assert np.array_equal(read.predict_incidence(X, [1, 3]), fitted.predict_incidence(X, [1, 3]))
    assert np.array_equal(read.predict_risk(X), fitted.predict_risk(X))
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(InputError, match=r"head\.npz"):
        CoxHead.load(path)
    fitted.save(tmp_path / "no ending")
    CoxHead.load(tmp_path / "no ending")
    np.save(tmp_path / "array.npy", np.zeros(3))
    with pytest.raises(InputError, match=r"array\.npy: is no usable"):
        CoxHead.load(tmp_path / "array.npy")
    with pytest.raises(InputError, match=r"gone\.npz"):
        CoxHead.load(tmp_path / "gone.npz")


def test_a_head_of_virtual_patients_refuses_a_real_radiograph(tmp_path: Path) -> None:
    virtual, real = CoxHead("cvd").fit(X, TIME, EVENT), CoxHead("cvd", evidence_level=RADIOGRAPH).fit(X, TIME, EVENT)
    virtual.save(tmp_path / "virtual.npz")
    real.save(tmp_path / "real.npz")
    for refusing in (virtual, CoxHead.load(tmp_path / "virtual.npz")):
        with pytest.raises(UsageError, match="cvd head was trained on virtual patients and refuses a real"):
            refusing.predict_risk(X, evidence_level=RADIOGRAPH)
        with pytest.raises(UsageError, match="refuses a real"):
            refusing.predict_survival(X, [1.0], evidence_level=RADIOGRAPH)
        with pytest.raises(UsageError, match="refuses a real"):
            refusing.predict_incidence(X, [1.0], evidence_level=RADIOGRAPH)
        with pytest.raises(UsageError, match="refuses a real"):
            refusing.score(X, TIME, EVENT, evidence_level=RADIOGRAPH)
        with pytest.raises(UsageError, match="no evidence level"):
            refusing.predict_risk(X, evidence_level="real radiographs")
    assert np.array_equal(
        CoxHead.load(tmp_path / "real.npz").predict_risk(X, evidence_level=RADIOGRAPH), virtual.predict_risk(X)
    )


def test_what_cannot_be_learned_from_is_refused_in_words() -> None:
    unfitted = CoxHead("cvd")
    with pytest.raises(UsageError, match="cvd head is not fitted"):
        unfitted.predict_risk(X)
    with pytest.raises(UsageError, match="cvd head is not fitted"):
        unfitted.save("never.npz")
    with pytest.raises(UsageError, match="a penalty is a number from 0, got -1"):
        CoxHead("cvd", penalty=-1.0).fit(X, TIME, EVENT)
    with pytest.raises(InputError, match="none of 160 patients had the event"):
        unfitted.fit(X, TIME, np.where(EVENT == 1, 0, EVENT))
    with pytest.raises(InputError, match="must not be negative"):
        unfitted.fit(X, -TIME, EVENT)
    with pytest.raises(InputError, match="159 features, 160 times"):
        unfitted.fit(X[1:], TIME, EVENT)
    with pytest.raises(InputError, match="160 times and 3 patients"):
        unfitted.fit(X, TIME, EVENT, patients=["a", "b", "c"])
    with pytest.raises(InputError, match="features hold NaN"):
        unfitted.fit(np.where(X > 2, np.nan, X), TIME, EVENT)
    rare = np.where(np.cumsum(EVENT == 1) > 3, 0, EVENT)
    rare[-1] = 2
    with pytest.raises(InputError, match="3 patients had the event; 4 are needed"):
        unfitted.fit(X, TIME, rare)


def test_what_cannot_be_predicted_is_refused_in_words() -> None:
    head = CoxHead("cvd", "volumetric").fit(X, TIME, EVENT)
    with pytest.raises(InputError, match="cvd head: it reads 5 volumetric features, got 3"):
        head.predict_risk(X[:, :3])
    for beyond in (-1.0, TIME.max() + 1, np.nan):
        with pytest.raises(InputError, match="follow-up lasted from 0 to"):
            head.predict_survival(X, [1.0, beyond])


def test_the_rows_of_a_patient_stay_on_one_side_of_the_split() -> None:
    """Copies of a patient on both sides would praise a penalty that learns patients by heart."""
    rng = np.random.default_rng(1)
    x, time, patients = rng.normal(size=(60, 100)), rng.exponential(size=60), np.arange(60)
    copies = [np.tile(a, (4, *[1] * (a.ndim - 1))) if a.ndim > 1 else np.tile(a, 4) for a in (x, time, patients)]
    event = np.ones(240)
    apart = CoxHead().fit(copies[0], copies[1], event, patients=copies[2])
    leaked = CoxHead().fit(copies[0], copies[1], event)
    assert apart.penalty_ >= 0.1 > leaked.penalty_
