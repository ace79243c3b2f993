"""T2, instance identification: find a patch or object of a degraded copy in clean images.

All queries of a head, of all conditions, are searched at once.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from patchlens.arrays import Array, Bools
from patchlens.features.cell import IMAGES
from patchlens.features.device import Where
from patchlens.features.variants import Transform
from patchlens.settings.base import Distance
from patchlens.tasks.identification.heads import Head
from patchlens.tasks.knn import search

ReadPatches = Callable[[range], Array]
TOP = 5


def hits(
    heads: Sequence[Head],
    clean: ReadPatches,
    degraded: ReadPatches,
    transform: Transform,
    distance: Distance,
    device: Where,
) -> list[tuple[Bools, Bools]]:
    """Whether the nearest neighbour, and one of the five nearest, of each query is a hit.

    Args:
        heads: one or more, with the same images and copies, each with a query or more.
        clean: rows of the gallery's images -> patch features [n, h, w, D].
        degraded: rows of the copies -> patch features [n, h, w, D].
        transform: the variant; it sees patches, before they are pooled.
        distance: of the search.
        device: where to search.

    Returns:
        Top-1 and top-5 hits [Q] of each head. If all are equally similar (no dimension is left),
        the first items of the gallery are returned.
    """
    found = []
    images, copies = len(heads[0].gallery), len(heads[0].queries)
    banks = _pooled([head.chunks[0] for head in heads], images, clean, transform)
    wanted = _pooled([head.chunks[1] for head in heads], copies, degraded, transform)
    for head, bank, queries in zip(heads, banks, wanted, strict=True):
        k = min(TOP, len(bank))
        _, rows = search(bank, queries, k, distance=distance, device=device)
        right = head.labels[rows] == head.targets[:, None]
        found.append((right[:, 0], right.any(axis=1)))
    return found


def _pooled(
    chunks: Sequence[Sequence[Any]], images: int, features: ReadPatches, transform: Transform
) -> list[Array]:
    """Weighted means of patches after a transform [sum of n, D'] of each head."""
    parts: list[list[Array]] = [[] for _ in chunks]
    for i, start in enumerate(range(0, images, IMAGES)):
        patches = features(range(start, min(start + IMAGES, images)))
        flat = transform(patches.reshape(-1, patches.shape[-1]))
        for part, of_head in zip(parts, chunks, strict=True):
            part.append(np.asarray(of_head[i] @ flat))
    return [np.concatenate(part) for part in parts]
