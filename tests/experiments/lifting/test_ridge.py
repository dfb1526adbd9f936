"""The linear baseline in its dual form against ridge regression written out."""

from pathlib import Path

import numpy as np

from xray2xray.experiments.lifting import ridge
from xray2xray.experiments.lifting.cohort import CELLS, FRUSTUM, Cohort

SHARES = {"virtual": 0.5, "scan": 0.5}


def cohorts(folder: Path) -> dict[str, Cohort]:
    """Volumes of two planes that are linear in four hidden numbers, as their frontals are."""
    rng = np.random.default_rng(0)
    _, rows, columns = FRUSTUM.at(CELLS).shape
    basis = rng.normal(size=(4, 2, rows, columns))
    for name in [f"virtual-{k:07d}" for k in range(12)] + [f"scan-{k}" for k in range(6)]:
        portions = 3 + 0.3 * np.tensordot(rng.normal(size=4), basis, 1)
        np.save(folder / f"{name}.portions.npy", portions.astype(np.float16))
        p = portions.sum(axis=0).repeat(2, axis=0).repeat(2, axis=1)
        np.save(folder / f"{name}.p.npy", p.astype(np.float16))
    return {kind: Cohort(folder, [kind]) for kind in SHARES}


def test_predictions_are_those_of_weighted_ridge_regression(tmp_path: Path) -> None:
    found = cohorts(tmp_path)
    fitted = ridge.fit(found, SHARES)
    x, y = [], []
    for flip in (1, -1):
        for cohort in found.values():
            for portions, p in (cohort[k] for k in range(len(cohort))):
                x.append(
                    np.asarray(p, np.float64)[FRUSTUM.detector][:, ::flip]
                    .reshape(CELLS, 2, CELLS, 2)
                    .mean((1, 3))
                    .ravel()
                )
                y.append(np.asarray(portions, np.float64)[..., ::flip].ravel())
    x, y, s = np.array(x), np.array(y), fitted.share
    np.testing.assert_allclose(s.sum(), 1)
    xc, yc = x - s @ x, y - s @ y
    scale = s @ (xc**2).sum(axis=1)
    # minimise sum_i s_i n |y_i - x_i B|^2 + penalty scale |B|^2, in the basis of the rows
    u, d, vt = np.linalg.svd(np.sqrt(s * len(s))[:, None] * xc, full_matrices=False)
    b = vt.T @ ((d / (d**2 + fitted.penalty * scale))[:, None] * (u.T @ (np.sqrt(s * len(s))[:, None] * yc)))
    view = np.asarray(found["scan"][2][1], np.float32)[FRUSTUM.detector]
    expected = np.maximum((x[len(x) // 2 - 4] - s @ x) @ b + s @ y, 0)
    np.testing.assert_allclose(fitted.predict(view[None])[0].ravel(), expected, atol=0.02)


def test_a_linear_world_is_predicted_from_scans_left_out(tmp_path: Path) -> None:
    fitted = ridge.fit(cohorts(tmp_path), SHARES)
    assert fitted.errors.min() < 0.1 * fitted.errors.max()
