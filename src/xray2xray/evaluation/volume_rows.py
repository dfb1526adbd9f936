"""Volumes from one given view or two: what a form of M makes of them, and what it has to exceed.

Every volume lies on one grid: a cube of `EXTENT_MM` about the isocentre, which is its RAS origin.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from ..core.errors import UsageError
from ..data.store import SCALE, ViewStore
from ..projection.forward import backproject, project
from ..projection.geometry import STANDARD_ARC, Geometry
from ..reconstruction.reconstruct import EXTENT_MM, centred_affine, reconstruct
from ..volume.attenuation import hu_to_mu, mu_to_hu
from ..volume.chest import isocentre_mm
from ..volume.volume import Volume
from .baselines import Baselines, baselines_of, build_baselines
from .metrics import Array, unit
from .predictors import NearestCases
from .volumes import resample

if TYPE_CHECKING:
    from ..models.transitions.base import State
    from ..models.world_model import WorldModel

SWEEPS = 4  # over the given views; after them `mean_depth` leaves about a percent of p unexplained
EMPTY = 2  # a row of a small frontal whose brightest pixel is no more shows nothing: p of 0.08
FEW = 0.02  # a row that a smaller share of the patients shows is left as it is


@dataclass(frozen=True, eq=False)
class Given:
    """The views of one patient that are given: line integrals (n, h, w) from n yaw angles, the frontal first."""

    views_p: Array
    yaw_deg: tuple[float, ...]
    geometry: Geometry


def empty_grid(size: int) -> Volume:
    """Air on the grid of all volumes that are compared: `size`^3 voxels."""
    return Volume(np.full((size, size, size), -1000.0), centred_affine(size, EXTENT_MM))


# ---------------------------------------------------------------- forms of M


def predicted_volume(model: "WorldModel", state: "State", geometry: Geometry, size: int) -> Volume:
    """The expected volume of one patient: the form's own, or one reconstructed from the views that it predicts."""
    return own_volume(model, state, size) or from_views(
        model.predict(state, STANDARD_ARC)[0], STANDARD_ARC, geometry, size
    )


def own_volume(model: "WorldModel", state: "State", size: int) -> Volume | None:
    """The expected chest of one patient, cut into voxels; None of a form that keeps no chest."""
    grid = empty_grid(size)
    mu = model.volume(state, grid.shape, grid.affine)
    return None if mu is None else Volume(mu_to_hu(mu[0]), grid.affine, f"the {model.config.form} form of M")


def sampled_volumes(
    model: "WorldModel", state: "State", geometry: Geometry, size: int, samples: int, generator: torch.Generator
) -> list[Volume]:
    """Volumes of chests that are possible for one patient: the form's own, or each from its 37 sampled views.

    Raises:
        UsageError: the form has nothing to sample with.
    """
    grid = empty_grid(size)
    mu = model.volume(state, grid.shape, grid.affine, generator, samples)
    if mu is not None:
        return [Volume(mu_to_hu(one), grid.affine, "predicted") for one in mu[:, 0]]
    drawn = model.sample(state, STANDARD_ARC, generator, samples)[:, 0]
    return [from_views(views_p, STANDARD_ARC, geometry, size) for views_p in drawn]


# ---------------------------------------------------------------- from the given views alone


def from_views(views_p: Array, yaw_deg: tuple[float, ...], geometry: Geometry, size: int) -> Volume:
    """OS-SART, as `reconstruct` does it for a study."""
    return reconstruct(views_p, geometry, yaw_deg, size, show_progress=False).volume


def back_projection(given: Given, size: int) -> Volume:
    """Every line integral spread evenly over its ray within the grid; the mean of the views."""
    grid = empty_grid(size)
    shape, affine, poses = grid.shape, grid.affine, given.yaw_deg
    length_mm = project(np.ones(shape, np.float32), affine, given.geometry, poses)
    spread = backproject(given.views_p / np.maximum(length_mm, 1.0), shape, affine, given.geometry, poses)
    rays = backproject(np.ones_like(length_mm), shape, affine, given.geometry, poses)
    return Volume(mu_to_hu(spread / np.maximum(rays, 1e-6)), affine, "back-projection")


def mean_depth(given: Given, mean: Volume, sweeps: int = SWEEPS) -> Volume:
    """The cohort's mean volume, scaled along each ray to the line integral that was measured.

    x <- x A^T (p / A x) / A^T 1 for one given view after the other (ordered-subset EM: Hudson and Larkin, IEEE Trans.
    Med. Imaging 13:601, 1994). From one view each ray keeps the depth distribution of the mean: nothing is learned
    per patient. What no given ray passes stays the mean.
    """
    mu = hu_to_mu(mean.hu)
    ones = np.ones((1, *given.views_p.shape[1:]), np.float32)
    for _ in range(sweeps):
        for view_p, yaw in zip(given.views_p, given.yaw_deg, strict=True):
            grid = (mean.shape, mean.affine, given.geometry, [yaw])
            found_p = project(mu, mean.affine, given.geometry, [yaw])
            ratio = np.where(found_p > 1e-3, view_p / np.maximum(found_p, 1e-3), 1.0)
            passed = backproject(ones, *grid)
            factor = backproject(ratio, *grid) / np.maximum(passed, 1e-6)
            mu *= np.where(passed > 1e-3, factor, 1.0).astype(np.float32)
    return Volume(mu_to_hu(mu), mean.affine, "mean depth")


# ---------------------------------------------------------------- from the training cohort


@dataclass(frozen=True, eq=False)
class TrainingCohort:
    """What a model may have learned from.

    Attributes:
        baselines: its mean views and small frontals.
        volume_of: number of a patient and size of the grid -> the patient's volume.
        described: where both come from, for the table.
    """

    baselines: Baselines
    volume_of: Callable[[int, int], Volume]
    described: str

    @property
    def geometry(self) -> Geometry:
        return self.baselines.geometry

    def mean_volume(self, size: int) -> Volume:
        """Reconstructed from the mean views: projection is linear, so these are the views of the mean volume.

        Scans end early, above or below, and would make the mean too light there. So each row of the views is the mean
        over the patients whose frontal shows anything in it.
        """
        mean_p = self.baselines.mean_views.astype(np.float32) / SCALE
        small = self.baselines.small_frontals
        seen = (small.max(axis=2) > EMPTY).mean(axis=0)
        share = np.interp(
            (np.arange(mean_p.shape[1]) + 0.5) * len(seen) / mean_p.shape[1] - 0.5, range(len(seen)), seen
        )
        mean_p /= np.where(share > FEW, share, 1.0).astype(np.float32)[:, None]
        yaw_deg = tuple(float(yaw) for yaw in self.baselines.yaw_deg)
        return from_views(mean_p, yaw_deg, self.geometry, size)

    def nearest_case(self, given: Given, size: int) -> Volume:
        """The volume of the training patient whose frontal is nearest (Euclidean, 32 x 32 pixels)."""
        known = NearestCases(self.baselines.small_frontals, lambda _: np.empty(0), neighbours=1)
        return self.volume_of(int(known.nearest(unit(given.views_p[:1]))[0, 0]), size)


def training_cohort(train: str | Path | None = None, source: str | Path = "tiny") -> TrainingCohort:
    """The training patients of a view store, or of the baselines of a model.

    A store's patients, virtual or real, are reconstructed from their 37 views. Those of a model's baselines are virtual
    and built again from their seeds.

    Raises:
        InputError: no store, an empty one, or one whose studies lack views of the standard arc.
        UsageError: the model's baselines are not of virtual patients.
    """
    if train is None:
        shipped = baselines_of(source)
        if not len(shipped.seeds):
            raise UsageError("the baselines file knows no training patients; name their views: --train STORE")
        return TrainingCohort(
            shipped,
            lambda number, size: whole_patient(int(shipped.seeds[number]), size),
            f"{shipped.cohort}, {len(shipped.seeds)} in its baselines file: their mean views, and the nearest one "
            "built again from its seed",
        )
    store = ViewStore.open(train)
    studies = store.training_studies()

    def volume_of(number: int, size: int) -> Volume:
        views_p = store.read_standard([studies[number]], np.float32)[0]
        return from_views(views_p, STANDARD_ARC, store.geometry, size)

    return TrainingCohort(
        build_baselines(store, range(len(studies)), studies), volume_of, f"{store.words(studies)}, from their views"
    )


def whole_patient(seed: int, size: int) -> Volume:
    """A virtual patient on the grid, whole and without couch: not only what was scanned.

    A scan that ends early would leave air where the patient in question goes on. The isocentre is that of the scan.
    """
    from ..phantoms import make_patient, sample_patient

    patient = sample_patient(seed)
    scan = replace(patient.scan, couch=False)
    centre = isocentre_mm(make_patient(replace(patient, scan=scan)).volume)
    scan = replace(scan, field_of_view_mm=1e3, above_mm=1e3, below_mm=1e3)
    return resample(make_patient(replace(patient, scan=scan)).volume, empty_grid(size), centre)
