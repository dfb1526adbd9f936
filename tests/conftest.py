"""What every test may need: tiers, real data where a checkout has it, and processes that share the cores politely."""

import os
from pathlib import Path

import pytest

# fixtures that several rooms need
pytest_plugins = ["tests.ct_scanner", "tests.ellipsoid_chest", "tests.small_models", "tests.small_training"]

# before torch or numba are imported: workers that each take all cores slow each other down
if "PYTEST_XDIST_WORKER" in os.environ:
    for variable in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"):
        os.environ.setdefault(variable, "1")
os.environ.setdefault("HF_HUB_OFFLINE", "1")  # no test reaches out

TESTS = Path(__file__).resolve().parent

# Folders and files that train, evaluate or run whole commands: everything else is the quick tier.
SLOW = (
    "benchmarks/",
    "commands/test_verbs.py",
    "evaluation/",
    "experiments/",
    "io/test_hub.py",
    "models/test_export.py",
    "phantoms/test_burden.py",
    "phantoms/test_patient.py",
    "reconstruction/",
    "session/",
    "test_docs.py",
    "test_golden.py",
    "test_no_personal_data.py",
    "test_notebooks.py",
    "test_quick_start.py",
    "test_site.py",
    "test_wheel.py",
    "training/",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Gives every test its tier: slow by its place, data and gpu by the fixture that it asks for."""
    for item in items:
        if item.path.relative_to(TESTS).as_posix().startswith(SLOW):
            item.add_marker("slow")
        fixtures = getattr(item, "fixturenames", ())
        if "real_data" in fixtures:
            item.add_marker("data")
        if "cuda" in fixtures:
            item.add_marker("gpu")


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Folder with real CTs and radiographs: $XRAY2XRAY_DATA, else shared/data beside the checkout."""
    folder = Path(os.environ.get("XRAY2XRAY_DATA", TESTS.parents[1] / "shared" / "data"))
    if not (folder / "ct").is_dir():
        pytest.skip(f"no real data at {folder}; set XRAY2XRAY_DATA to a folder that holds ct/, raw_formats/, cxr_ctr/")
    return folder


@pytest.fixture(scope="session")
def cuda() -> str:
    """A CUDA device."""
    import torch

    if not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    return "cuda"
