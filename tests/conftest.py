"""What every test may need: real data where a checkout has it, and processes that share the cores politely."""

import os
from pathlib import Path

import pytest

# fixtures that several rooms need
pytest_plugins = ["tests.ellipsoid_chest", "tests.small_models", "tests.small_training"]

# before torch or numba are imported: workers that each take all cores slow each other down
if "PYTEST_XDIST_WORKER" in os.environ:
    for variable in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"):
        os.environ.setdefault(variable, "1")
os.environ.setdefault("HF_HUB_OFFLINE", "1")  # no test reaches out


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Folder with real CTs and radiographs: $XRAY2XRAY_DATA, else shared/data beside the checkout."""
    beside = Path(__file__).resolve().parents[2] / "shared" / "data"
    folder = Path(os.environ.get("XRAY2XRAY_DATA", beside))
    if not (folder / "ct").is_dir():
        pytest.skip(f"no real data at {folder}; set XRAY2XRAY_DATA to a folder that holds ct/, raw_formats/, cxr_ctr/")
    return folder
