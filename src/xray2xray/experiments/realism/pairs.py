"""Frontal and lateral pairs as `lidc_drr128` has them, and how well the frontal tells the lateral.

The real set: 128 x 128 pixels, 8 bit, whole CT scans projected (very nearly parallel) and fitted into a grey frame, the
contrast of every picture its own. Most of what a plain error would see is that frame, so pictures are cropped to their
content, resized to 112 x 112 and standardised.
"""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ...evaluation.metrics import r2, r2_interval
from ...projection.forward import project
from ...projection.geometry import Geometry
from ...volume.chest import Chest
from ...volume.volume import Volume

Array = NDArray[np.floating]

SIZE = 112
TRAIN_SHARE = 498 / 696  # the first ids in order train (and choose the penalty), the others test
LEFT_OUT = {"LIDC-IDRI-0001", "LIDC-IDRI-0138"}  # 0001 is one of the four CTs, 0138 repeats 0029
CONTENT_SD = 0.02  # a row or column that varies less belongs to the frame
COMPONENTS = (25, 50, 100, 200)
PENALTIES = (1e2, 1e3, 1e4, 3e4, 1e5)

FRAME_GRAY = 20 / 255
FRAME = Geometry("pairs", "parallel", 1800.0, 1550.0, 450.0, 128)  # 3.5 mm a pixel, as 360 mm on 102 pixels are
VIEWS_DEG = (0.0, 90.0)
BODY_P = 0.3  # less than this is air, clothes and couch
WINDOW_SHARES = (0.05, 0.95)  # of the pixels above BODY_P: what becomes black and white


# ---------------------------------------------------------------- preparation


def prepare(image: Array) -> Array:
    """A framed picture (h, w) in 0..1 -> its content, (112, 112) float32 with mean 0 and SD 1."""
    content = np.ascontiguousarray(crop(image), np.float32)
    small = np.asarray(Image.fromarray(content).resize((SIZE, SIZE), Image.Resampling.BILINEAR))
    return (small - small.mean()) / small.std()


def crop(image: Array) -> Array:
    """What lies inside the letter-box of an image (n, n) of values 0..1."""
    rows, columns = (np.flatnonzero(image.std(axis) > CONTENT_SD) for axis in (1, 0))
    return image[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]


def display(p: Array) -> Array:
    """Line integrals -> 0..1 in 255 steps, as the real set shows them: linear, from 5 % to 95 % of the body's pixels.

    Found by ranking the line integrals of LIDC-IDRI-0001 against its own two pictures: a straight line fits (r = 0.96).
    Its ends follow from all of the set: of what is not black, 5.1 % (4.7 .. 5.5) are fully white in a frontal.
    """
    body = p[p > BODY_P]
    low, high = np.quantile(body, WINDOW_SHARES) if body.size else (0.0, 1.0)
    return np.rint(255 * np.clip((p - low) / max(high - low, 1e-6), 0, 1)) / 255


def framed(p: Array, box: tuple[slice, slice]) -> Array:
    """Displayed line integrals inside `box` (rows, columns), the grey of the real set's frame around it."""
    image = np.full(p.shape, FRAME_GRAY, np.float32)
    image[box] = display(p[box])
    return image


def scanned_box_mm(volume: Volume) -> Array:
    """(3, 2) RAS mm: the ends of what the scanner reconstructed, a square seen from above.

    Padding is exactly -1000 HU or less, all else is above it somewhere in its row: noise sees to that.
    """
    seen = volume.hu > -1000
    ends = np.empty((3, 2))
    for axis in range(3):
        planes = np.flatnonzero(seen.any(tuple(a for a in range(3) if a != axis)))
        edges = np.array([planes[0] - 0.5, planes[-1] + 0.5])
        ends[axis] = np.sort(volume.affine[axis, axis] * edges + volume.affine[axis, 3])
    side = np.ptp(ends[:2], axis=1).max()
    ends[:2] = ends[:2].mean(1, keepdims=True) + np.array([-0.5, 0.5]) * side
    return ends


def pair(volume: Volume) -> Array:
    """Frontal and lateral of a canonical volume (axes along the body's), prepared as the real ones: (2, 112, 112)."""
    ends = scanned_box_mm(volume)
    middle, half = ends.mean(1), np.ptp(ends, axis=1) / 2
    views = project(Chest.of(volume).mu_per_mm, volume.affine, FRAME, VIEWS_DEG, middle, threads=1)
    offsets = np.abs(FRAME.offsets_mm)
    rows, columns = (slice(*np.flatnonzero(offsets < half[axis])[[0, -1]] + (0, 1)) for axis in (2, 0))
    return np.stack([prepare(framed(view, (rows, columns))) for view in views])


def load(folder: Path) -> tuple[list[str], Array]:
    """The real pairs: ids in order, and (n, 2, 112, 112) float32.

    The frontals are mirrored in the files, and the laterals face the picture's right (yaw -90): both are flipped, so
    that the patient's right and anterior (yaw +90) are on the left.
    """
    ids = case_ids(folder)
    return ids, np.stack([[read_view(folder / f"{i}_{view}.png") for view in ("ap", "lat")] for i in ids])


def case_ids(folder: Path) -> list[str]:
    """The cases of the real set that may be used, in order."""
    ids = sorted(path.name.removesuffix("_ap.png") for path in folder.glob("*_ap.png"))
    return [i for i in ids if i not in LEFT_OUT]


def read_view(path: Path) -> Array:
    return prepare(read_grey(path))


def read_grey(path: Path) -> Array:
    """A picture of the real set as values 0..1, flipped as `load` says."""
    with Image.open(path) as image:
        return np.asarray(image.convert("L"), np.float32)[:, ::-1] / 255


# ---------------------------------------------------------------- frontal -> lateral


class Ridge:
    """Ridge regression from the PCA scores of a frontal to all pixels of the lateral; images as rows (n, pixels)."""

    def __init__(self, frontal: Array, lateral: Array) -> None:
        self.mean_frontal, self.mean_lateral = frontal.mean(0), lateral.mean(0)
        centred = frontal - self.mean_frontal
        # the eigenvectors of the small Gram matrix are those of the SVD, in a tenth of the time
        values, vectors = np.linalg.eigh(centred @ centred.T)
        order = np.argsort(values)[::-1][: min(max(COMPONENTS), len(frontal) - 1)]
        self.variance = np.maximum(values[order], 1e-6)
        self.basis = centred.T @ vectors[:, order] / np.sqrt(self.variance)
        self.covariance = (centred @ self.basis).T @ (lateral - self.mean_lateral)

    def predict(self, frontal: Array, components: int, penalty: float) -> Array:
        scores = ((frontal - self.mean_frontal) @ self.basis[:, :components]) / (self.variance[:components] + penalty)
        return self.mean_lateral + scores @ self.covariance[:components]


def best_settings(frontal: Array, lateral: Array) -> tuple[int, float]:
    """Components and penalty with the least error on the last fifth, fitted on the others."""
    inner = round(len(frontal) * 400 / 498)
    ridge = Ridge(frontal[:inner], lateral[:inner])
    grid = [(k, penalty) for k in COMPONENTS for penalty in PENALTIES]
    return min(grid, key=lambda g: float(np.square(ridge.predict(frontal[inner:], *g) - lateral[inner:]).mean()))


def fit_predict(train: Array, frontal: Array) -> Array:
    """Laterals (n, pixels) of frontals (n, 112, 112), learned from pairs (m, 2, 112, 112)."""
    x, y = flat(train[:, 0]), flat(train[:, 1])
    return Ridge(x, y).predict(flat(frontal), *best_settings(x, y))


def flat(images: Array) -> Array:
    return images.reshape(len(images), -1).astype(np.float32)


def split(pairs: Array) -> tuple[Array, Array]:
    """Training and test pairs."""
    first = round(len(pairs) * TRAIN_SHARE)
    return pairs[:first], pairs[first:]


def skill(predicted: Array, truth: Array, reference: Array) -> dict[str, float | None]:
    """R2 of rows (n, pixels) over a reference image, with its 95 % interval."""
    error, null = (np.square(truth - guess).mean(1, keepdims=True) for guess in (predicted, reference.ravel()))
    low, high = r2_interval(error, null) or (None, None)
    return {"r2": float(r2(error, null)[0]), "low": low, "high": high}


def hardness(virtual: Array, real: Array) -> dict[str, object]:
    """How well a frontal tells the lateral: among virtual pairs, among real ones, and from virtual to real.

    The transferred prediction is measured against the mean real training lateral (is it better than knowing how real
    laterals look on average?) and against the mean virtual lateral (does the frontal say anything at all?).
    """
    found: dict[str, object] = {}
    for name, cohort in (("virtual", virtual), ("real", real)):
        train, test = split(cohort)
        found[name] = skill(fit_predict(train, test[:, 0]), flat(test[:, 1]), train[:, 1].mean(0))
    train, test = split(real)
    transferred = fit_predict(virtual, test[:, 0])
    for name, reference in (("transfer_over_real_mean", train), ("transfer_over_virtual_mean", virtual)):
        found[name] = skill(transferred, flat(test[:, 1]), reference[:, 1].mean(0))
    found["virtual_mean_over_real_mean"] = skill(
        np.broadcast_to(virtual[:, 1].mean(0).ravel(), transferred.shape), flat(test[:, 1]), train[:, 1].mean(0)
    )
    for view, name in enumerate(("frontal", "lateral")):
        found[f"correlation_of_mean_{name}s"] = float(
            np.corrcoef(virtual[:, view].mean(0).ravel(), real[:, view].mean(0).ravel())[0, 1]
        )
        for cohort_name, cohort in (("virtual", virtual), ("real", real)):
            # both are standardised, so this is the share of a picture's variance that is the patient's own
            found[f"{cohort_name}_{name}_variance"] = float(cohort[:, view].var(0).mean())
    return found
