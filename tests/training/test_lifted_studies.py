"""Volumes for the volumetric form: kept in the store, or reconstructed from the views."""

from pathlib import Path

import numpy as np
import pytest

from xray2xray.core.errors import InputError
from xray2xray.data.rendering import Job, lift, render_job, render_jobs
from xray2xray.data.store import ViewStore
from xray2xray.phantoms import patient_volume
from xray2xray.projection.frustum import Frustum
from xray2xray.projection.geometry import STANDARD_ARC, preset
from xray2xray.projection.render import render
from xray2xray.training.lifted_studies import LiftedStudies
from xray2xray.training.sources import read_studies
from xray2xray.volume import Volume

SIZE = 32
GEOMETRY = preset("chest", SIZE)
CELLS = Frustum(preset("chest", SIZE // 2))


@pytest.fixture(scope="module")
def patient() -> Volume:
    return patient_volume(3, 64, uncut=True)


@pytest.fixture(scope="module")
def store(patient: Volume, tmp_path_factory: pytest.TempPathFactory) -> ViewStore:
    """One patient with the volume, and the same without."""
    made = ViewStore.create(tmp_path_factory.mktemp("views") / "store", GEOMETRY)
    for job in (Job("kept", "", lifted=True), Job("views-only", "")):
        render_job(made, STANDARD_ARC, lambda _: (patient, {"seed": 3}), job)
    return made


def test_a_stored_volume_comes_back(store: ViewStore, patient: Volume) -> None:
    found, made = store.read_lifted("kept"), lift(patient, GEOMETRY)
    assert found is not None
    np.testing.assert_array_equal(found.portions, made.portions)
    np.testing.assert_array_equal(found.lifted_p, made.lifted_p)
    assert store.read_lifted("views-only") is None


def test_a_volume_from_views_is_nearly_the_volume(store: ViewStore, tmp_path: Path) -> None:
    studies = LiftedStudies(read_studies([store.folder], None, SIZE, 0), CELLS, tmp_path)
    (kept, kept_p), (rebuilt, rebuilt_p) = (np.asarray(x, np.float32) for x in studies[0]), studies[1]
    rows, columns = CELLS.detector
    inside = np.s_[:, rows, columns]
    wrong = np.abs(rebuilt[inside].astype(np.float32) - kept[inside]).sum() / kept[inside].sum()
    assert wrong < 0.4
    on_detector = Frustum(GEOMETRY).detector
    np.testing.assert_allclose(rebuilt_p[on_detector], render_frontal(store), atol=1e-3)
    np.testing.assert_allclose(kept_p[on_detector], render_frontal(store), atol=0.01)
    assert np.isnan(rebuilt_p[0]).all()  # beyond the detector nothing is known
    assert len(list(tmp_path.glob("*/*.npy"))) == 1


def render_frontal(store: ViewStore) -> np.ndarray:
    return store.read_at("views-only", 0.0)


def test_another_geometry_is_refused(store: ViewStore, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"geometry chest, the volumetric form is set to xwin"):
        LiftedStudies(read_studies([store.folder], None, SIZE, 0), Frustum(preset("xwin", 16)), tmp_path)
    with pytest.raises(InputError, match="on a grid"):
        LiftedStudies(read_studies([store.folder], None, SIZE, 0), Frustum(preset("chest", 16), depth=8), tmp_path)


def test_uncut_patients_reach_further(patient: Volume) -> None:
    cut = render(patient_volume(3, 64), GEOMETRY, [90.0])
    assert render(patient, GEOMETRY, [90.0]).sum() >= cut.sum()


def test_a_volume_that_is_not_there_yet_is_rendered(tmp_path: Path) -> None:
    made = ViewStore.create(tmp_path / "store", GEOMETRY)
    for lifted in (False, True):
        jobs = [Job("thorax-0000003", "", seed=3, volume_size=32, lifted=lifted)]
        assert not render_jobs(made, jobs, STANDARD_ARC, 1)
        assert (made.read_lifted("thorax-0000003") is not None) == lifted
