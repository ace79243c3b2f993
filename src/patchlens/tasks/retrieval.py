"""T3, object retrieval: an object of one image finds the same object in all others."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]
Bools = NDArray[np.bool_]
BLOCK = 512  # queries ranked at a time


@dataclass(frozen=True)
class Objects:
    """The objects of a gallery, each of which is also a query.

    Attributes:
        row: the image of each, as a row of the images that features are read by [O].
        coverage: share of each patch that its mask covers [O, h, w], with a sum above 0.
        instance: what thing it is [O].
        sequence: the sequence of its image, or the image itself where there is none [O].
    """

    row: NDArray[np.int64]
    coverage: Array
    instance: NDArray[np.int64]
    sequence: NDArray[np.int64]


def patch_coverage(mask: Bools, grid: tuple[int, int]) -> Array:
    """Share of each patch [h, w] that a mask [H, W] covers; patches may cut through pixels."""
    rows, columns = (_overlap(n, cells) for n, cells in zip(mask.shape, grid, strict=True))
    return np.asarray(rows @ mask.astype(np.float32) @ columns.T, dtype=np.float32)


def _overlap(pixels: int, cells: int) -> Array:
    """Share of each cell that each pixel covers [cells, pixels]; rows sum to 1."""
    edges = np.arange(cells + 1) * (pixels / cells)
    left = np.maximum(edges[:-1, None], np.arange(pixels))
    right = np.minimum(edges[1:, None], np.arange(1, pixels + 1))
    return np.asarray(np.clip(right - left, 0, None) * (cells / pixels), dtype=np.float32)


def object_features(
    objects: Objects, images: int, features: Callable[[range], Array], chunk: int = 32
) -> Array:
    """The mean of each object's patches, weighted by how much of them its mask covers [O, D].

    Args:
        objects: the objects.
        images: number of images.
        features: rows of the images -> patch features [n, h, w, D'], after any variant.
        chunk: images in memory at a time.
    """
    out: Array | None = None
    for start in range(0, images, chunk):
        rows = range(start, min(start + chunk, images))
        patches = features(rows)
        if out is None:
            out = np.zeros((len(objects.row), patches.shape[-1]), dtype=np.float32)
        for o in np.flatnonzero((objects.row >= rows.start) & (objects.row < rows.stop)):
            weights = objects.coverage[o] / objects.coverage[o].sum()
            out[o] = np.tensordot(weights, patches[objects.row[o] - start], axes=2)
    assert out is not None
    return out


def instance_map(similarity: Callable[[slice], Array], objects: Objects) -> tuple[float, int]:
    """Mean step-wise average precision of instance retrieval, and the number of queries.

    Every object queries all others; left out are the objects of its own image and its own
    sequence. Relevant is the same instance. A query without a relevant object is no query.

    Args:
        similarity: a slice of queries -> similarity with every object [n, O].
        objects: the objects.
    """
    precisions: list[float] = []
    for start in range(0, len(objects.row), BLOCK):
        block = slice(start, start + BLOCK)
        allowed = objects.sequence[block, None] != objects.sequence
        relevant = (objects.instance[block, None] == objects.instance) & allowed
        scores = np.where(allowed, similarity(block), -np.inf)
        order = np.argsort(-scores, axis=1, kind="stable")
        hits = np.take_along_axis(relevant, order, axis=1)
        precisions += [average_precision(row) for row in hits if row.any()]
    return float(np.mean(precisions)) if precisions else 0.0, len(precisions)


def average_precision(hits: Sequence[bool] | Bools) -> float:
    """Step-wise average precision of a ranked list: the mean precision at each relevant rank.

    This is what scikit-learn's `average_precision_score` gives for a list without ties.
    """
    ranks = np.flatnonzero(hits) + 1
    return float(np.mean(np.arange(1, len(ranks) + 1) / ranks))
