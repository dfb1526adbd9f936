"""Cardiovascular risk: what is on the scan, and what happens afterwards. Two labels that are never mixed.

`cvd_prevalent` is a fact about the scan: calcium or heart size beyond a threshold. `Outcome` is a fact about the years
that follow: a cardiovascular event, another death or the end of follow-up, from a proportional-hazards model:

    hazard of an event, t years after the scan = EVENT.rate exp(EVENT.slope (age - 60 + t)) exp(log hazard ratio)
    log hazard ratio = EVENT.female [woman] + SPREAD (sqrt(frontal) F + sqrt(depth) D + sqrt(hidden) H)

Age is the time scale of the Gompertz baseline, so age and sex stand outside the dial: they are known without an image.
F, D and H have mean 0 and variance 1 and are uncorrelated with each other and with age and sex, so the shares of the
`Dial` are the shares of the variance of the log hazard that the image could explain:

- F, what a frontal view shows: size of the heart, width of the aorta, calcium of the aortic wall (the arch's is a
  classic finding of the frontal chest film; that it predicts events, Iribarren, JAMA 283:2810, 2000, is from memory,
  not verified; that it goes with vascular disease: doi 10.1159/000323285), fat, emphysema;
- D, what needs depth: calcium of the coronaries and the valves, which the frontal view lays over heart and spine, and
  the density of bone, a vertebra's being hidden behind the heart. It is what is left of these after regression on age,
  sex and everything in F: the part that could be guessed from a frontal view counts as frontal.
- H, a frailty that no image shows.

Depth is a matter of degree. A projection blurs what lies in the depth and does not erase it: dense plaques reach a
frontal view, and ribs thin with the vertebrae. D says where the information is, not that a frontal holds none of it.

With the default dial a doubling of 1 + coronary score multiplies the hazard by 1.20; MESA reports 1.15 to 1.35 of major
coronary events and 1.18 to 1.39 of any (Detrano, N Engl J Med 358:1336, 2008). The other weights, all baselines and
the losses are set by hand. The whole is a model for experiments, not a risk calculator. It is frozen: `fingerprint` is
the hash of every number in it, and a change is a new `VERSION`, not an edit.
"""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import NamedTuple

import numpy as np

from ..core.errors import UsageError
from ..core.seeds import FIRST_TEST_SEED, SPLIT_SHARES, split_of
from .patient import Patient

VERSION = 2
FINGERPRINT = "471c86bc98015035e6f2abfbe25b07b9ce93c707b1d125075cd60429285ad6ca"


@dataclass(frozen=True)
class Dial:
    """Shares of the variance of the image's part of the log hazard; they add up to 1."""

    frontal: float = 0.35
    depth: float = 0.45
    hidden: float = 0.20

    def __post_init__(self) -> None:
        """Refuse what are no shares.

        Raises:
            UsageError: a share is negative, or they do not add up to 1.
        """
        shares = (self.frontal, self.depth, self.hidden)
        if not min(shares) >= 0 or not abs(sum(shares) - 1) < 1e-6:
            raise UsageError(f"the dial's shares must not be negative and must add up to 1, got {shares}")


DIAL = Dial()
SPREAD = 1.0  # standard deviation of the image's part of the log hazard: 1 SD is a hazard ratio of 2.7


class Gompertz(NamedTuple):
    """A hazard that grows exponentially with age: `rate` a year for a man of 60, times exp(`slope`) each year."""

    rate: float
    slope: float
    female: float  # log hazard ratio of women


EVENT = Gompertz(0.010, 0.070, -0.45)  # doubles in 10 years
OTHER_DEATH = Gompertz(0.009, 0.095, -0.35)  # doubles in 7.3 years; adult mortality in 8 to 10
FOLLOW_UP_YEARS = 10.0  # then everyone is censored
LOST_A_YEAR = 0.02  # hazard of leaving before

# Beyond these the scan is abnormal; all are chosen. Coronary: MESA's highest class (> 300: Detrano 2008). Aortic valve:
# the lower quartile of moderate stenosis (427; median 861: Clavel, doi 10.1016/j.jacc.2013.08.1621, 2013), a third of
# the guidelines' 1200 for a likely severe one in women. Mitral annulus: the same number, and the aorta's, after no
# source. Heart: moderately enlarged.
PREVALENT = {
    "coronary": 300.0,
    "aortic": 1000.0,
    "aortic_valve": 400.0,
    "mitral_annulus": 400.0,
    "cardiomegaly": 0.5,
}

# Weight of a standard deviation of each factor within its group, and the standard deviation (see `fit`).
FRONTAL = {"heart": 0.35, "aorta_mm": 0.30, "aortic_calcium": 0.30, "fat_mm": 0.20, "emphysema": 0.25}
DEPTH = {"coronary_calcium": 0.60, "aortic_valve_calcium": 0.25, "mitral_calcium": 0.20, "thin_bone": 0.20}
SD = {
    "heart": 0.06234,
    "aorta_mm": 3.434,
    "aortic_calcium": 2.573,
    "fat_mm": 9.23,
    "emphysema": 0.08439,
    "coronary_calcium": 2.522,
    "aortic_valve_calcium": 1.705,
    "mitral_calcium": 1.434,
    "thin_bone": 0.191,
}
FRONTAL_KNOWN = (4.6109, 0.237, 0.0345, -0.0342, -0.009)
FRONTAL_SCALE = 0.6223
DEPTH_KNOWN = (-0.3261, 0.3676, 0.032, -0.4251, -0.0439, 0.002, 0.003, 0.2754, -0.0048, 0.0006)
DEPTH_SCALE = 0.6066

_FRAILTY, _OUTCOME = 20, 21  # streams of random numbers of a patient's seed


class Components(NamedTuple):
    """The standardised parts of a patient's log hazard: mean 0, variance 1, uncorrelated."""

    frontal: float
    depth: float
    hidden: float


class Outcome(NamedTuple):
    """How follow-up ended: 0 censored, 1 a cardiovascular event, 2 another death; and when, years after the scan."""

    event: int
    time_years: float


def cvd_prevalent(patient: Patient) -> int:
    """1 if the scan shows a cardiovascular abnormality beyond a threshold of `PREVALENT`, else 0."""
    shown = {**asdict(patient.burden), "cardiomegaly": patient.findings.cardiomegaly}
    return int(any(shown[name] >= limit for name, limit in PREVALENT.items()))


def factors(patient: Patient) -> dict[str, float]:
    """What the hazard is made of, in the units of the body; Agatston scores as log(1 + score)."""
    body, burden = patient.body, patient.burden
    return {
        "heart": patient.cardiothoracic_ratio,
        "aorta_mm": body.aorta_mm * burden.aorta_growth,
        "aortic_calcium": float(np.log1p(burden.aortic)),
        "fat_mm": body.fat_mm,
        "emphysema": burden.emphysema,
        "coronary_calcium": float(np.log1p(burden.coronary)),
        "aortic_valve_calcium": float(np.log1p(burden.aortic_valve)),
        "mitral_calcium": float(np.log1p(burden.mitral_annulus)),
        "thin_bone": -burden.bone,
    }


def components(patient: Patient) -> Components:
    """F, D and H of a patient."""
    known, frontal, depth = _terms(patient)
    hidden = np.random.default_rng([patient.seed, _FRAILTY]).standard_normal()
    return Components(
        frontal=float((frontal @ list(FRONTAL.values()) - known @ FRONTAL_KNOWN) / FRONTAL_SCALE),
        depth=float((depth @ list(DEPTH.values()) - np.append(known, frontal) @ DEPTH_KNOWN) / DEPTH_SCALE),
        hidden=float(hidden),
    )


def log_hazard_ratio(patient: Patient, dial: Dial = DIAL) -> float:
    """Log hazard ratio of a cardiovascular event against a man of the same age with an average image."""
    shares = np.sqrt([dial.frontal, dial.depth, dial.hidden])
    return float(EVENT.female * patient.female + SPREAD * (shares @ components(patient)))


def hazards(patient: Patient, dial: Dial = DIAL) -> tuple[float, float]:
    """Hazards a year, at the time of the scan, of a cardiovascular event and of another death."""
    event = EVENT.rate * np.exp(EVENT.slope * (patient.age - 60) + log_hazard_ratio(patient, dial))
    death = OTHER_DEATH.rate * np.exp(OTHER_DEATH.slope * (patient.age - 60) + OTHER_DEATH.female * patient.female)
    return float(event), float(death)


def sample_outcome(rng: np.random.Generator, patient: Patient, dial: Dial = DIAL) -> Outcome:
    """Draw the follow-up of a patient: whatever comes first of event, other death, loss and the end of the study."""
    chances, lost = rng.exponential(size=2), rng.exponential()
    event, death = hazards(patient, dial)
    times = {
        1: _gompertz_time(chances[0], event, EVENT.slope),
        2: _gompertz_time(chances[1], death, OTHER_DEATH.slope),
        0: min(FOLLOW_UP_YEARS, lost / LOST_A_YEAR),
    }
    first = min(times, key=lambda kind: times[kind])
    return Outcome(first, float(times[first]))


def outcome(patient: Patient, dial: Dial = DIAL) -> Outcome:
    """The follow-up of a patient: always the same for a seed and a dial.

    Another dial meets the same chances, so that outcomes under two dials can be compared in pairs.
    """
    return sample_outcome(np.random.default_rng([patient.seed, _OUTCOME]), patient, dial)


def event_risk(patient: Patient, years: float = FOLLOW_UP_YEARS, dial: Dial = DIAL) -> float:
    """The true probability of a cardiovascular event within so many years, before another death and if none is lost."""
    t = np.linspace(0, years, 201)
    event, death = hazards(patient, dial)
    alive = np.exp(-event * np.expm1(EVENT.slope * t) / EVENT.slope)
    alive *= np.exp(-death * np.expm1(OTHER_DEATH.slope * t) / OTHER_DEATH.slope)
    density = event * np.exp(EVENT.slope * t) * alive
    return float(((density[1:] + density[:-1]) / 2).sum() * (t[1] - t[0]))


def fingerprint() -> str:
    """SHA-256 of every number that events and splits follow from."""
    numbers = {
        "version": VERSION,
        "dial": asdict(DIAL),
        "spread": SPREAD,
        "event": EVENT,
        "other_death": OTHER_DEATH,
        "censoring": [FOLLOW_UP_YEARS, LOST_A_YEAR],
        "prevalent": PREVALENT,
        "frontal": [FRONTAL, FRONTAL_KNOWN, FRONTAL_SCALE],
        "depth": [DEPTH, DEPTH_KNOWN, DEPTH_SCALE],
        "sd": SD,
        "streams": [_FRAILTY, _OUTCOME],
        "splits": [SPLIT_SHARES, FIRST_TEST_SEED, [split_of(seed) for seed in range(50)]],
    }
    return hashlib.sha256(json.dumps(numbers, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def fit(patients: Iterable[Patient]) -> dict[str, object]:
    """The constants of standardisation for a population, by least squares.

    The committed ones are of 20,000 patients, `fit(map(sample_patient, range(20_000)))`. If the way patients are
    sampled changes, they have to be fitted again, as a new `VERSION`.
    """
    people = list(patients)
    raw = [factors(patient) for patient in people]
    sd = {name: float(np.std([row[name] for row in raw])) for name in (*FRONTAL, *DEPTH)}
    known = np.array([_known(patient) for patient in people])
    frontal, depth = (np.array([[row[n] / sd[n] for n in names] for row in raw]) for names in (FRONTAL, DEPTH))

    def residual(score: np.ndarray, on: np.ndarray) -> tuple[list[float], float]:
        weights = np.linalg.lstsq(on, score, rcond=None)[0]
        return [round(float(w), 4) for w in weights], round(float((score - on @ weights).std()), 4)

    frontal_known, frontal_scale = residual(frontal @ list(FRONTAL.values()), known)
    depth_known, depth_scale = residual(depth @ list(DEPTH.values()), np.hstack([known, frontal]))
    return {
        "SD": {name: float(f"{value:.4g}") for name, value in sd.items()},
        "FRONTAL_KNOWN": frontal_known,
        "FRONTAL_SCALE": frontal_scale,
        "DEPTH_KNOWN": depth_known,
        "DEPTH_SCALE": depth_scale,
    }


def _known(patient: Patient) -> list[float]:
    """What is known without an image: 1, age in decades from 60 and its square, sex, and age in women."""
    decades, female = (patient.age - 60) / 10, float(patient.female)
    return [1.0, decades, decades**2, female, decades * female]


def _terms(patient: Patient) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """What is known, and the factors of both groups in standard deviations."""
    raw = factors(patient)
    frontal, depth = (np.array([raw[name] / SD[name] for name in names]) for names in (FRONTAL, DEPTH))
    return np.array(_known(patient)), frontal, depth


def _gompertz_time(chance: float, hazard: float, slope: float) -> float:
    """When the cumulative hazard, hazard (exp(slope t) - 1) / slope, reaches an exponential variate."""
    return float(np.log1p(slope * chance / hazard) / slope)
