"""From patch scores to a class of each pixel."""

from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from patchlens.arrays import Array, Ints

TIE = 1e-6  # shares and probabilities nearer than this are equal
FEW = 48  # classes, of which upsampling all is sooner done than finding those that may win
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
    rows, columns = (_ends(*pair) for pair in zip(size, scores.shape[:2], strict=True))
    pick = _of_all if len(present) <= FEW else _of_likely
    return present[pick(handicapped, rows, columns).T]


# For each of a row of pixels: the patches on both sides, and its place between their centres.
_Ends = tuple[Ints, Ints, Array]


def _of_all(scores: Array, rows: _Ends, columns: _Ends) -> NDArray[np.uint8]:
    """The number of the winner [W, H] from the map of every class.

    Columns come first, as numpy copies whole rows several times sooner than columns, and what is
    written once for each class is one array for all of them: new ones cost as much as the sums.
    """
    (above, below, down), (left, _, along) = rows, columns
    maps = np.ascontiguousarray(scores.T)
    tall, low = (np.take(maps, ends, axis=2) for ends in (below, above))
    tall -= low
    tall *= down
    tall += low
    rise = np.diff(tall, axis=1, append=tall[:, -1:])
    shape = len(left), len(above)
    large, beside = np.empty((2, *shape), dtype=np.float32)
    best = np.full(shape, -np.inf, dtype=np.float32)
    winner, own = np.zeros((2, *shape), dtype=np.uint8)
    for i, (from_left, to_right) in enumerate(zip(tall, rise, strict=True)):
        np.take(to_right, left, axis=0, out=large, mode="clip")  # unlike "raise", without a copy
        large *= along[:, None]
        large += np.take(from_left, left, axis=0, out=beside, mode="clip")
        np.greater(large, best, out=own.view(bool))
        np.maximum(best, large, out=best)
        np.maximum(winner, np.multiply(own, np.uint8(i), out=own), out=winner)
    return winner


def _of_likely(scores: Array, rows: _Ends, columns: _Ends) -> NDArray[np.int16]:
    """The same from the maps of the classes that may win between each four patches."""
    (above, _, down), (left, _, along) = rows, columns
    corners, classes, count = _candidates(scores)
    best = np.full((len(left), len(above)), -np.inf, dtype=np.float32)
    winner = np.zeros(best.shape, dtype=np.int16)
    for i, ids in enumerate(classes):
        at = np.flatnonzero(np.asarray((count > i).any(axis=0))[left])
        one, beside = (
            high.T[:, above] + (low.T[:, above] - high.T[:, above]) * down
            for high, low in zip(corners[0, :, i], corners[1, :, i], strict=True)
        )
        large = (beside - one)[left[at]]
        large *= along[at, None]
        large += one[left[at]]
        better = large > best[at]
        winner[at] = np.where(better, ids.T[:, above][left[at]], winner[at])
        best[at] = np.where(better, large, best[at])
    return winner


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
