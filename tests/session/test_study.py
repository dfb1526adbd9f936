from collections.abc import Callable
from pathlib import Path
from typing import Any

from xray2xray.projection import preset
from xray2xray.session.study import COUCH_NOTE, open_input
from xray2xray.volume import Volume


def test_what_was_chosen_on_reading_stands_in_the_notes(
    tmp_path: Path, scanner: Any, chest: Callable[..., Volume]
) -> None:
    volume = chest((4.0, 4.0, 8.0))
    scanner.series(tmp_path / "a", volume, uid="1.2.1")
    scanner.series(tmp_path / "b", volume, uid="1.2.2", every=2)
    for remove_couch, last in ((False, "1.2.2 ("), (True, COUCH_NOTE)):
        study = open_input(tmp_path, preset("chest", 16), remove_couch=remove_couch)
        assert "2 CT series, reading 1.2.1" in study.notes[0]
        assert last in study.notes[-1]
