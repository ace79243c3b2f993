"""Boxes of objects: x0, y0, x1, y1 in pixels, 0-based, x1 and y1 exclusive."""

import math
from pathlib import Path

from patchlens.datasets.images import image_size

Box = tuple[float, float, float, float]


def corners(x0: float, y0: float, x1: float, y1: float, *, evaluated: bool = True) -> Box:
    """A box from its corners; it may leave its image.

    Raises:
        ValueError: a corner is not finite, or the box of an evaluated object has no area.
    """
    if not all(math.isfinite(value) for value in (x0, y0, x1, y1)):
        raise ValueError(f"the corners of a box are not finite numbers: {x0}, {y0}, {x1}, {y1}")
    if evaluated and (x1 <= x0 or y1 <= y0):
        raise ValueError(f"a box has no area: {x1 - x0:g} wide, {y1 - y0:g} high")
    return x0, y0, x1, y1


def from_size(x: float, y: float, width: float, height: float, *, evaluated: bool = True) -> Box:
    """A box from its top left corner (0-based) and its size; errors as in `corners`."""
    return corners(x, y, x + width, y + height, evaluated=evaluated)


def whole_image(path: Path) -> Box:
    """The box around the whole image; a missing or broken file is a `DataError`."""
    width, height = image_size(path)
    return 0.0, 0.0, float(width), float(height)
