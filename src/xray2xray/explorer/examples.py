"""What a visitor without a file may look at: packaged radiographs and virtual patients."""

from dataclasses import dataclass
from importlib.resources import files
from io import BytesIO

import numpy as np
from PIL import Image

from ..core.seeds import FIRST_TEST_SEED
from ..session.session import Session
from ..session.study import Study, open_procedural

FOLDER = files(__package__) / "static" / "examples"


@dataclass(frozen=True)
class Example:
    """Either a packaged picture, `NAME.png`, or the virtual patient of a seed, whose frontal that picture shows."""

    name: str
    title: str
    words: str
    seed: int | None = None

    @property
    def picture(self) -> bytes:
        """PNG."""
        return (FOLDER / f"{self.name}.png").read_bytes()

    def study(self, session: Session) -> Study:
        """The study, as if it had been given as a file."""
        if self.seed is not None:
            return open_procedural(self.seed, session.geometry)
        return session.study(np.asarray(Image.open(BytesIO(self.picture))), view="pa", name=self.name)


EXAMPLES = {
    one.name: one
    for one in (
        Example("film-1", "Radiograph", "NIH ChestX-ray14"),
        Example("film-2", "Radiograph", "NIH ChestX-ray14"),
        Example("virtual-1", "Virtual patient", "with the truth beside", FIRST_TEST_SEED),
        Example("virtual-2", "Virtual patient", "with the truth beside", FIRST_TEST_SEED + 7),
    )
}
