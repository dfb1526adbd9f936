"""A damaged item is named with its reason, counted, and does not stop the others; in this process or in several."""

import pytest

from xray2xray.core.errors import InputError, UsageError
from xray2xray.parallel.executor import Executor, InProcess, Processes
from xray2xray.parallel.usable import each, usable


def upper(item: str) -> str:
    if item.startswith("bad"):
        raise InputError(f"{item} is no image")
    if item == "wrong":
        raise UsageError("a wrong request")
    if item == "memory":
        raise MemoryError
    return item.upper()


@pytest.mark.parametrize("executor", [InProcess(), Processes(2)])
def test_the_rest_goes_on_after_a_bad_item(executor: Executor, caplog: pytest.LogCaptureFixture) -> None:
    assert each(["a", "bad", "b"], upper, executor=executor) == (["A", "B"], {"bad": "bad is no image"})
    assert "left out bad is no image" in caplog.text


def test_no_usable_item_is_an_error() -> None:
    with pytest.raises(InputError, match="none of the 2 inputs"):
        each(["bad1", "bad2"], upper)


def test_the_error_of_an_only_item_is_raised_as_it_is() -> None:
    with pytest.raises(InputError, match="bad1 is no image"):
        each(["bad1"], upper)


def test_a_wrong_request_stops_all() -> None:
    with pytest.raises(UsageError):
        each(["a", "wrong"], upper)


def test_no_memory_is_a_reason() -> None:
    failed: dict[str, str] = {}
    assert list(usable(["a", "memory"], upper, failed)) == ["A"]
    assert "fewer --workers" in failed["memory"]
