"""A video as T4 sees it: its evaluated objects, frame by frame."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from patchlens.arrays import Array, Bools, Floats, Ints

DECIMALS = 6  # of a cosine: equal features must tie, whatever the last bits say


@dataclass(frozen=True)
class Video:
    """The evaluated objects [O] of one video, in the order of its frames.

    Attributes:
        name: of the sequence.
        frames: the frame numbers [F], ascending, with those of frames without objects.
        frame: the frame number of each object.
        instance: what thing each is.
        class_id: its class.
        boxes: x0, y0, x1, y1 [O, 4] in pixels, 0-based, x1 and y1 exclusive.
        placed: False for an object whose box lies outside its image: it has no feature.
    """

    name: str
    frames: Ints
    frame: Ints
    instance: Ints
    class_id: Ints
    boxes: Floats
    placed: Bools

    def __len__(self) -> int:
        return len(self.frame)

    def by_frame(self) -> Iterator[tuple[int, Ints]]:
        """Every frame number with the positions of its objects."""
        starts = np.searchsorted(self.frame, self.frames, side="left")
        stops = np.searchsorted(self.frame, self.frames, side="right")
        for number, start, stop in zip(self.frames, starts, stops, strict=True):
            yield int(number), np.arange(start, stop)


def cosines(rows: Array, columns: Array) -> Array:
    """Cosines [n, m] of features of length 1 [n, D] and [m, D]; 0 where D is 0."""
    return np.asarray(np.round(rows @ columns.T, DECIMALS))
