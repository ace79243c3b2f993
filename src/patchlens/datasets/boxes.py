"""Boxes of objects: x0, y0, x1, y1 in pixels, 0-based, x1 and y1 exclusive."""

import math
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np

from patchlens.arrays import Bools, Floats
from patchlens.datasets.images import image_size
from patchlens.datasets.layout import ImageEntry
from patchlens.errors import DataError
from patchlens.progress import log

Box = tuple[float, float, float, float]

STRAY = 0.05  # share of the boxes that may leave their image, and of those within the first pixel
CORNER, MANY = 0.5, 20  # share of width and height that no box leaves, and boxes to say so of
AWAY = 0.2  # share of the boxes that may lie mostly outside
FITS = 0.98  # share of the boxes that another meaning must keep inside to be the likely cause
FEW = 2  # boxes that may, unless they are most of them
MARGIN = 2.0, 0.01  # pixels, and share of a side, by which a box may leave without being counted
CORNERS = "x0, y0, x1, y1"
MEANT: dict[
    str, Callable[..., tuple[Floats, Floats, Floats, Floats]]
] = {  # other meanings of the numbers of a box, from those of its corner and size
    CORNERS: lambda x, y, w, h: (x, y, w, h),
    "centre, width and height": lambda x, y, w, h: (x - w / 2, y - h / 2, x + w / 2, y + h / 2),
    "corners, read as a centre and a size": lambda x, y, w, h: (x + w / 2, y + h / 2, w, h),
    "y before x, or as drawn on a turned picture": lambda x, y, w, h: (y, x, y + h, x + w),
}


def corners(x0: float, y0: float, x1: float, y1: float, *, evaluated: bool = True) -> Box:
    """A box from its corners; it may leave its image and have no area.

    Raises:
        ValueError: a corner is not finite, or the box of an evaluated object ends before it begins.
    """
    if not all(math.isfinite(value) for value in (x0, y0, x1, y1)):
        raise ValueError(f"the corners of a box are not finite numbers: {x0}, {y0}, {x1}, {y1}")
    if evaluated and (x1 < x0 or y1 < y0):
        raise ValueError(
            f"a box is {x1 - x0:g} wide and {y1 - y0:g} high; corners and sizes may be confused"
        )
    return x0, y0, x1, y1


def from_size(x: float, y: float, width: float, height: float, *, evaluated: bool = True) -> Box:
    """A box from its top left corner (0-based) and its size; errors as in `corners`."""
    return corners(x, y, x + width, y + height, evaluated=evaluated)


def has_area(box: Box) -> bool:
    """Whether a box is more than a line or a point, so that it can be evaluated."""
    return box[2] > box[0] and box[3] > box[1]


def whole_image(path: Path) -> Box:
    """The box around the whole image; a missing or broken file is a `DataError`."""
    width, height = image_size(path)
    return 0.0, 0.0, float(width), float(height)


def check_size(entry: ImageEntry, size: tuple[int, int], root: Path) -> None:
    """Compare the size of an image (width, height) with the one that its annotations state.

    Raises:
        DataError: they differ; the message has both and the likely cause.
    """
    if entry.drawn_on is None or entry.drawn_on == size:
        return
    (width, height), (w, h) = size, entry.drawn_on
    if (h, w) == size:
        cause = "it was turned; label it as it is, or restore its orientation"
    elif abs(w * height - h * width) <= max(w, h, width, height):
        cause = "it was resized after labelling; use the original, or scale the labels with it"
    else:
        cause = "it was cropped or is another picture; use the one that was labelled"
    raise DataError(
        f"{root / entry.path}: is {width}×{height}, but {entry.labels or 'its annotation'} says "
        f"{w}×{h}: {cause}"
    )


class Frame:
    """Whether the boxes of a dataset are in the frame of its images, whatever its layout is.

    A box leaves its image if it is more than `MARGIN` outside. Up to `STRAY` of all may (`FEW` of
    a few, if they are not most of them), and any number where no other meaning of the numbers
    fits: official boxes reach behind the border.
    """

    def __init__(self) -> None:
        self._boxes = self._leaving = self._away = self._first = self._broken = 0
        self._fitting = dict.fromkeys(MEANT, 0)
        self._example = self._labels = ""
        self._reach = 0.0

    def add(self, images: Iterable[tuple[ImageEntry, tuple[int, int]]]) -> None:
        """Count the evaluated listed boxes of images, each with its size (width, height)."""
        placed = [
            (entry, o, size)
            for entry, size in images
            for o in entry.objects
            if o.evaluated and has_area(o.box)
        ]
        if not placed:
            return
        x0, y0, x1, y1 = np.array([o.box for _, o, _ in placed]).T
        width, height = np.array([size for *_, size in placed], dtype=np.float64).T
        leaving = ~_inside(x0, y0, x1, y1, width, height)
        seen = np.clip(np.minimum(x1, width) - np.maximum(x0, 0), 0, None)
        seen *= np.clip(np.minimum(y1, height) - np.maximum(y0, 0), 0, None)
        with np.errstate(over="ignore"):  # of boxes without end
            self._away += int((seen < (x1 - x0) * (y1 - y0) / 2).sum())
        # Shares, whatever they are taken for: counted from 0 or 1, corners or sizes.
        first = (np.maximum(x1, y1) <= 2) & (np.minimum(x0, y0) >= -1) & (width + height > 4)
        first &= (x1 - x0 <= 1) & (y1 - y0 <= 1)
        whole = (x0 % 1 == 0) & (y0 % 1 == 0) & (x1 % 1 == 0) & (y1 % 1 == 0)
        self._boxes += len(placed)
        self._labels = self._labels or placed[0][0].labels
        self._reach = max(self._reach, float(np.maximum(x1 / width, y1 / height).max()))
        self._leaving += int(leaving.sum())
        self._first += int(first.sum())
        self._broken += int((first & ~whole).sum())
        for name, meant in MEANT.items():
            read = meant(x0, y0, x1 - x0, y1 - y0)
            self._fitting[name] += int(_inside(*read, width, height).sum())
        if not self._example and (leaving | first).any():
            entry, found, (w, h) = placed[int((leaving | first).argmax())]
            self._labels = entry.labels
            box = ", ".join(f"{value:g}" for value in found.box)
            self._example = (
                f"such as '{found.instance}' in {entry.path} (corners {box}; the image is {w}×{h})"
            )

    def check(self, root: Path, *, official: bool) -> None:
        """Refuse boxes in another frame.

        Args:
            root: the dataset's root.
            official: whether the layout is a published one; what may also be honest is then a
                warning, because some boxes of MOT17 lie mostly outside.

        Raises:
            DataError: names the number of boxes, an example, the likely cause and the remedy.
        """
        n, stray = self._boxes, max(FEW, STRAY * self._boxes)
        leaving = self._leaving > min(stray, n / 2)
        fits = [name for name, count in self._fitting.items() if leaving and count >= FITS * n]
        certain = False
        if self._first > stray or 0 < self._first == n == self._broken:
            certain, what = True, f"{self._first} of {n} boxes lie within the first pixels"
            cause = "they are shares of the image (0 to 1); multiply them by its width and height"
        elif fits:
            certain, what = fits[0] == CORNERS, f"{self._leaving} of {n} boxes leave their images"
            cause = f"their numbers fit as {fits[0]}; write them as this format has them"
        elif self._away > max(FEW, AWAY * n):
            what = f"{self._away} of {n} boxes lie mostly outside their images (at most {AWAY:.0%}"
            what, cause = f"{what} may)", "they may belong to pictures of another size"
        else:
            self._warn(root, leaving=leaving and not official)
            return
        fault = f"{self._labels or root}: {what}, {self._example}: {cause}"
        if certain or not official:
            raise DataError(fault)
        log.warning("%s", fault)

    def _warn(self, root: Path, *, leaving: bool) -> None:
        """Say what may be honest, and may be another frame."""
        if leaving:
            what = f"{self._leaving} of {self._boxes} boxes leave their images, {self._example}"
            cause = "be of things that the border cuts, or drawn on padded pictures"
        elif self._boxes >= MANY and self._reach < CORNER:
            what = f"all {self._boxes} boxes lie in the top left quarter of their images"
            cause = "be percentages, or belong to smaller pictures"
        else:
            return
        seen = "look at them with `patchlens datasets check`"
        log.warning("%s: %s: they may %s; %s", self._labels or root, what, cause, seen)


def _inside(x0: Floats, y0: Floats, x1: Floats, y1: Floats, width: Floats, height: Floats) -> Bools:
    pixels, share = MARGIN
    across, down = np.maximum(pixels, share * width), np.maximum(pixels, share * height)
    inside: Bools = (x0 >= -across) & (y0 >= -down) & (x1 <= width + across)
    return inside & (y1 <= height + down) & (x1 > x0) & (y1 > y0)
