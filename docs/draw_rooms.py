"""Draw docs/pictures/rooms.png: which room imports which, counted in the code.

python -m docs.draw_rooms
"""

from collections import Counter
from pathlib import Path

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from tests.test_rooms import PACKAGE, ROOMS, imported


def counts() -> np.ndarray:
    """Modules of a room (row) that import another room (column), (n, n)."""
    found = np.zeros((len(ROOMS), len(ROOMS)), int)
    for path in PACKAGE.glob("*/**/*.py"):
        parts = path.relative_to(PACKAGE).parts
        rooms = {name[0] for name in imported(path.read_text(), ("xray2xray", *parts[:-1]))}
        for room, number in Counter(rooms - {parts[0]}).items():
            found[ROOMS.index(parts[0]), ROOMS.index(room)] += number
    return found


def draw(path: Path) -> None:
    """A cell for each pair of rooms; above the diagonal none may be filled."""
    found, n = counts(), len(ROOMS)
    figure = Figure(figsize=(8.5, 7), layout="constrained")
    FigureCanvasAgg(figure)
    axis = figure.subplots()
    shown = np.ma.masked_equal(np.log1p(found), 0)
    axis.imshow(shown, cmap="Blues", vmin=-1, vmax=4.5)
    for row, column in np.argwhere(found):
        colour = "white" if found[row, column] > 15 else "black"
        axis.text(column, row, str(found[row, column]), ha="center", va="center", fontsize=8, color=colour)
    axis.fill([-0.5, n - 0.5, n - 0.5], [-0.5, -0.5, n - 0.5], color="#f2dede", lw=0)
    axis.text(n * 0.68, n * 0.24, "no import may\nstand here", ha="center", color="#a94442", fontsize=11)
    for i in range(n):
        axis.add_patch(Rectangle((i - 0.5, i - 0.5), 1, 1, color="#888888", lw=0))
    axis.set_xticks(range(n), ROOMS, rotation=90)
    axis.set_yticks(range(n), ROOMS)
    axis.set_ylabel("a room ...")
    axis.set_xlabel("... imports (modules that do)")
    axis.xaxis.set_label_position("top")
    axis.xaxis.tick_top()
    axis.tick_params(length=0)
    axis.spines[:].set_visible(False)
    figure.savefig(path, dpi=110)


if __name__ == "__main__":
    draw(Path(__file__).parent / "pictures" / "rooms.png")
