"""What years leave behind: calcium, emphysema, a wide aorta, thin bone. They drive cardiovascular risk and show in CT.

Calcium is drawn after published distributions (docs/reference/sources.md). Whether there is any follows age
and sex (a logistic model), how much there is is lognormal and grows with age:

- coronary: percentiles 50, 75 and 90 of the Agatston score are 41, 193 and 557 in men, 1, 24 and 140 in women of 45 to
  74 years (Erbel, Eur Heart J 35:2960, 2014, Heinz Nixdorf Recall); 82 % of men and 55 % of women have some (from
  memory, not verified; 67 or 68 % of both). It grows with age as in MESA (McClelland, doi
  10.1161/CIRCULATIONAHA.105.580696, 2006; the slopes are chosen); from 75 years 62 % exceed 100 (ARIC and MESA, doi
  10.1161/CIRCIMAGING.122.015145, 2023);
- thoracic aorta: 28 %, women a little more often (Takasu, Am Heart J 155:765, 2008, MESA, arch not scanned; with 63 %
  Heinz Nixdorf Recall found far more, and men more often: Kälsch, Int J Cardiovasc Imaging 29:207, 2013);
- aortic valve 13 %, more often in men (Owens, Am J Cardiol 105:701, 2010), mitral annulus 9 %, more often in women
  (Elmariah, Am Heart J 166:904, 2013); shares, and medians of 56 and 71 where there is any: Elmariah, JACC Cardiovasc
  Imaging 5:781, 2012 (all MESA).

One trait of the person, how prone the arteries are to calcify, ties the four together beyond age and sex. Emphysema and
the aorta's width are drawn wider than in the population on purpose: a model has to see enough of them.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy.special import expit, ndtr, ndtri


@dataclass(frozen=True)
class Burden:
    """Calcium as Agatston-like scores (0 = none; see `calcium` for what a unit is in mm3); the defaults are healthy."""

    coronary: float = 0.0
    aortic: float = 0.0  # wall of the thoracic aorta
    aortic_valve: float = 0.0
    mitral_annulus: float = 0.0
    unfolding: float = 0.0  # 0..1: how far the thoracic aorta has widened, risen and swung to the left
    emphysema: float = 0.0  # share of the lung's volume, 0..0.4
    bone: float = 1.0  # factor on the density of bone

    @property
    def aorta_growth(self) -> float:
        """Factor by which unfolding widens the aorta."""
        return 1 + 0.3 * self.unfolding


class _Calcium(NamedTuple):
    """Of one site at 60 years. `prone` is the correlation with the person's trait."""

    logit: float  # log odds that there is any, in men
    logit_female: float  # what a woman adds
    logit_year: float  # what a year adds
    log_median: float  # of the score where there is any, in men
    log_female: float
    log_year: float
    log_sd: float
    prone: float


_CORONARY = _Calcium(1.25, -1.30, 0.09, 4.2, -1.0, 0.075, 1.75, 0.8)
_AORTIC = _Calcium(-1.35, 0.15, 0.13, 4.7, 0.0, 0.05, 1.60, 0.6)
_AORTIC_VALVE = _Calcium(-2.00, -0.60, 0.10, 4.0, -0.1, 0.04, 1.50, 0.4)
_MITRAL_ANNULUS = _Calcium(-3.00, 0.40, 0.11, 3.8, 0.0, 0.04, 1.60, 0.3)
HIGHEST_SCORE = 5000.0
_EMPHYSEMA = 0.40  # the largest share of the lung


def sample_burden(rng: np.random.Generator, age: float, female: bool) -> Burden:
    """Draw a burden that grows with age.

    Args:
        rng: every number is drawn in any case, so that a change to one leaves the others as they were.
        age: years.
    """
    prone, *own = rng.standard_normal(8)
    decades = (age - 60) / 10

    def calcium(site: _Calcium, z: float) -> float:
        """The score at a quantile that is the trait's and the site's own, from a zero-inflated lognormal."""
        quantile = ndtr(site.prone * prone + np.sqrt(1 - site.prone**2) * z)
        absent = expit(-(site.logit + site.logit_female * female + site.logit_year * (age - 60)))
        if quantile <= absent:
            return 0.0
        log_median = site.log_median + site.log_female * female + site.log_year * (age - 60)
        log_score = log_median + site.log_sd * ndtri((quantile - absent) / (1 - absent))
        return float(np.clip(np.exp(log_score), 1.0, HIGHEST_SCORE))

    # Emphysema on CT: about one in three men and one in five women at 60; where there is any, a few percent of the lung
    # in most and a third of it in some. Chosen, after no source.
    healthy_lung = expit(0.7 + 0.7 * female - 0.4 * decades)
    diseased = (ndtr(own[4]) - healthy_lung) / (1 - healthy_lung)
    return Burden(
        coronary=calcium(_CORONARY, own[0]),
        aortic=calcium(_AORTIC, own[1]),
        aortic_valve=calcium(_AORTIC_VALVE, own[2]),
        mitral_annulus=calcium(_MITRAL_ANNULUS, own[3]),
        # Arch and ascending aorta widen, lengthen and uncurl with age (Redheuil, J Am Coll Cardiol 58:1262, 2011).
        unfolding=float(np.clip(0.35 + 0.17 * decades + 0.22 * own[5], 0, 1)),
        emphysema=float(0.02 + (_EMPHYSEMA - 0.02) * diseased**2.5) if diseased > 0 else 0.0,
        # Thoracic vertebrae: 222 +- 36 (women) and 215 +- 33 mg/ml (men) at 30 years (Budoff, Radiology 257:434, 2010,
        # volume from memory), falling by 0.75 (women) and 0.86 % a year (men; Mao, Acad Radiol, year 2017 from memory).
        # That women lose more here, 0.95 against 0.8 % of the norm, is chosen. 1 stands for a man of 60.
        bone=float(np.clip(1.0 + 0.03 * female - (0.08 + 0.015 * female) * decades + 0.16 * own[6], 0.5, 1.6)),
    )
