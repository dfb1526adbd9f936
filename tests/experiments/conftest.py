from collections.abc import Callable, Iterator, Sequence

import pytest

from xray2xray.commands import registry


@pytest.fixture(autouse=True, scope="module")  # of a whole session it would reach the tests of other rooms
def plug_in() -> Iterator[None]:
    """The verbs of the experiments are known also where the installed metadata is older than pyproject.toml."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(registry, "_plug_ins", lambda: ["xray2xray.experiments.commands"])
        yield


@pytest.fixture
def refused(capsys: pytest.CaptureFixture[str]) -> Callable[[Callable[[Sequence[str]], object], Sequence[str]], str]:
    """What a command that must not succeed says on stderr, with its exit code in front."""

    def run(main: Callable[[Sequence[str]], object], words: Sequence[str]) -> str:
        with pytest.raises(SystemExit) as ended:
            main([str(word) for word in words])
        return f"{ended.value.code} {capsys.readouterr().err.strip()}"

    return run
