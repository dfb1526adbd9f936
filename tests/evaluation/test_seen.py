"""A test case that is in the training store is noticed, by its name and by its looks."""

import logging
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from xray2xray.data.store import ViewStore
from xray2xray.evaluation.seen import watched
from xray2xray.projection.geometry import STANDARD_ARC, preset


@dataclass(frozen=True)
class Case:
    name: str
    views_p: np.ndarray


def views(seed: int) -> np.ndarray:
    """Smooth pictures (37, 32, 32) of p from 0 to 6."""
    coarse = np.random.default_rng(seed).uniform(0, 6, (len(STANDARD_ARC), 8, 8))
    return np.kron(coarse, np.ones((4, 4))).astype(np.float32)


@pytest.fixture
def store(tmp_path: Path) -> Path:
    made = ViewStore.create(tmp_path / "store", preset("chest", 32))
    for seed in (0, 1):
        made.write(f"patient-{seed}", views(seed), STANDARD_ARC)
    return made.folder


def said(cases: list[Case], stores: list[Path], caplog: pytest.LogCaptureFixture) -> list[str]:
    with caplog.at_level(logging.WARNING, logger="xray2xray"):
        assert [case.name for case in watched(cases, stores)] == [case.name for case in cases]
    return [record.getMessage() for record in caplog.records]


def test_others_pass_in_silence(store: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert said([Case("patient-2", views(2))], [store], caplog) == []
    assert said([Case("patient-0", views(0))], [], caplog) == [], "no store, nothing was learned from"


def test_the_same_name_and_the_same_looks_are_noticed(store: Path, caplog: pytest.LogCaptureFixture) -> None:
    alike = (views(1) * 0.9 + 0.2).astype(np.float32)  # of another grey scale
    told = said([Case("patient-0", views(7)), Case("renamed", alike)], [store], caplog)
    assert [line.split(":")[0] for line in told] == [
        "patient-0 is called like patient-0 in the training store",
        "renamed looks like patient-1 in the training store",
    ]
