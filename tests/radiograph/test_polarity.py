from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from xray2xray.radiograph import looks_inverted


def test_drawn_chest_and_its_negative(frontal: np.ndarray) -> None:
    assert not looks_inverted(frontal)
    assert looks_inverted(1 - frontal)
    assert looks_inverted(100 - 7 * frontal)
    assert not looks_inverted(np.ones((128, 128)))


@pytest.mark.parametrize("folder", ["cxr_ctr/jsrt", "cxr_ctr/wingspan", "cxr_nih/nih64", "cxr_nih/nih256"])
def test_real_radiographs(real_data: Path, folder: str) -> None:
    files = sorted(f for f in (real_data / folder).glob("*.png") if "mask" not in f.name)[::4]
    assert len(files) > 10
    for file in files:
        gray = np.asarray(Image.open(file).convert("L"), dtype=np.float32)
        assert not looks_inverted(gray), file.name
        assert looks_inverted(255 - gray), file.name
