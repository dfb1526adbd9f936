"""Which seeds of virtual patients belong to whom: the one rule that keeps training and tests apart.

World models are trained on seeds from 0, probes on seeds from `FIRST_PROBE_SEED`; everything is tested on seeds from
`FIRST_TEST_SEED`.
"""

import hashlib
from typing import Literal

FIRST_PROBE_SEED = 500_000
FIRST_TEST_SEED = 1_000_000

Split = Literal["train", "validation", "test"]
SPLIT_SHARES = (0.70, 0.10, 0.20)  # train, validation, test


def split_of(seed: int) -> Split:
    """The split of a patient, for models that are trained on a cohort of volumes.

    A pure function of the seed, so that cohorts made at different times, or overlapping, never disagree: below
    `FIRST_TEST_SEED` a hash deals 70 % to train, 10 % to validation and 20 % to test; from there on all is test. The
    packaged world model has seen patients below `FIRST_TEST_SEED` whatever their split: compare it with others on
    seeds from there only.
    """
    return "test" if seed >= FIRST_TEST_SEED else deal(seed)


def deal(patient: int | str) -> Split:
    """The split that a hash deals to a patient, by `SPLIT_SHARES`."""
    digest = hashlib.sha256(f"xray2xray split of patient {patient}".encode()).digest()
    place = int.from_bytes(digest[:8], "big") / 2**64
    train, validation, _ = SPLIT_SHARES
    return "train" if place < train else "validation" if place < train + validation else "test"
