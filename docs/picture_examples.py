"""Makes the pictures of the explorer's examples: python -m docs.picture_examples FOLDER_OF_NIH_CHESTXRAY14 (256 px)."""

import sys
from pathlib import Path

from PIL import Image

from xray2xray.explorer.examples import EXAMPLES
from xray2xray.projection import preset, render
from xray2xray.radiograph import radiograph, save_png
from xray2xray.session.study import open_procedural

OUT = Path(__file__).parents[1] / "src" / "xray2xray" / "explorer" / "static" / "examples"
FILMS = {"film-1": "00000005_003.png", "film-2": "00000018_000.png"}


def main(nih: Path) -> None:
    """Films as they are, virtual patients as a radiograph of them."""
    OUT.mkdir(exist_ok=True)
    for name, example in EXAMPLES.items():
        if example.seed is None:
            Image.open(nih / FILMS[name]).convert("L").save(OUT / f"{name}.png", optimize=True)
        else:
            study = open_procedural(example.seed, preset("chest", 256))
            assert study.volume is not None
            save_png(OUT / f"{name}.png", radiograph(render(study.volume, study.geometry, [0.0])[0]))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
