"""Does an adapter erase a finding, or invent one? Asked of virtual patients, rendered with and without it."""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import count, islice
from typing import Any

import numpy as np
import torch
from scipy.ndimage import gaussian_filter
from sklearn.isotonic import IsotonicRegression

from ...core.seeds import FIRST_TEST_SEED
from ...models.adaptation import Adapter
from ...models.adaptation.appearance import Appearance, randomise
from ...models.vision.normalise import from_network
from ...parallel.progress import progress
from ...phantoms import PATHOLOGIES, Findings, Patient, make_volume, sample_patient
from ...projection.geometry import preset
from ...projection.render import render
from .domain import network_values
from .objective import lung_window

LOOK = Appearance(shift=0, zoom=1, ap=0, collimation=0)  # as a radiograph might look; what is where stays
VISIBLE_P = 0.3  # a finding whose shadow, smoothed, is nowhere denser than this is not asked for
ERASED = 0.5  # share of its contrast that a finding must keep
SMOOTH = 2.0  # pixels: what is finer is noise


def having(finding: str) -> Iterator[Patient]:
    """Test patients with a finding, by seed."""
    patients = map(sample_patient, count(FIRST_TEST_SEED))
    return (patient for patient in patients if getattr(patient.findings, finding) > 0)


def without(findings: Findings, finding: str) -> Findings:
    """The same but for one finding."""
    absent: dict[str, Any] = {"pleural_effusion": {"effusion_right": 0.0, "effusion_left": 0.0}}
    return replace(findings, **absent.get(finding, {finding: 0.0}))


def looks(size: int, n: int) -> Iterator[tuple[str, np.ndarray]]:
    """Of n patients with each finding: its name, and the frontal with it and without, (2, size, size) p, under one
    random look."""
    geometry = preset("chest", size)
    chosen = [(finding, patient) for finding in PATHOLOGIES for patient in islice(having(finding), n)]
    for finding, patient in progress(chosen, "findings"):
        twin = replace(patient, findings=without(patient.findings, finding))
        pair_p = [render(make_volume(one)[0], geometry, (0.0,)) for one in (patient, twin)]
        seeded = (torch.Generator().manual_seed(patient.seed) for _ in pair_p)
        seen = [randomise(network_values(p), LOOK, generator) for p, generator in zip(pair_p, seeded, strict=True)]
        yield finding, from_network(torch.cat(seen))[:, 0].numpy()


def erased_and_invented(adapter: Adapter, pairs: Iterable[tuple[str, np.ndarray]]) -> dict[str, Any]:
    """Shares of patients whose finding is erased, and who get a shadow that they have not.

    A finding is erased where the adapter keeps less than half of its contrast (the regression of the difference after
    on the difference before); invented is a shadow that no curve of grey values explains: where the adapted picture
    without the finding leaves the best rising curve of its input by more than `VISIBLE_P` about the lungs.

    Args:
        pairs: a finding and (2, size, size) p with it and without, as `looks` gives them.

    Returns:
        `findings`: for each one `visible` patients, the median of `contrast_kept`, and the share `erased`; over all
        pairs the median and the 95 % quantile of the unexplained shadow in p, and the share `invented`.
    """
    kept: dict[str, list[float]] = {}
    unexplained = []
    window = lung_window(adapter.size, 0.0)[0, 0].numpy() > 0.5
    for finding, before in pairs:
        after = np.stack([adapter(look) for look in before])
        shadow, left = (gaussian_filter(p[0] - p[1], SMOOTH) for p in (before, after))
        if np.abs(shadow).max() >= VISIBLE_P:
            kept.setdefault(finding, []).append(float((shadow * left).sum() / np.square(shadow).sum()))
        curve = IsotonicRegression(out_of_bounds="clip").fit(before[1][window], after[1][window])
        rest = after[1] - curve.predict(before[1].ravel()).reshape(after[1].shape)
        unexplained.append(float(np.abs(gaussian_filter(rest, SMOOTH))[window].max()))
    return {
        "patients": len(unexplained),
        "findings": {
            finding: {
                "visible": len(shares),
                "contrast_kept": float(np.median(shares)),
                "erased": float(np.mean(np.array(shares) < ERASED)),
            }
            for finding, shares in kept.items()
        },
        "unexplained_p": [float(q) for q in np.quantile(unexplained, [0.5, 0.95])],
        "invented": float(np.mean(np.array(unexplained) > VISIBLE_P)),
    }
