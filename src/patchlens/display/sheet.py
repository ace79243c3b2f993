"""Sheets of `patchlens show`: patches and objects framed in their images."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, ImageDraw

from patchlens.lettering import put, text

Box = tuple[float, float, float, float]  # x0, y0, x1, y1 in pixels
Look = tuple[str, bool]  # the colour of a frame, and whether it is dashed
# Distinguished by colour, by line and by the word above: Okabe and Ito's colour-blind-safe colours.
PLAIN, RIGHT, WRONG = ("#0072B2", False), ("#009E73", False), ("#D55E00", True)
SIDE, GAP, LINE = 100, 8, 14  # pixels: of a tile, between tiles, of a line of text
SIZE, DASH = 11, 7  # pixels: of letters, of a dash


@dataclass(frozen=True)
class Tile:
    """A patch or an object in an image.

    Attributes:
        image: the pixels.
        box: what is framed, in pixels of the image.
        view: the visible part, likewise; it may reach beyond the image.
        look: of the frame.
        label: the lines above.
    """

    image: Image.Image
    box: Box
    view: Box
    look: Look
    label: str


def sheet(title: str, rows: Sequence[Sequence[Tile | str]], path: Path) -> None:
    """Write rows of tiles as a PNG; a text in place of a tile stands above an empty place."""
    lines = 1 + max((tile if isinstance(tile, str) else tile.label).count("\n") for tile in rows[0])
    heading, high = text(title, SIZE + 2), lines * LINE + SIDE + GAP
    width = max(len(row) for row in rows) * (SIDE + GAP) + GAP
    size = (max(width, heading.width + 2 * GAP), 2 * GAP + LINE + len(rows) * high + GAP)
    page = Image.new("RGB", size, "white")
    page.paste(heading, (GAP, GAP), heading)
    for r, row in enumerate(rows):
        for c, tile in enumerate(row):
            x, y = GAP + c * (SIDE + GAP), 2 * GAP + LINE + r * high
            label, colour = (tile, "black") if isinstance(tile, str) else (tile.label, tile.look[0])
            for n, line in enumerate(label.split("\n")):
                put(page, (x, y + n * LINE), line, SIZE, colour)
            if not isinstance(tile, str):
                page.paste(_picture(tile), (x, y + lines * LINE))
    page.save(path, format="PNG", optimize=True)


def _picture(tile: Tile) -> Image.Image:
    """The visible part in a frame; grey lies outside the image."""
    x0, y0, x1, y1 = (round(edge) for edge in tile.view)
    seen = Image.new("RGB", (x1 - x0, y1 - y0), "#EEEEEE")
    seen.paste(tile.image, (-x0, -y0))
    enlarged = seen.width < SIDE
    kind = Image.Resampling.NEAREST if enlarged else Image.Resampling.LANCZOS
    seen = seen.resize((SIDE, SIDE), kind)
    draw = ImageDraw.Draw(seen)
    colour, dashed = tile.look
    scale = SIDE / (x1 - x0), SIDE / (y1 - y0)
    edges = [(tile.box[i] - (x0, y0)[i % 2]) * scale[i % 2] for i in range(4)]
    draw.rectangle(edges, outline=colour)
    draw.rectangle((0, 0, SIDE - 1, SIDE - 1), outline=colour, width=3)
    for start in range(DASH, SIDE, 2 * DASH) if dashed else ():
        for at in (0, SIDE - 3):
            draw.rectangle((start, at, start + DASH - 3, at + 2), fill="white")
            draw.rectangle((at, start, at + 2, start + DASH - 3), fill="white")
    return seen
