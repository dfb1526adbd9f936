"""Which findings come together: odds ratios among virtual patients, and in the reports of ChestX-ray14."""

import csv
from itertools import combinations
from pathlib import Path

import numpy as np

from ...phantoms import PATHOLOGIES, sample_patient

VIRTUAL = 5000  # patients; no volume is built for it


def compare(table: Path) -> list[dict[str, str | float]]:
    """A row for each pair of findings: the odds ratio of the virtual patients, and of the images that `table` lists."""
    virtual = np.array([list(sample_patient(seed).findings.labels().values()) for seed in range(VIRTUAL)])
    real = read_labels(table)
    rows: list[dict[str, str | float]] = []
    for i, j in combinations(range(len(PATHOLOGIES)), 2):
        both = int((real[:, i] * real[:, j]).sum())
        pair = f"{PATHOLOGIES[i]} and {PATHOLOGIES[j]}".replace("_", " ")
        odds = (odds_ratio(labels[:, i], labels[:, j]) for labels in (virtual, real))
        rows.append({"pair": pair, **dict(zip(("virtual", "real"), odds, strict=True)), "real_images_with_both": both})
    return rows


def read_labels(table: Path) -> np.ndarray:
    """0 and 1, (n, 5), columns as `PATHOLOGIES`."""
    columns = [name.replace("_", " ").title().replace(" ", "") for name in PATHOLOGIES]
    with table.open(newline="", encoding="utf-8") as file:
        return np.array([[int(row[name]) for name in columns] for row in csv.DictReader(file)])


def odds_ratio(a: np.ndarray, b: np.ndarray) -> float:
    """Of two columns of 0 and 1, with a half added to each cell (Haldane 1956, Anscombe 1956)."""
    cells = np.bincount(2 * a.astype(int) + b.astype(int), minlength=4) + 0.5
    return float(cells[3] * cells[0] / (cells[1] * cells[2]))
