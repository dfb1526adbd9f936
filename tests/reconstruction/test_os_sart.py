import numpy as np
import pytest

from xray2xray.projection.forward import project
from xray2xray.projection.geometry import preset
from xray2xray.projection.request import Request
from xray2xray.reconstruction.os_sart import _far_apart, os_sart
from xray2xray.reconstruction.problem import Problem

YAW = np.arange(-90, 91, 15.0)


@pytest.fixture(scope="module")
def problem(chest_scan) -> Problem:
    geometry, scan = preset(size=32), chest_scan(32)
    views = project(scan.mu, scan.affine, geometry, YAW)
    return Problem(views, Request.of(scan.mu.shape, scan.affine, geometry, YAW))


def solve(problem: Problem, initial=None, passes=4, **options):
    start = np.zeros(problem.shape, np.float32) if initial is None else initial
    return os_sart(problem, start, passes=range(passes), **({"subsets": 4, "relaxation": 0.7} | options))


def test_the_truth_is_left_alone(problem, chest_scan):
    truth = chest_scan(32).mu
    mu, residuals = solve(problem, truth)
    assert np.allclose(mu, truth, atol=1e-6)
    assert max(residuals) < 1e-5


def test_residuals_fall(problem):
    _, residuals = solve(problem, passes=6)
    assert len(residuals) == 6
    assert (np.diff(residuals) < 0).all()


def test_it_goes_on_from_where_it_was(problem):
    half, _ = solve(problem, passes=2)
    again, _ = solve(problem, half, passes=2)
    whole, _ = solve(problem, passes=4)
    assert np.allclose(again, whole, atol=1e-6)


def test_it_stops_once_settled(problem):
    _, residuals = solve(problem, passes=50, tolerance=0.3)
    assert len(residuals) < 10


def test_fewer_edges_with_tv(problem):
    plain, smooth = solve(problem)[0], solve(problem, tv=0.001)[0]
    edges = [sum(np.abs(np.diff(mu, axis=axis)).sum() for axis in range(3)) for mu in (plain, smooth)]
    assert edges[1] < 0.9 * edges[0]
    assert smooth.min() >= 0


@pytest.mark.parametrize("count", [1, 2, 5, 8])
def test_subsets_are_visited_once_each(count):
    assert sorted(_far_apart(count)) == list(range(count))
