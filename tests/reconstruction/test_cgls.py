import numpy as np
import pytest

from xray2xray.projection.forward import project
from xray2xray.projection.geometry import Geometry, preset
from xray2xray.projection.request import Request
from xray2xray.reconstruction.cgls import RESTART, cgls
from xray2xray.reconstruction.problem import Problem
from xray2xray.reconstruction.reconstruct import centred_affine

SHAPE = (3, 4, 2)


@pytest.fixture(scope="module")
def tiny() -> Problem:
    """24 unknowns, 5 views of 6 x 6 pixels, and data that no volume explains exactly."""
    geometry = Geometry("tiny", "cone", 100, 80, 12.0, 6)
    affine = centred_affine(4, 8.0)
    yaw = [-80.0, -30.0, 0.0, 40.0, 75.0]
    random = np.random.default_rng(0)
    views = project(random.random(SHAPE), affine, geometry, yaw) + random.normal(0, 0.2, (5, 6, 6))
    return Problem(views.astype(np.float32), Request.of(SHAPE, affine, geometry, yaw), non_negative=False)


def matrix(problem: Problem) -> np.ndarray:
    """A, column by column."""
    units = np.eye(np.prod(problem.shape), dtype=np.float32).reshape(-1, *problem.shape)
    return np.stack([problem.forward(unit).ravel() for unit in units], axis=1).astype(np.float64)


def test_it_is_least_squares(tiny):
    expected = np.linalg.lstsq(matrix(tiny), tiny.views_p.ravel(), rcond=None)[0]
    x, residuals = cgls(tiny, np.zeros(SHAPE, np.float32), steps=range(60))
    assert np.allclose(x.ravel(), expected, atol=2e-3)
    left = np.linalg.norm(matrix(tiny) @ expected - tiny.views_p.ravel()) / np.linalg.norm(tiny.views_p)
    assert residuals[-1] == pytest.approx(left, rel=1e-3)
    assert (np.diff(residuals) < 1e-6).all()


def test_with_a_support_it_is_least_squares_of_the_supported_columns(tiny):
    support = np.random.default_rng(1).random(SHAPE) < 0.6
    problem = Problem(**(vars(tiny) | {"support": support}))
    expected = np.linalg.lstsq(matrix(tiny)[:, support.ravel()], tiny.views_p.ravel(), rcond=None)[0]
    x, _ = cgls(problem, np.ones(SHAPE, np.float32), steps=range(60))
    assert (x[~support] == 0).all()
    assert np.allclose(x[support], expected, atol=2e-3)


def test_what_no_ray_meets_stays_as_it_was(chest_scan):
    scan, geometry = chest_scan(32), preset(size=32)
    views = project(scan.mu, scan.affine, geometry, [0.0])
    problem = Problem(views * 0, Request.of((40, 32, 32), scan.affine, geometry, [0.0]))
    initial = np.full(problem.shape, 0.01, np.float32)
    x, _ = cgls(problem, initial, steps=range(3))
    unseen = problem.transpose(np.ones_like(problem.views_p)) == 0
    assert unseen.any()
    assert (x[unseen] == np.float32(0.01)).all()


@pytest.mark.parametrize("steps", [3, RESTART, 2 * RESTART + 1])
def test_nothing_is_negative(tiny, steps):
    problem = Problem(**(vars(tiny) | {"non_negative": True, "views_p": tiny.views_p - 2}))
    x, _ = cgls(problem, np.zeros(SHAPE, np.float32), steps=range(steps))
    assert x.min() >= 0


def test_it_stops_once_settled_or_solved(tiny):
    assert len(cgls(tiny, np.zeros(SHAPE, np.float32), steps=range(60), tolerance=0.05)[1]) < 10
    empty = Problem(**(vars(tiny) | {"views_p": np.zeros_like(tiny.views_p)}))
    x, residuals = cgls(empty, np.zeros(SHAPE, np.float32), steps=range(5))
    assert residuals == []
    assert not x.any()
