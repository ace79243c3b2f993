"""From patch scores to a class of each pixel."""

from collections.abc import Iterator
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from patchlens.arrays import Array, Ints

TIE = 1e-6  # shares and probabilities nearer than this are equal
FEW = 24  # classes, of which upsampling all is sooner done than finding those that may win
AT_ONCE = 1 << 28  # values that are upsampled at once on a GPU: 1 GB


def upsampled_argmax(scores: Any, size: tuple[int, int]) -> NDArray[np.int64]:
    """Class of each pixel [H, W]: class scores [h, w, C] bilinearly upsampled, then argmax.

    The corners of the image are aligned, not the centres of the corner pixels
    (`align_corners=False`). Scores are 0 or more; those that differ by less than about 1e-6 go to
    the lower class id. Scores in torch are upsampled on their device.
    """
    if not isinstance(scores, np.ndarray):
        return _on_device(scores, size)
    # A class without any score in the image cannot win: skip it.
    present = np.flatnonzero(scores.reshape(-1, scores.shape[-1]).max(axis=0) > 0)
    # Votes are often equal, and interpolation rounds equal maps differently (a value's place in its
    # vector register decides): a handicap above rounding makes the lower id win everywhere.
    handicapped = scores[..., present] - TIE * np.arange(len(present), dtype=np.float32)
    ends = [_ends(*pair) for pair in zip(size, scores.shape[:2], strict=True)]
    best = np.full(size[::-1], -np.inf, dtype=np.float32)
    winner = np.zeros(size[::-1], dtype=np.int16)
    maps = _all if len(present) <= FEW else _likely
    for columns, ids, large in maps(handicapped, *ends):
        if isinstance(columns, slice):
            better = large > best
            np.copyto(winner, ids, where=better)
            np.copyto(best, large, where=better)
        else:
            better = large > best[columns]
            winner[columns] = np.where(better, ids, winner[columns])
            best[columns] = np.where(better, large, best[columns])
    return np.asarray(present[winner.T])


# Upsampled scores: the columns of pixels, the numbers of their classes, and the scores [w, H].
# Columns come first, because numpy copies whole rows several times sooner than columns.
_Maps = Iterator[tuple[slice | Ints, Any, Array]]
_Ends = tuple[Ints, Ints, Array]


def _all(scores: Array, rows: _Ends, columns: _Ends) -> _Maps:
    """The map of every class."""
    (above, below, down), (left, _, along) = rows, columns
    maps = np.moveaxis(scores, -1, 0)
    tall = maps[:, above] + (maps[:, below] - maps[:, above]) * down[:, None]
    for i, one in enumerate(np.ascontiguousarray(tall.swapaxes(1, 2))):
        large = np.diff(one, axis=0, append=one[-1:])[left]
        large *= along[:, None]
        large += one[left]
        yield slice(None), i, large


def _likely(scores: Array, rows: _Ends, columns: _Ends) -> _Maps:
    """Between each four patches, one map after the other of the classes that may win there."""
    (above, _, down), (left, _, along) = rows, columns
    corners, classes, count = _candidates(scores)
    for i, ids in enumerate(classes):
        at = np.flatnonzero(np.asarray((count > i).any(axis=0))[left])
        one, beside = (
            high.T[:, above] + (low.T[:, above] - high.T[:, above]) * down
            for high, low in zip(corners[0, :, i], corners[1, :, i], strict=True)
        )
        large = (beside - one)[left[at]]
        large *= along[at, None]
        large += one[left[at]]
        yield at, ids.T[:, above][left[at]], large


def _candidates(scores: Array) -> tuple[Array, NDArray[np.int16], Ints]:
    """The classes that may win between a patch and those right of it and below, and their corners.

    With weights w of the four corners, whose highest scores are M, the class that is highest at a
    corner has w M there, and the largest of the four is 1 / Σ 1/M or more, wherever the pixel is:
    a class that is lower at every corner cannot win. Nor can one that is lower than another at each
    of the four, here than the one with the largest sum.

    Returns:
        Scores at the corners [2, 2, n, h, w] (above and below, left and right) of the classes
        [n, h, w], ascending, and how many they are [h, w]; the first is repeated where there are
        fewer.
    """
    height, width, classes = scores.shape
    padded = np.pad(scores, ((0, 1), (0, 1), (0, 0)), mode="edge")
    corners = np.stack([padded[y : y + height, x : x + width] for y in (0, 1) for x in (0, 1)])
    with np.errstate(divide="ignore"):
        least = 1 / (1 / corners.max(axis=3).clip(0)).sum(axis=0)
    # The handicap takes up to C·TIE off; one more is for rounding.
    alive = corners.max(axis=0) >= least[..., None] - TIE * (classes + 1)
    top = corners.sum(axis=0).argmax(axis=2)[..., None]
    alive &= (corners > np.take_along_axis(corners, top[None], 3) - TIE).any(axis=0)
    np.put_along_axis(alive, top, True, 2)
    y, x, found = np.nonzero(alive)
    count = np.asarray(alive.sum(axis=2))
    starts = np.cumsum(count.ravel()) - count.ravel()
    number = np.arange(len(found)) - np.repeat(starts, count.ravel())
    chosen = np.broadcast_to(found[starts].reshape(count.shape), (count.max(), *count.shape)).copy()
    chosen[number, y, x] = found
    at = np.ix_((0, 1), (0, 1), range(len(chosen)), range(height), range(width))
    values = padded[at[3] + at[0], at[4] + at[1], chosen]
    return values, chosen.astype(np.int16), count


def _on_device(scores: Any, size: tuple[int, int]) -> NDArray[np.int64]:
    """The same in torch, without pruning: some classes at a time, so that they fit."""
    import torch
    from torch.nn.functional import interpolate

    handicap = TIE * torch.arange(scores.shape[2], device=scores.device, dtype=torch.float32)
    maps = (scores - handicap).permute(2, 0, 1)[None]
    best: Any = None
    winner: Any = None
    for start in range(0, maps.shape[1], step := max(1, AT_ONCE // (size[0] * size[1]))):
        large = interpolate(maps[:, start : start + step], size, mode="bilinear")[0]
        value, place = large.max(dim=0)
        better = value > best if best is not None else torch.ones_like(place, dtype=torch.bool)
        best = value if best is None else torch.where(better, value, best)
        winner = place if winner is None else torch.where(better, place + start, winner)
    return np.asarray(winner.cpu().numpy())


@cache
def _ends(pixels: int, cells: int) -> tuple[Ints, Ints, Array]:
    """The cells on both sides of each of a row of pixels, and its place between their centres."""
    centre = ((np.arange(pixels) + 0.5) * (cells / pixels) - 0.5).clip(0, cells - 1)
    low = np.floor(centre).astype(np.int64)
    return low, np.minimum(low + 1, cells - 1), (centre - low).astype(np.float32)
