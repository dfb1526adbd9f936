"""Limits that a program sets beside those of the package."""

import pytest

from xray2xray.core.errors import InputError
from xray2xray.core.limits import at_most, check_size


def test_stricter_limits_hold_inside_the_block() -> None:
    check_size(100, 1000, "voxels", "scan", "make it smaller")
    with at_most(voxels=50):
        with pytest.raises(InputError, match="at most 50"):
            check_size(100, 1000, "voxels", "scan", "make it smaller")
        check_size(100, 1000, "pixels", "scan", "make it smaller")
        with pytest.raises(InputError, match="at most 10"):
            check_size(40, 10, "voxels", "scan", "make it smaller")
    check_size(100, 1000, "voxels", "scan", "make it smaller")
