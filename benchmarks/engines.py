"""X-ray projectors behind one face: ours, and those of other packages that are installed.

An engine is set up with a case, which may take long, and hands back what is timed: from a volume in memory, laid out as
that engine likes it, to views in memory (or back).
"""

from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

import numpy as np

from xray2xray.projection import Geometry, backproject, project
from xray2xray.projection.cameras import camera_to_world

Run = Callable[[], np.ndarray]


@dataclass(frozen=True)
class Case:
    """A volume and the views to make of it.

    Attributes:
        mu: (n, n, n) float32 per mm, `voxel_mm` apart, the isocentre in the middle.
        views: (yaws, size, size) float32, what the adjoints are given.
    """

    name: str
    mu: np.ndarray
    affine: np.ndarray
    voxel_mm: float
    geometry: Geometry
    yaw_deg: list[float]
    views: np.ndarray


@dataclass(frozen=True)
class Engine:
    """`forward(case, threads)` and `adjoint(case, threads)` return what is to be timed."""

    name: str
    forward: Callable[[Case, int], Run]
    adjoint: Callable[[Case, int], Run]


def installed() -> list[Engine]:
    """Ours first, then every peer that can be imported."""
    engines = [Engine(f"xray2xray {path}", _ours(path), _ours_adjoint(path)) for path in ("columns", "rays")]
    if find_spec("itk") and find_spec("itk.RTKPython"):
        engines.append(Engine("RTK Joseph", _rtk, _rtk_adjoint))
    if find_spec("nanodrr"):
        engines.append(Engine("nanodrr torch", _nanodrr, _nanodrr_adjoint))
    return engines


def _ours(backend: Any) -> Callable[[Case, int], Run]:
    def prepare(case: Case, threads: int) -> Run:
        return lambda: project(
            case.mu, case.affine, case.geometry, case.yaw_deg, (0.0, 0.0, 0.0), backend=backend, threads=threads
        )

    return prepare


def _ours_adjoint(backend: Any) -> Callable[[Case, int], Run]:
    def prepare(case: Case, threads: int) -> Run:
        return lambda: backproject(
            case.views, case.mu.shape, case.affine, case.geometry, case.yaw_deg, backend=backend, threads=threads
        )

    return prepare


def _rtk_scene(case: Case) -> tuple[Any, Any, Any, Callable[[np.ndarray], Any]]:
    """RTK, the geometry, the volume (RTK turns about its second axis, so z becomes that), and a maker of stacks."""
    import itk
    from itk import RTK as rtk

    geometry = rtk.ThreeDCircularProjectionGeometry.New()
    for yaw in case.yaw_deg:
        geometry.AddProjection(case.geometry.sod_mm, case.geometry.sdd_mm, float(yaw))

    def image(array: np.ndarray, spacing: list[float]) -> Any:
        made = itk.image_from_array(np.ascontiguousarray(array))
        made.SetSpacing(spacing)
        made.SetOrigin([-(n - 1) / 2 * mm for n, mm in zip(array.shape[::-1], spacing)])
        return made

    def stack(views: np.ndarray) -> Any:
        pixel = case.geometry.pixel_mm
        return image(views[:, ::-1, ::-1], [pixel, pixel, 1.0])

    volume = image(case.mu.transpose(1, 2, 0)[::-1], [case.voxel_mm] * 3)
    return rtk, geometry, volume, stack


def _rtk(case: Case, threads: int) -> Run:
    import itk

    rtk, geometry, volume, stack = _rtk_scene(case)
    empty = stack(np.zeros_like(case.views))
    kind = type(volume)

    def run() -> np.ndarray:
        projector = rtk.JosephForwardProjectionImageFilter[kind, kind].New()
        projector.SetInput(0, empty)
        projector.SetInput(1, volume)
        projector.SetGeometry(geometry)
        projector.SetNumberOfWorkUnits(threads)
        projector.InPlaceOff()  # else the next call finds its input gone
        projector.Update()
        return itk.array_view_from_image(projector.GetOutput())[:, ::-1, ::-1].copy()

    return run


def _rtk_adjoint(case: Case, threads: int) -> Run:
    import itk

    rtk, geometry, volume, stack = _rtk_scene(case)
    views, kind = stack(case.views), type(volume)
    itk.array_view_from_image(volume)[...] = 0

    def run() -> np.ndarray:
        projector = rtk.JosephBackProjectionImageFilter[kind, kind].New()
        projector.SetInput(0, volume)
        projector.SetInput(1, views)
        projector.SetGeometry(geometry)
        projector.SetNumberOfWorkUnits(threads)
        projector.InPlaceOff()  # else the next call finds its input gone
        projector.Update()
        return itk.array_view_from_image(projector.GetOutput())[::-1].transpose(2, 0, 1).copy()

    return run


def _nanodrr_scene(case: Case) -> tuple[Any, Any]:
    """The subject, and a function that renders one view of it; samples along a ray are as many as voxels across."""
    import torch
    from nanodrr.camera import make_k_inv
    from nanodrr.data import Subject
    from nanodrr.drr import render

    size, pixel = case.geometry.size, case.geometry.pixel_mm
    n = case.mu.shape[0]
    to_voxels = torch.from_numpy(np.linalg.inv(case.affine)).float()
    to_grid = torch.diag(torch.tensor([2 / n, 2 / n, 2 / n, 1.0]))
    to_grid[:3, 3] = 1 / n - 1
    image = torch.from_numpy(np.ascontiguousarray(case.mu.transpose(2, 1, 0)))[None, None]
    subject = Subject(
        image, torch.zeros_like(image), torch.from_numpy(case.affine).float(), to_voxels, to_grid, torch.zeros(3),
        max_label=0, convert_to_mu=False,
    )  # fmt: skip
    k_inv = make_k_inv(case.geometry.sdd_mm, pixel, pixel, 0.0, 0.0, size, size)
    sdd = torch.tensor([case.geometry.sdd_mm])

    def view(yaw_deg: float) -> Any:
        pose = torch.from_numpy(camera_to_world(case.geometry, yaw_deg)).float()[None]
        return render(subject, k_inv, pose, sdd, size, size, n_samples=n, backend="torch")[0, 0]

    return subject, view


def _nanodrr(case: Case, threads: int) -> Run:
    import torch

    _, view = _nanodrr_scene(case)

    def run() -> np.ndarray:
        torch.set_num_threads(threads)
        with torch.no_grad():
            return np.stack([view(yaw).numpy() for yaw in case.yaw_deg])

    return run


def _nanodrr_adjoint(case: Case, threads: int) -> Run:
    """By automatic differentiation, which renders the views as well."""
    import torch

    subject, view = _nanodrr_scene(case)
    subject._image_hu.requires_grad_(True)
    given = torch.from_numpy(case.views)

    def run() -> np.ndarray:
        torch.set_num_threads(threads)
        subject._image_hu.grad = None
        for yaw, values in zip(case.yaw_deg, given):
            view(yaw).backward(values)
        return subject._image_hu.grad[0, 0].numpy().transpose(2, 1, 0)

    return run
