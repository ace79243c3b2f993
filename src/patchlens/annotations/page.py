"""What every reader of annotations gives: the shapes or the class mask of each picture."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from patchlens.arrays import Bools
from patchlens.datasets.boxes import Box
from patchlens.errors import DataError

Size = tuple[int, int]  # width, height
Points = Sequence[float]  # x, y, x, y, ... in pixels; the top left pixel reaches from 0 to 1
BACKGROUND = "background"  # the class of what no shape covers
FAR = 10  # a point may be this many times the width or height outside its picture


@dataclass(frozen=True)
class Shape:
    """One thing in a picture.

    Attributes:
        label: its class, as written.
        box: x0, y0, x1, y1 in pixels, 0-based, x1 and y1 exclusive; None: that around its pixels.
        draw: its pixels [H, W] in a picture of width and height; None: only the box is known.
        evaluated: False for crowds and what the annotator marked as difficult.
        track: its number in its video.
    """

    label: str
    box: Box | None = None
    draw: Callable[[Size], Bools] | None = None
    evaluated: bool = True
    track: int | None = None


@dataclass(frozen=True)
class Page:
    """The annotation of one picture, or of one frame of a video.

    Attributes:
        place: file and entry, for messages.
        pictures: how the annotation names the picture: alternatives, the likeliest first. They are
            compared with the pictures that exist, and never opened.
        size: of the picture that was labelled, if the annotation states it.
        shapes: size of the picture -> its shapes, in the order in which they are drawn.
        mask: a class mask instead of shapes.
        frame: position in the video, from 0.
    """

    place: str
    pictures: tuple[str, ...]
    size: Size | None = None
    shapes: Callable[[Size], Sequence[Shape]] = lambda _: ()
    mask: Path | None = None
    frame: int | None = None


@dataclass
class Read:
    """The annotations of a source.

    Attributes:
        classes: names, in the order of the source.
        pages: one per labelled picture; a picture without shapes has nothing in it.
        meaning: of class masks: value (or packed colour) -> class; None: ignored.
        colours: whether class masks are in colour, see `Terms.colours`.
        masks: the files that are masks, and so no pictures.
        notes: what was left out, and why.
    """

    classes: Sequence[str]
    pages: Iterable[Page]
    meaning: Mapping[int, str | None] = field(default_factory=dict)
    colours: bool = False
    masks: frozenset[Path] = frozenset()
    notes: list[str] = field(default_factory=list)


def polygon(place: str, rings: Sequence[Points]) -> tuple[Box, Callable[[Size], Bools]]:
    """The box around polygons, and what draws their union, by the rule of pycocotools.

    Raises:
        DataError: a polygon has fewer than three points, or a coordinate that is not finite.
    """
    for ring in rings:
        if len(ring) < 6 or len(ring) % 2:
            raise DataError(f"{place}: a polygon of {len(ring)} numbers; it needs 3 points or more")
        if not all(math.isfinite(value) for value in ring):
            raise DataError(f"{place}: a polygon has a point that is no finite number")
    xs, ys = ([v for ring in rings for v in ring[axis::2]] for axis in (0, 1))
    box = (min(xs), min(ys), max(xs), max(ys))

    def draw(size: Size) -> Bools:
        from pycocotools import mask

        width, height = size
        reach = max(abs(v) for v in box)
        if reach > FAR * max(size):  # also bounds the memory, which grows with the outline
            raise DataError(
                f"{place}: a point is at {reach:g}, and the picture has {width}×{height} pixels"
            )
        found = mask.decode(mask.merge(mask.frPyObjects([list(r) for r in rings], height, width)))
        return np.asarray(found, dtype=bool)

    return box, draw


def around(pixels: Bools) -> Box | None:
    """The box around pixels [H, W]; None if there are none."""
    y, x = (np.flatnonzero(pixels.any(axis=axis)) for axis in (1, 0))
    return (float(x[0]), float(y[0]), x[-1] + 1.0, y[-1] + 1.0) if len(x) else None
