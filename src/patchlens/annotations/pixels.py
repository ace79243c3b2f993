"""Shapes as pixels: outlines, runs and crops. A pixel reaches from its number to the next one."""

import math
from collections.abc import Callable, Sequence

import numpy as np

from patchlens.arrays import Bools
from patchlens.datasets.boxes import Box
from patchlens.errors import DataError

Size = tuple[int, int]  # width, height
Points = Sequence[float]  # x, y, x, y, ... in pixels
Draw = Callable[[Size], Bools]  # size of a picture -> pixels [H, W]
CORNERS = 72  # of the polygon that stands for an ellipse
FAR = 10  # a point may be this many times the width or height outside its picture


def polygon(place: str, rings: Sequence[Points]) -> tuple[Box, Draw]:
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
        found = mask.merge(mask.frPyObjects([list(ring) for ring in rings], height, width))
        return rle(place, found["counts"].decode(), size, size)

    return box, draw


def rle(place: str, counts: list[int] | str, stated: Size, size: Size) -> Bools:
    """The pixels [H, W] of runs down the columns, compressed as text or not.

    Raises:
        DataError: the runs are those of a picture of another size, or broken.
    """
    width, height = size
    if stated != size:
        raise DataError(
            f"{place}: its RLE is of {stated[0]}×{stated[1]}, the picture has {width}×{height}"
        )
    runs = counts if isinstance(counts, list) else _unpacked(place, counts)
    if min(runs, default=0) < 0 or sum(runs) != width * height:
        raise DataError(f"{place}: its RLE does not have {width * height} pixels")
    flat = np.repeat(np.arange(len(runs)) % 2 == 1, runs)
    return flat.reshape(width, height).T


def _unpacked(place: str, text: str) -> list[int]:
    """The runs of a compressed RLE; pycocotools reads beyond the end of a broken one."""
    runs: list[int] = []
    value = shift = 0
    for character in text:
        piece = ord(character) - 48
        if not 0 <= piece < 64 or shift > 60:
            raise DataError(f"{place}: its compressed RLE is broken")
        value |= (piece & 31) << shift
        shift += 5
        if piece & 32:
            continue
        if piece & 16:  # a negative number
            value -= 1 << shift
        runs.append(value + (runs[-2] if len(runs) > 2 else 0))
        value = shift = 0
    if shift:
        raise DataError(f"{place}: its compressed RLE is cut short")
    return runs


def ellipse(x: float, y: float, rx: float, ry: float, turn: float = 0) -> Points:
    """An ellipse as a polygon of `CORNERS` points; `turn` is in degrees, clockwise."""
    angles = np.linspace(0, 2 * np.pi, CORNERS, endpoint=False)
    cos, sin = np.cos(np.radians(turn)), np.sin(np.radians(turn))
    across, down = rx * np.cos(angles), ry * np.sin(angles)
    xs, ys = x + across * cos - down * sin, y + across * sin + down * cos
    return [float(v) for point in zip(xs, ys, strict=True) for v in point]


def drawer(pixels: Bools) -> Draw:
    """`Shape.draw` of pixels that are known already."""
    return lambda _: pixels


def within(place: str, crop: Bools, corner: Size, size: Size) -> Bools:
    """A crop [h, w] at its place in a picture [H, W].

    Raises:
        DataError: it reaches out of the picture.
    """
    (x, y), (h, w), (width, height) = corner, crop.shape, size
    if x < 0 or y < 0 or x + w > width or y + h > height:
        raise DataError(f"{place}: reaches out of its picture of {width}×{height}")
    pixels = np.zeros((height, width), dtype=bool)
    pixels[y : y + h, x : x + w] = crop
    return pixels


def around(pixels: Bools) -> Box | None:
    """The box around pixels [H, W]; None if there are none."""
    y, x = (np.flatnonzero(pixels.any(axis=axis)) for axis in (1, 0))
    return (float(x[0]), float(y[0]), x[-1] + 1.0, y[-1] + 1.0) if len(x) else None
