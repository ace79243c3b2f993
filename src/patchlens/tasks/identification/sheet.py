"""The sheet of `patchlens show identification`: a patch in degraded copies and its matches."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from patchlens.display.framed import PLAIN, RIGHT, WRONG, Look, Place, framed, outline
from patchlens.display.style import STYLE

CONTEXT = 2.5  # patches shown to each side of the centre of the patch


@dataclass(frozen=True)
class Answer:
    """One condition: the query in its copy, its nearest neighbour, and whether that is correct.

    `query` is None if the patch is not entirely inside the copy.
    """

    degradation: str
    severity: float
    query: Place | None = None
    found: Place | None = None
    right: bool = False


def sheet(title: str, true: Place, answers: Sequence[Answer], path: Path) -> None:
    """One row per degradation: the true place, then query and match for each severity.

    Args:
        title: above the figure.
        true: the patch in its clean image.
        answers: one per condition, mildest first.
        path: the PNG file.
    """
    names = list(dict.fromkeys(answer.degradation for answer in answers))
    rows = {name: [one for one in answers if one.degradation == name] for name in names}
    columns = 1 + 2 * max(len(row) for row in rows.values())
    with mpl.rc_context(STYLE):
        size = (1.15 * columns, 1.35 * len(names) + 0.5)
        figure = Figure(figsize=size, layout="constrained")
        figure.suptitle(title, fontsize=9)
        grid = figure.subplots(len(names), columns, squeeze=False)
        for axes in grid.ravel():
            axes.set_axis_off()
        for line, name in zip(grid, names, strict=True):
            _draw(line[0], true, PLAIN, f"{name}\ntrue place")
            for i, answer in enumerate(rows[name]):
                query, found = line[1 + 2 * i], line[2 + 2 * i]
                label = f"{answer.severity:g}\nquery"
                if answer.query is None or answer.found is None:
                    query.set_title(f"{answer.severity:g}\nnot in the copy", fontsize=7)
                    continue
                _draw(query, answer.query, PLAIN, label)
                look = RIGHT if answer.right else WRONG
                _draw(found, answer.found, look, "found\n" + ("right" if answer.right else "wrong"))
        figure.savefig(path, format="png", dpi=130, metadata={"Software": None})


def _draw(axes: Axes, place: Place, look: Look, title: str) -> None:
    """The surroundings of a patch."""
    x0, y0, x1, y1 = place.box
    width, height = place.image.size
    edge = outline(place.box, look[0], 1.6)
    framed(axes, place.image, (0, width, height, 0), edge, look, title)
    reach = (CONTEXT * (x1 - x0), CONTEXT * (y1 - y0))
    axes.set_xlim((x0 + x1) / 2 - reach[0], (x0 + x1) / 2 + reach[0])
    axes.set_ylim((y0 + y1) / 2 + reach[1], (y0 + y1) / 2 - reach[1])
