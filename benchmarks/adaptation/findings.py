"""Does an adapter erase a finding, or invent one? Asked of virtual patients, rendered with and without it."""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import count, islice

import numpy as np
import torch
from scipy.ndimage import gaussian_filter
from sklearn.isotonic import IsotonicRegression

from xray2xray.adaptation import Adapter
from xray2xray.adaptation.appearance import Appearance, randomise
from xray2xray.files import progress
from xray2xray.projection.geometry import preset
from xray2xray.projection.render import render
from xray2xray.seeds import FIRST_TEST_SEED
from xray2xray.training.adaptation import lung_window
from xray2xray.vision.normalise import from_network
from xray2xray.volume.thorax import Findings, Patient, make_volume, sample_patient

from .domain import network_values

LOOK = Appearance(shift=0, zoom=1, ap=0, collimation=0)  # as a radiograph might look; what is where stays
VISIBLE_P = 0.3  # a finding whose shadow, smoothed, is nowhere denser than this is not asked for
ERASED = 0.5  # share of its contrast that a finding must keep
SMOOTH = 2.0  # pixels: what is finer is noise


def with_findings() -> Iterator[Patient]:
    """Test patients with a consolidation or an effusion, by seed."""
    patients = map(sample_patient, count(FIRST_TEST_SEED))
    return (p for p in patients if p.findings.consolidation > 0 or p.findings.pleural_effusion > 0)


def looks(size: int, n: int) -> Iterator[np.ndarray]:
    """Of n patients the frontal with all findings and the one without any, (2, size, size) p, under one random look."""
    geometry = preset("chest", size)
    for patient in progress(list(islice(with_findings(), n)), "findings"):
        healthy = replace(patient, findings=Findings())
        pair_p = [render(make_volume(one)[0], geometry, (0.0,)) for one in (patient, healthy)]
        seeded = (torch.Generator().manual_seed(patient.seed) for _ in pair_p)
        seen = [randomise(network_values(p), LOOK, generator) for p, generator in zip(pair_p, seeded, strict=True)]
        yield from_network(torch.cat(seen))[:, 0].numpy()


def erased_and_invented(adapter: Adapter, pairs: Iterable[np.ndarray]) -> dict[str, float | None]:
    """Shares of patients whose finding is erased, and who get one that they have not.

    A finding is erased where the adapter keeps less than half of its contrast (the regression of the difference after
    on the difference before); invented is a shadow in a patient without findings that no curve of grey values
    explains: where the adapted picture leaves the best rising curve of its input by more than `VISIBLE_P` about the
    lungs.

    Args:
        pairs: (2, size, size) p of each patient, as `looks` gives them.
    """
    kept, invented = [], []
    window = lung_window(adapter.size, 0.0)[0, 0].numpy() > 0.5
    for before in pairs:
        after = np.stack([adapter(look) for look in before])
        shadow, left = (gaussian_filter(p[0] - p[1], SMOOTH) for p in (before, after))
        if np.abs(shadow).max() >= VISIBLE_P:
            kept.append(float((shadow * left).sum() / np.square(shadow).sum()))
        curve = IsotonicRegression(out_of_bounds="clip").fit(before[1][window], after[1][window])
        rest = after[1] - curve.predict(before[1].ravel()).reshape(after[1].shape)
        invented.append(float(np.abs(gaussian_filter(rest, SMOOTH))[window].max()))
    return {
        "patients": len(invented),
        "visible": len(kept),
        "contrast_kept": float(np.median(kept)) if kept else None,
        "erased": float(np.mean(np.array(kept) < ERASED)) if kept else None,
        "invented": float(np.mean(np.array(invented) > VISIBLE_P)),
    }
