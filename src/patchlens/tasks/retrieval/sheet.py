"""The sheet of `patchlens show retrieval`: queries with their nearest neighbours."""

from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image

from patchlens.display.framed import PLAIN, RIGHT, WRONG, Look, Place, framed, outline
from patchlens.display.style import STYLE

MARGIN = 0.3  # of the longer side, shown around an object
MARKS = {True: ("✓", RIGHT), False: ("✗", WRONG)}


@dataclass(frozen=True)
class Ranked:
    """A query and its ranked list, nearest first: places, and whether each is relevant."""

    query: Place
    found: Sequence[tuple[Place, bool]]


def sheet(title: str, rows: Sequence[Ranked], path: Path) -> None:
    """One row per query: the query, then its list; relevant objects have a solid frame and a tick.

    Args:
        title: above the figure.
        rows: at least one query.
        path: the PNG file.
    """
    columns = 1 + max(len(row.found) for row in rows)
    with mpl.rc_context(STYLE):
        size = (1.0 * columns, 1.15 * len(rows) + 0.4)
        figure = Figure(figsize=size, layout="constrained")
        figure.suptitle(title, fontsize=9)
        grid = figure.subplots(len(rows), columns, squeeze=False)
        for line, row in zip(grid, rows, strict=True):
            for axes in line:
                axes.set_axis_off()
            _draw(line[0], row.query, PLAIN, "query")
            for rank, (axes, (place, right)) in enumerate(
                zip(line[1:], row.found, strict=False), start=1
            ):
                mark, look = MARKS[right]
                _draw(axes, place, look, f"{rank} {mark}")
        drawn = BytesIO()
        figure.savefig(drawn, format="png", dpi=100)
    # 256 colours are a third of the size; Git holds such sheets.
    Image.open(drawn).convert("RGB").quantize(256).save(path, format="PNG", optimize=True)


def _draw(axes: Axes, place: Place, look: Look, title: str) -> None:
    """An object with some context, in a square."""
    x0, y0, x1, y1 = place.box
    reach = (0.5 + MARGIN) * max(x1 - x0, y1 - y0)
    x, y = (x0 + x1) / 2, (y0 + y1) / 2
    corners = (int(x - reach), int(y - reach), int(x + reach) + 1, int(y + reach) + 1)
    square = place.image.crop(_inside(corners, place.image.size))
    left, top = max(corners[0], 0), max(corners[1], 0)
    extent = (left, left + square.width, top + square.height, top)
    edge = outline(place.box, "white", 0.8)
    framed(axes, _small(square), extent, edge, look, title, color=look[0], pad=2)
    axes.set_xlim(x - reach, x + reach)
    axes.set_ylim(y + reach, y - reach)


def _inside(corners: tuple[int, int, int, int], size: tuple[int, int]) -> tuple[int, int, int, int]:
    x0, y0, x1, y1 = corners
    return max(x0, 0), max(y0, 0), min(x1, size[0]), min(y1, size[1])


def _small(image: Image.Image) -> Image.Image:
    """Scaled to the size at which it is drawn, so that the file stays small."""
    small = image.copy()
    small.thumbnail((96, 96))
    return small
