from collections.abc import Callable, Sequence

import pytest


@pytest.fixture
def refused(capsys: pytest.CaptureFixture[str]) -> Callable[[Callable[[Sequence[str]], object], Sequence[str]], str]:
    """What a command that must not succeed says on stderr, with its exit code in front."""

    def run(main: Callable[[Sequence[str]], object], words: Sequence[str]) -> str:
        with pytest.raises(SystemExit) as ended:
            main([str(word) for word in words])
        return f"{ended.value.code} {capsys.readouterr().err.strip()}"

    return run
