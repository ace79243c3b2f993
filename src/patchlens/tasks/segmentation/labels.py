"""From a label mask to one label per patch."""

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from patchlens.arrays import Labels
from patchlens.datasets.layout import IGNORE


def patch_labels(
    mask: Labels, grid: tuple[int, int], classes: int, rule: Literal["majority", "nearest"]
) -> Labels:
    """Class id of each patch [h, w], `IGNORE` where fewer than half of its pixels are labelled.

    `majority`: the commonest class among the labelled pixels, the lower id where two are equal.
    `nearest`: the class of the pixel nearest to the patch centre.

    Args:
        mask: class ids [H, W], `IGNORE` (255) where nothing counts.
        grid: patch rows and columns; a pixel belongs to the patch that its centre lies in.
        classes: number of classes.
        rule: see above.
    """
    rows, columns = _cells(mask.shape[0], grid[0]), _cells(mask.shape[1], grid[1])
    cell = rows[:, None] * grid[1] + columns[None, :]
    size = np.bincount(cell.ravel(), minlength=grid[0] * grid[1])
    keep = mask != IGNORE
    votes = np.bincount(
        cell[keep] * classes + mask[keep].astype(np.int64), minlength=len(size) * classes
    ).reshape(-1, classes)
    if rule == "majority":
        labels = votes.argmax(axis=1).astype(np.uint8)
    else:
        labels = mask[np.ix_(_centres(mask.shape[0], grid[0]), _centres(mask.shape[1], grid[1]))]
        labels = labels.ravel()
    # A grid finer than the mask has patches without a pixel: they have no label either.
    enough = 2 * votes.sum(axis=1) >= np.maximum(size, 1)
    return np.where(enough, labels, IGNORE).astype(np.uint8).reshape(grid)


def _cells(pixels: int, patches: int) -> NDArray[np.int64]:
    """The patch that each pixel's centre lies in."""
    return (2 * np.arange(pixels, dtype=np.int64) + 1) * patches // (2 * pixels)


def _centres(pixels: int, patches: int) -> NDArray[np.int64]:
    """The pixel that each patch's centre lies in (the right one, if it lies between two)."""
    return (2 * np.arange(patches, dtype=np.int64) + 1) * pixels // (2 * patches)
