"""Pictures of views for the README, the evaluation folder and the demo: curves are in `curves`.

Views arrive as line integrals p and are shown through the one fixed window of `radiograph.display`; errors through
a fixed colour scale, so that any two pictures compare.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from ..evaluation.metrics import Array
from ..io.files import atomic_path
from ..radiograph.display import to_gray

Pixels = NDArray[np.uint8]

ERROR_P = 2.0  # |error| in p at the bright end of the colour scale
BACKGROUND, INK, FAINT, ACCENT = (13, 17, 23), (230, 237, 243), (139, 148, 158), (88, 166, 255)
_GAP = 6

PICTURE_YAW_DEG = (-90.0, -45.0, 0.0, 45.0, 90.0)


def error_colours(error_p: Array) -> Pixels:
    """|error| in p, any shape -> RGB (..., 3): black at 0, through purple and orange to light yellow at `ERROR_P`."""
    return colour_map(np.abs(error_p) / ERROR_P, "inferno")


def colour_map(share: Array, name: str) -> Pixels:
    """Values from 0, dark, to 1, bright, any shape -> RGB (..., 3) of a matplotlib colour map; NaN is black."""
    from matplotlib import colormaps

    coloured = colormaps[name].with_extremes(bad="black")(np.ma.masked_invalid(np.clip(share, 0, 1)), bytes=True)
    return np.ascontiguousarray(coloured[..., :3])


def contact_sheet(
    rows: Sequence[tuple[str, Sequence[Pixels]]],
    columns: Sequence[str] = (),
    side: int = 160,
    marked: int | None = None,
) -> Image.Image:
    """Labelled rows of equally many pictures, gray (h, w) or RGB (h, w, 3), on a dark ground.

    Args:
        rows: (label, pictures) from top to bottom.
        columns: headings, one a column.
        side: size of a picture in pixels.
        marked: a column to be framed, such as the input.
    """
    margin = max([_width(label, 15) for label, _ in rows] + [0]) + 3 * _GAP
    top = 30 if columns else _GAP
    count = max(len(pictures) for _, pictures in rows)
    sheet = Image.new("RGB", (margin + count * (side + _GAP), top + len(rows) * (side + _GAP)), BACKGROUND)
    draw = ImageDraw.Draw(sheet)
    for column, heading in enumerate(columns):
        at = (margin + column * (side + _GAP) + side / 2, top / 2)
        draw.text(at, heading, fill=ACCENT if column == marked else FAINT, font=_font(15), anchor="mm")
    for row, (label, pictures) in enumerate(rows):
        y = top + row * (side + _GAP)
        draw.text((margin - 2 * _GAP, y + side / 2), label, fill=INK, font=_font(15), anchor="rm")
        for column, picture in enumerate(pictures):
            sheet.paste(_scaled(picture, side), (margin + column * (side + _GAP), y))
    if marked is not None:
        x = margin + marked * (side + _GAP)
        draw.rectangle((x - 2, top - 2, x + side + 1, top + side + 1), outline=ACCENT, width=2)
    return sheet


def case_picture(
    truth_p: Array,
    predicted_p: Mapping[str, Array],
    yaw_deg: Sequence[float],
    input_yaw_deg: float = 0.0,
    side: int = 160,
) -> Image.Image:
    """Truth above each model's prediction above the error of the first model; p arrays (angles, h, w)."""
    rows: list[tuple[str, Sequence[Pixels]]] = [("truth", list(to_gray(truth_p)))]
    rows += [(name, list(to_gray(views))) for name, views in predicted_p.items()]
    for name, views in list(predicted_p.items())[:1]:
        rows.append((f"|error| {name}", list(error_colours(views - truth_p))))
    marked = list(yaw_deg).index(input_yaw_deg) if input_yaw_deg in yaw_deg else None
    return contact_sheet(rows, [_degrees(yaw, input_yaw_deg) for yaw in yaw_deg], side, marked)


def unfold_picture(
    input_p: Array,
    rows_p: Mapping[str, Array],
    yaw_deg: Sequence[float],
    side: int = 150,
    input_label: str = "one radiograph",
) -> Image.Image:
    """The picture of the README: one radiograph, large, and what it unfolds into.

    Args:
        input_p: (h, w).
        rows_p: views (angles, h, w) by name: what is predicted, and the truth where it is known.
    """
    rows = [(name, list(to_gray(views_p))) for name, views_p in rows_p.items()]
    views = contact_sheet(rows, [_degrees(yaw) for yaw in yaw_deg], side)
    large = max(2 * side + _GAP, views.height - 30 - _GAP) if len(rows) > 1 else int(1.4 * side)
    height = max(views.height, large + 30 + _GAP)
    sheet = Image.new("RGB", (large + 3 * _GAP + 40 + views.width, height), BACKGROUND)
    draw = ImageDraw.Draw(sheet)
    draw.text((_GAP + large / 2, 15), input_label, fill=ACCENT, font=_font(15), anchor="mm")
    sheet.paste(_scaled(to_gray(input_p), large), (_GAP, 30))
    x, y = large + 3 * _GAP, 30 + large / 2
    draw.line((x, y, x + 22, y), fill=ACCENT, width=3)
    draw.polygon([(x + 20, y - 8), (x + 32, y), (x + 20, y + 8)], fill=ACCENT)
    sheet.paste(views, (x + 40, (height - views.height) // 2 if len(rows) == 1 else 0))
    return sheet


def views_gif(
    path: str | Path,
    predicted_p: Array,
    truth_p: Array | None = None,
    yaw_deg: Sequence[float] | None = None,
    side: int = 256,
    ping_pong: bool = True,
    frame_ms: int = 70,
) -> None:
    """The views as the X-ray source turns about the patient: truth left, prediction right, one frame an angle.

    Args:
        predicted_p, truth_p: (angles, h, w) line integrals.
        ping_pong: also go back, so that the loop has no jump.
    """
    count = len(predicted_p)
    panels = [("predicted", to_gray(predicted_p))]
    if truth_p is not None:
        panels.insert(0, ("truth", to_gray(truth_p)))
    frames = []
    for i in range(count):
        frame = Image.new("L", (len(panels) * (side + _GAP) + _GAP, side + 34), BACKGROUND[0])
        draw = ImageDraw.Draw(frame)
        for column, (label, views) in enumerate(panels):
            x = _GAP + column * (side + _GAP)
            frame.paste(_scaled(views[i], side).convert("L"), (x, 28))
            draw.text((x, 14), label, fill=INK[0], font=_font(14), anchor="lm")
        if yaw_deg is not None:
            draw.text((frame.width - _GAP, 14), _degrees(yaw_deg[i]), fill=FAINT[0] + 30, font=_font(14), anchor="rm")
        # 64 greys: the eye does not miss the others, and the file is a third smaller
        frames.append(frame.point([round(v / 255 * 63) * 255 // 63 for v in range(256)]))
    if ping_pong:
        frames += frames[-2:0:-1]
    with atomic_path(path) as temporary:
        frames[0].save(temporary, format="GIF", save_all=True, append_images=frames[1:], duration=frame_ms, loop=0)


def save_picture(path: Path, picture: Image.Image) -> None:
    """Write a picture, whole or not at all."""
    with atomic_path(path) as temporary:
        picture.save(temporary)


def _degrees(yaw_deg: float, input_yaw_deg: float | None = None) -> str:
    text = f"{yaw_deg:+g}°" if yaw_deg else "0°"  # a hyphen: Pillow's font has no minus sign
    return f"{text} (input)" if yaw_deg == input_yaw_deg else text


def _scaled(picture: Pixels, side: int) -> Image.Image:
    return Image.fromarray(np.ascontiguousarray(picture)).convert("RGB").resize((side, side), Image.Resampling.BICUBIC)


def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)


def _width(text: str, size: int) -> int:
    return int(_font(size).getlength(text))
