"""Progress passes all items on and writes nothing to stdout."""

import pytest

from xray2xray.parallel.progress import progress


def test_progress_passes_everything_on(capsys: pytest.CaptureFixture[str]) -> None:
    assert list(progress(range(5), "counting")) == [0, 1, 2, 3, 4]
    assert list(progress((i for i in "ab"), "unknown length")) == ["a", "b"]
    assert capsys.readouterr().out == "", "progress goes to stderr"
