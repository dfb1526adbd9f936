"""Linear probes: is a finding written in the features plainly enough for a straight line to read it?

A probe standardises its features and fits an L2-penalised logistic regression, whose penalty is chosen on an inner
validation split of the training patients. Test patients are seen once, for the score.
"""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..core.errors import InputError, reading
from ..core.evidence import VIRTUAL
from ..io.files import write_npz
from ..io.npz import read_npz
from ..statistics.auroc import auroc
from ..statistics.contrasts import holm_by_name
from ..statistics.intervals import SHARE, Resamples
from .head import Array, feature_rows, refuse_real, row_space, standardisation

FORMAT = "xray2xray-probes"
INVERSE_PENALTIES = tuple(float(c) for c in np.logspace(-5, 1, 7))
HELD_OUT = 0.25  # share of the training patients on which the penalty is chosen
FEWEST = 4  # rows of each class


@dataclass(frozen=True)
class Probe:
    """A fitted head for one label: probability = sigmoid((x - mean) / scale . weights + intercept).

    Attributes:
        label: what it predicts, such as `cardiomegaly`.
        features: which features it reads: `volumetric`, `vision` or `pixels`.
        mean, scale, weights: float32 (d,).
        inverse_penalty: scikit-learn's C, as chosen.
        evidence_level: of the data it was trained on.
    """

    label: str
    features: str
    mean: Array
    scale: Array
    weights: Array
    intercept: float
    inverse_penalty: float
    evidence_level: str = VIRTUAL

    def probability(self, features: ArrayLike, evidence_level: str = VIRTUAL) -> Array:
        """Probability of the label, float64 (n,), from features (n, d).

        Args:
            evidence_level: where the features come from.

        Raises:
            InputError: features of another width, or NaN.
            UsageError: a real radiograph (see `refuse_real`).
        """
        refuse_real(f"{self.label} probe", self.evidence_level, evidence_level)
        x = feature_rows(features, f"{self.label} probe", len(self.mean), self.features)
        return 1 / (1 + np.exp(-np.clip((x - self.mean) / self.scale @ self.weights + self.intercept, -60, 60)))


@dataclass(frozen=True)
class ProbeResult:
    """How well a probe reads its label on test patients.

    `scores` (n_test,) are probabilities and `labels` (n_test,) the truth, both of the test patients with a known label;
    `ci95` is over patients, None where one class is too rare for it.
    """

    probe: Probe
    auroc: float
    ci95: tuple[float, float] | None
    scores: Array
    labels: NDArray[np.int64]
    n_train: int
    train_positives: int


def probe(
    features_train: ArrayLike,
    labels_train: ArrayLike,
    features_test: ArrayLike,
    labels_test: ArrayLike,
    *,
    label: str = "label",
    features: str = "features",
    seed: int = 0,
    draws: int = 1000,
) -> ProbeResult:
    """Fit a probe on training patients and score it on others.

    Args:
        features_train, features_test: (n, d), one row a patient.
        labels_train, labels_test: (n,) of 0 and 1; NaN or -1 where unknown, such patients are left out.
        label, features: names that the probe keeps.
        seed: of the inner split and the bootstrap.

    Raises:
        InputError: either side lacks a class, or there are too few patients to choose a penalty.
    """
    x_train, y_train = _known(features_train, labels_train)
    x_test, y_test = _known(features_test, labels_test)
    fitted = fit(x_train, y_train, label=label, features=features, seed=seed)
    if len(np.unique(y_test)) < 2:
        only = "positive" if y_test.all() else "negative"
        raise InputError(f"{label}: the test patients are all {only}, so there is no AUROC; take more of them")
    scores = fitted.probability(x_test)
    some = Resamples.of(len(y_test), draws, seed)
    bounds = some.interval(auroc(y_test, scores, some.counts), SHARE)
    return ProbeResult(fitted, float(auroc(y_test, scores)), bounds, scores, y_test, len(y_train), int(y_train.sum()))


def fit(
    x: Array,
    y: NDArray[np.int64],
    *,
    label: str,
    features: str,
    seed: int = 0,
    patients: ArrayLike | None = None,
    held: NDArray[np.bool_] | None = None,
    blocks: Sequence[int] = (),
) -> Probe:
    """Choose the penalty by log-loss on held-out training patients, then fit on all of them. Arguments as `probe`.

    Args:
        patients: (n,), whose each row is, where some have several: nobody is on both sides of the inner split.
        held: (n,), rows that choose the penalty and are not fitted on, instead of a quarter of the patients.
        blocks: how wide each of several sets of features is, see `standardisation`.
    """
    from sklearn.model_selection import StratifiedGroupKFold, train_test_split

    if not np.isin(y, (0, 1)).all():
        raise InputError(f"{label}: labels are 0 and 1, got {np.setdiff1d(y, (0, 1))}; leave unknown ones out")
    learned = y if held is None else y[~held]
    positives = int(learned.sum())
    if min(positives, len(learned) - positives) < FEWEST:
        raise InputError(
            f"{label}: {positives} of {len(learned)} training patients are positive; four of each kind are needed"
        )
    everyone = np.arange(len(y))
    if held is not None:
        everyone = inner = np.flatnonzero(~held)
        outer = np.flatnonzero(held)
    elif patients is None:
        inner, outer = train_test_split(everyone, test_size=HELD_OUT, stratify=y, random_state=seed)
    else:
        folds = StratifiedGroupKFold(round(1 / HELD_OUT), shuffle=True, random_state=seed)
        inner, outer = next(iter(folds.split(x, y, patients)))
    trials = _Regression.of(x[inner], blocks)
    losses = []
    for inverse_penalty in INVERSE_PENALTIES:
        trial = trials.fit(y[inner], inverse_penalty, label, features)
        likely = np.clip(trial.probability(x[outer]), 1e-7, 1 - 1e-7)
        losses.append(-np.mean(np.where(y[outer] == 1, np.log(likely), np.log(1 - likely))))
    chosen = INVERSE_PENALTIES[int(np.argmin(losses))]
    return _Regression.of(x[everyone], blocks).fit(y[everyone], chosen, label, features)


@dataclass(frozen=True, eq=False)
class _Regression:
    """Standardised features, reduced to their rows' span once for all penalties; see `row_space`."""

    mean: Array
    scale: Array
    coordinates: Array
    basis: Array

    @classmethod
    def of(cls, x: Array, blocks: Sequence[int]) -> "_Regression":
        mean, scale = standardisation(x, blocks)
        return cls(mean, scale, *row_space((x - mean) / scale))

    def fit(self, y: NDArray[np.int64], inverse_penalty: float, label: str, features: str) -> Probe:
        from sklearn.exceptions import ConvergenceWarning
        from sklearn.linear_model import LogisticRegression

        regression = LogisticRegression(C=inverse_penalty, max_iter=300)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # the weakest penalties need not converge to lose
            regression.fit(self.coordinates, y)
        weights = regression.coef_[0] @ self.basis
        mean, scale, weights = (a.astype(np.float32) for a in (self.mean, self.scale, weights))
        return Probe(label, features, mean, scale, weights, float(regression.intercept_[0]), inverse_penalty)


def _known(features: ArrayLike, labels: ArrayLike) -> tuple[Array, NDArray[np.int64]]:
    x, y = np.asarray(features, np.float64), np.asarray(labels, np.float64)
    if x.ndim != 2 or y.shape != (len(x),):
        raise InputError(f"a probe wants features (n, d) and n labels, got {x.shape} and {y.shape}")
    known = np.isfinite(y) & (y >= 0)
    return x[known], (y[known] > 0.5).astype(np.int64)


# ---------------------------------------------------------------- several kinds of features against each other


@dataclass(frozen=True)
class Difference:
    """AUROC of one kind of features minus another's, on the same patients; `ci95` resamples them together, `p` is
    adjusted for the labels and kinds that are compared (Holm)."""

    value: float
    ci95: tuple[float, float] | None
    p: float


@dataclass(frozen=True)
class Comparison:
    """The same labels read from several kinds of features.

    Attributes:
        results: label -> features -> ProbeResult; a label without two classes is missing.
        differences: label -> "first - other" -> Difference.
        mean_auroc: features -> (value, ci95) of the mean over the labels; the patients are resampled once for all.
        mean_differences: "first - other" -> Difference of these means.
        left_out: label -> why it could not be probed.
    """

    results: dict[str, dict[str, ProbeResult]]
    differences: dict[str, dict[str, Difference]]
    mean_auroc: dict[str, tuple[float, tuple[float, float] | None]]
    mean_differences: dict[str, Difference]
    left_out: dict[str, str] = field(default_factory=dict)


def compare_probes(
    features: Mapping[str, tuple[ArrayLike, ArrayLike]],
    labels_train: Mapping[str, ArrayLike],
    labels_test: Mapping[str, ArrayLike],
    *,
    seed: int = 0,
    draws: int = 1000,
) -> Comparison:
    """Probe every label on every kind of features; the first kind is compared with each other one, paired by patient.

    Args:
        features: name -> (train (n, d), test (m, d)); d may differ between the kinds.
        labels_train, labels_test: label -> (n,) and (m,), all known.

    Raises:
        InputError: no label could be probed.
    """
    names = list(features)
    some = Resamples.of(len(np.asarray(features[names[0]][1])), draws, seed)
    results: dict[str, dict[str, ProbeResult]] = {}
    drawn: dict[str, dict[str, Array]] = {}
    left_out: dict[str, str] = {}
    for label in labels_train:
        try:
            found = {
                name: probe(
                    train, labels_train[label], test, labels_test[label],
                    label=label, features=name, seed=seed, draws=draws,
                )
                for name, (train, test) in features.items()
            }  # fmt: skip
        except InputError as error:
            left_out[label] = str(error)
            continue
        results[label] = found
        drawn[label] = {name: auroc(result.labels, result.scores, some.counts) for name, result in found.items()}
    if not results:
        raise InputError("no label could be probed: " + "; ".join(left_out.values()))

    def differences(
        values: Mapping[str, Mapping[str, float]], resampled: Mapping[str, Mapping[str, Array]]
    ) -> dict[str, dict[str, Difference]]:
        spread = {(k, pair): of[names[0]] - of[other] for k, of in resampled.items() for pair, other in pairs.items()}
        p = holm_by_name({key: some.p_value(found) for key, found in spread.items()})
        return {
            k: {
                pair: Difference(of[names[0]] - of[other], some.interval(spread[k, pair]), p[k, pair])
                for pair, other in pairs.items()
            }
            for k, of in values.items()
        }

    pairs = {f"{names[0]} - {other}": other for other in names[1:]}
    mean = {name: float(np.mean([found[name].auroc for found in results.values()])) for name in names}
    mean_drawn = {name: np.mean([draws_of[name] for draws_of in drawn.values()], axis=0) for name in names}
    return Comparison(
        results,
        differences({label: {n: r.auroc for n, r in found.items()} for label, found in results.items()}, drawn),
        {name: (mean[name], some.interval(mean_drawn[name], SHARE)) for name in names},
        differences({"mean": mean}, {"mean": mean_drawn})["mean"],
        left_out,
    )


def pixel_features(
    train: ArrayLike, test: ArrayLike, side: int = 32, components: int = 100
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """The simplest features to beat: views (n, h, w) averaged to `side` x `side`, then the training PCA's scores."""
    from sklearn.decomposition import PCA

    small_train, small_test = (block_means(views, side) for views in (train, test))
    pca = PCA(min(components, len(small_train), small_train.shape[1]), svd_solver="full").fit(small_train)
    return pca.transform(small_train).astype(np.float32), pca.transform(small_test).astype(np.float32)


def block_means(views: ArrayLike, side: int = 32) -> NDArray[np.float32]:
    """(n, h, w) -> (n, side * side), each the mean of its block; h and w need not be multiples of `side`."""
    views = np.asarray(views, np.float32)
    side = min(side, *views.shape[1:])
    edges = [np.linspace(0, length, side + 1).astype(int)[:-1] for length in views.shape[1:]]
    sums = np.add.reduceat(np.add.reduceat(views, edges[0], axis=1), edges[1], axis=2)
    rows, columns = (np.diff([*e, length]) for e, length in zip(edges, views.shape[1:], strict=True))
    return (sums / np.outer(rows, columns)).reshape(len(views), -1).astype(np.float32)


# ---------------------------------------------------------------- on disk


def save_probes(path: str | Path, probes: Sequence[Probe]) -> None:
    """Write probes that read the same features into one .npz without pickle."""
    arrays = {
        "label": np.array([p.label for p in probes]),
        "features": np.array([p.features for p in probes]),
        "evidence_level": np.array([p.evidence_level for p in probes]),
        "mean": np.stack([p.mean for p in probes]),
        "scale": np.stack([p.scale for p in probes]),
        "weights": np.stack([p.weights for p in probes]),
        "intercept": np.array([p.intercept for p in probes]),
        "inverse_penalty": np.array([p.inverse_penalty for p in probes]),
    }
    write_npz(path, {"format": FORMAT, **arrays})


def load_probes(path: str | Path) -> dict[str, Probe]:
    """Label -> probe, from a file of `save_probes`.

    Raises:
        InputError: the file is missing, truncated or not one of ours.
    """
    what, remedy = "is no usable probes file", "write it again with evaluate probes"
    with reading(path, what, remedy):
        stored = read_npz(path, what, remedy)
        if str(stored["format"]) != FORMAT:
            raise ValueError("unknown format")
        return {
            str(label): Probe(
                str(label),
                str(stored["features"][i]),
                stored["mean"][i],
                stored["scale"][i],
                stored["weights"][i],
                float(stored["intercept"][i]),
                float(stored["inverse_penalty"][i]),
                str(stored["evidence_level"][i]),
            )
            for i, label in enumerate(stored["label"])
        }
