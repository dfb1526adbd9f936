import json

import numpy as np
import pytest

from xray2xray.core.errors import InputError, UsageError
from xray2xray.data.store import StudyViews, ViewStore
from xray2xray.projection.geometry import STANDARD_ARC, preset

GEOMETRY = preset(size=12)


@pytest.fixture
def store(tmp_path) -> ViewStore:
    return ViewStore.create(tmp_path / "views", GEOMETRY)


def _arc(seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).uniform(0, 9, (37, 12, 12)).astype(np.float32)


def test_what_is_written_is_read(store):
    views, labels = _arc(), {"cardiomegaly": 1, "edema": 0, "seed": 17}
    store.write("patient-1", views, STANDARD_ARC, labels)
    study = ViewStore.open(store.folder).read("patient-1")
    assert isinstance(study, StudyViews)
    assert study.study == "patient-1"
    assert study.labels == labels
    assert study.views_p.dtype == np.float32
    assert np.abs(study.views_p - views).max() <= 0.5 / 4096
    assert np.array_equal(study.yaw_deg, np.float32(STANDARD_ARC))
    assert ViewStore.open(store.folder).geometry == GEOMETRY


def test_the_scale_is_one_for_all_images(store):
    """uint16 of 4096 p, clipped and never stretched."""
    store.write("a", np.full((1, 12, 12), 2.5), [0])
    store.write("b", np.full((2, 12, 12), [[[-0.1]], [[99.0]]]), [0, 5])
    with np.load(store.path("a")) as arrays:
        assert arrays["views"].dtype == np.uint16
        assert (arrays["views"] == 10240).all()
    assert np.array_equal(store.read("b").views_p[:, 0, 0], np.float32([0, 65535 / 4096]))
    assert json.loads((store.folder / "store.json").read_text())["scale"] == 4096


def test_resume_finds_what_was_finished(store):
    assert "a" not in store
    assert store.studies() == []
    store.write("b", _arc(), STANDARD_ARC)
    store.write("a", _arc(), STANDARD_ARC)
    (store.folder / ".part-left-by-a-crash.npz").write_bytes(b"half")
    resumed = ViewStore.create(store.folder, GEOMETRY, resume=True)
    assert "a" in resumed
    assert "c" not in resumed
    assert resumed.studies() == ["a", "b"]
    assert len(resumed) == 2


def test_a_study_that_fails_to_be_written_leaves_nothing(store, monkeypatch):
    def full_disk(*_, **__):
        raise OSError("no space left")

    monkeypatch.setattr(np, "savez", full_disk)
    with pytest.raises(OSError, match="no space"):
        store.write("a", _arc(), STANDARD_ARC)
    assert "a" not in store
    assert [path.name for path in store.folder.iterdir()] == ["store.json"]


def test_create_refuses_a_folder_in_use(store, tmp_path):
    with pytest.raises(UsageError, match="not empty"):
        ViewStore.create(store.folder, GEOMETRY)
    with pytest.raises(UsageError, match="another geometry"):
        ViewStore.create(store.folder, preset("parallel", 12), resume=True)
    store.write("a", _arc(), STANDARD_ARC)
    assert ViewStore.create(store.folder, GEOMETRY, overwrite=True).studies() == []


def test_standard_arc_of_many(store):
    views = [_arc(0), _arc(1)]
    store.write("a", views[0], STANDARD_ARC)
    order = np.random.default_rng(2).permutation(37)  # and angles in any order, with others between
    store.write("b", np.concatenate([views[1][order], views[0][:1]]), [*np.array(STANDARD_ARC)[order], 180.0])
    stack = store.read_standard()
    assert stack.shape == (2, 37, 12, 12)
    assert stack.dtype == np.uint16
    assert np.array_equal(stack, np.rint(np.stack(views) * 4096).astype(np.uint16))
    floats = store.read_standard(["b"], dtype=np.float32)
    assert np.allclose(floats[0], views[1], atol=1 / 4096)


def test_standard_arc_needs_all_angles(store):
    store.write("a", _arc()[:36], STANDARD_ARC[:36])
    with pytest.raises(InputError, match="no view at 90 degrees"):
        store.read_standard()


@pytest.mark.parametrize("name", ["../escape", "a/b", "", ".hidden", "x" * 129, "new\nline", "-rf"])
def test_unsafe_names_are_refused(store, name):
    with pytest.raises(InputError, match="safe file name"):
        store.write(name, _arc(), STANDARD_ARC)
    with pytest.raises(InputError, match="safe file name"):
        store.read(name)


def test_views_that_do_not_fit_are_refused(store):
    with pytest.raises(InputError, match=r"wants views \(n, 12, 12\)"):
        store.write("a", np.zeros((1, 8, 8)), [0])
    with pytest.raises(InputError, match="wants views"):
        store.write("a", np.zeros((2, 12, 12)), [0])
    with pytest.raises(InputError, match="NaN"):
        store.write("a", np.full((1, 12, 12), np.nan), [0])


@pytest.mark.parametrize("kept", [0, 10, 2000, -10])
def test_a_truncated_study_is_named(store, kept):
    store.write("a", _arc(), STANDARD_ARC)
    path = store.path("a")
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(InputError, match=r"a\.npz.* damaged.*render the study again"):
        store.read("a")


def test_a_flipped_bit_is_noticed(store):
    store.write("a", _arc(), STANDARD_ARC)
    content = bytearray(store.path("a").read_bytes())
    content[3000] ^= 1
    store.path("a").write_bytes(content)
    with pytest.raises(InputError, match="damaged"):
        store.read("a")


def test_arrays_of_another_kind_are_refused(store):
    np.savez(store.path("a"), views=np.zeros((1, 8, 8), np.uint16), yaw_deg=np.zeros(1))
    with pytest.raises(InputError, match="12 x 12"):
        store.read("a")
    with pytest.raises(InputError, match="no study 'b'"):
        store.read("b")


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"format": "other", "version": 1, "scale": 4096}'])
def test_a_damaged_manifest_is_named(store, content):
    (store.folder / "store.json").write_text(content)
    with pytest.raises(InputError, match=r"store\.json: cannot be used"):
        ViewStore.open(store.folder)


def test_a_folder_without_manifest_is_no_store(tmp_path):
    with pytest.raises(InputError, match="not a view store"):
        ViewStore.open(tmp_path)
