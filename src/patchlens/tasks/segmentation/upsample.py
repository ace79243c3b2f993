"""From patch scores to a class of each pixel."""

from functools import cache

import numpy as np
from numpy.typing import NDArray

from patchlens.arrays import Array, Ints

TIE = 1e-6  # shares and probabilities nearer than this are equal


def upsampled_argmax(scores: Array, size: tuple[int, int]) -> NDArray[np.int64]:
    """Class of each pixel [H, W]: class scores [h, w, C] bilinearly upsampled, then argmax.

    The corners of the image are aligned, not the centres of the corner pixels
    (`align_corners=False`). Scores that differ by less than about 1e-6 go to the lower class id.
    """
    # A class without any score in the image cannot win: skip it.
    present = np.flatnonzero(scores.reshape(-1, scores.shape[-1]).max(axis=0) > 0)
    # Votes are often equal, and interpolation rounds equal maps differently (a value's place in its
    # vector register decides): a handicap above rounding makes the lower id win everywhere.
    handicapped = scores[..., present] - TIE * np.arange(len(present), dtype=np.float32)
    (above, below, down), (left, _, along) = map(_ends, size, scores.shape[:2])
    maps = np.moveaxis(handicapped, -1, 0)
    tall = maps[:, above] + (maps[:, below] - maps[:, above]) * down[:, None]
    # Columns first, [C, w, H]: numpy copies whole rows several times sooner than columns.
    tall = np.ascontiguousarray(tall.swapaxes(1, 2))
    best = np.full(size[::-1], -np.inf, dtype=np.float32)
    winner = np.zeros(size[::-1], dtype=np.int16)
    for i, columns in enumerate(tall):
        steps = np.diff(columns, axis=0, append=columns[-1:])
        large = steps[left]
        large *= along[:, None]
        large += columns[left]
        better = large > best
        np.copyto(winner, i, where=better)
        np.copyto(best, large, where=better)
    return present[winner.T]


@cache
def _ends(pixels: int, cells: int) -> tuple[Ints, Ints, Array]:
    """The cells on both sides of each of a row of pixels, and its place between their centres."""
    centre = ((np.arange(pixels) + 0.5) * (cells / pixels) - 0.5).clip(0, cells - 1)
    low = np.floor(centre).astype(np.int64)
    return low, np.minimum(low + 1, cells - 1), (centre - low).astype(np.float32)
