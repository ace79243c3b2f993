"""Exact nearest neighbours for nested sets of dimensions, cheaper than separate searches.

Dropping the m dimensions of highest variance for growing m keeps sets that lie inside each other.
Inner products are summed from the smallest kept set upwards, each set adding only the dimensions
that the one before lacked. Nothing large is ever subtracted, so the sums are as exact as those of
separate searches: neighbours differ only where similarities are equal to rounding.
"""

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple

import faiss
import numpy as np
from scipy.linalg.blas import sgemm

from patchlens.arrays import Array, Ints
from patchlens.features.device import Where
from patchlens.settings.base import Distance
from patchlens.tasks.knn import check_k, in_order, search

BLOCK = 256  # queries per block: their products stay in the processor's cache


class Neighbours(NamedTuple):
    """The neighbours for one kept set: as `knn.search` returns them."""

    size: int
    similarity: Array
    rows: Ints


class NestedBank:
    """A memory bank that is searched over each prefix of an order of its dimensions.

    On a GPU, where a search takes no time, these are separate searches.

    Args:
        bank: features [N, D].
        order: dimensions [D], those kept longest first.
        sizes: lengths of the prefixes, ascending, each in 1..D.
        distance: as in `knn.search`, taken over the kept dimensions.
        device: where to compute.
    """

    def __init__(
        self, bank: Array, order: Ints, sizes: Sequence[int], *, distance: Distance, device: Where
    ) -> None:
        self._bank, self._order, self._sizes = bank, order, sizes
        self._distance: Distance = distance
        self._device: Where = device
        # The columns that each prefix adds to the one before.
        self._added = [order[a:b] for a, b in pairwise([0, *sizes])]
        self._parts = [np.ascontiguousarray(bank[:, columns]) for columns in self._added]
        self._scales = [_scale(squares, distance) for squares in _squares(self._parts)]

    def search(self, queries: Array, k: int) -> Iterator[Neighbours]:
        """The k most similar bank rows of each query [Q, D], one `Neighbours` per size.

        Raises:
            FitError: the bank holds fewer than k rows.
        """
        check_k(k, len(self._bank))
        if self._device != "cpu":
            yield from self._apart(queries, k)
            return
        similarity = [np.empty((len(queries), k), dtype=np.float32) for _ in self._sizes]
        rows = [np.empty((len(queries), k), dtype=np.int64) for _ in self._sizes]
        for start in range(0, len(queries), BLOCK):
            block = queries[start : start + BLOCK]
            parts = [np.ascontiguousarray(block[:, columns]) for columns in self._added]
            products = np.zeros((len(block), len(self._bank)), dtype=np.float32).T
            scores = np.empty_like(products.T)
            for i, own in enumerate(_squares(parts)):
                # BLAS counts columns first: all of these are views, and the sum is made in place.
                into = {"beta": 1, "c": products, "overwrite_c": 1}
                sgemm(1, self._parts[i].T, parts[i].T, trans_a=1, **into)
                _scores(products.T, self._scales[i], self._distance, scores)
                here = slice(start, start + len(block))
                _top(scores, similarity[i][here], rows[i][here])
                _complete(similarity[i][here], own[:, None], self._distance)
        for i, size in enumerate(self._sizes):
            yield Neighbours(size, *in_order(similarity[i], rows[i]))

    def _apart(self, queries: Array, k: int) -> Iterator[Neighbours]:
        for size in self._sizes:
            kept = self._order[:size]
            bank, wanted = self._bank[:, kept], queries[:, kept]
            yield Neighbours(
                size, *search(bank, wanted, k, distance=self._distance, device=self._device)
            )


def _squares(parts: Sequence[Array]) -> Iterator[Array]:
    """Squared norms [n] over each prefix, from the columns that each adds."""
    summed = np.zeros(len(parts[0]) if parts else 0)
    for part in parts:
        summed += np.einsum("nd,nd->n", part, part, dtype=np.float64)
        yield summed.astype(np.float32)


def _scores(products: Array, scale: Array, distance: Distance, out: Array) -> None:
    """What orders the bank for each query: the similarity without the query's own norm."""
    if distance == "cosine":
        np.multiply(products, scale, out=out)
    elif distance == "l2":
        np.subtract(products, scale, out=out)
    else:
        np.copyto(out, products)


def _scale(squares: Array, distance: Distance) -> Array:
    """What `_scores` does with the norms of the bank [N]: divides by them, or takes half off."""
    return np.asarray(squares / 2) if distance == "l2" else _inverse_root(squares)


def _complete(scores: Array, own: Array, distance: Distance) -> None:
    """Make scores the similarity itself, with the squared norm of each query [Q, 1]."""
    if distance == "cosine":
        scores *= _inverse_root(own)
    elif distance == "l2":
        scores *= 2
        scores -= own


def _inverse_root(squares: Array) -> Array:
    # A zero row has similarity 0 with everything, as in `unit_rows`.
    root = np.sqrt(squares)
    out = np.zeros_like(squares)
    np.divide(1, root, out=out, where=root > 0)
    return out


def _top(scores: Array, best: Array, rows: Ints) -> None:
    """Write the k largest of each row [Q, N] and their places, [Q, k] each, in any order.

    faiss's own selection, with which its searches end.
    """
    heaps = faiss.float_minheap_array_t()
    heaps.nh, heaps.k = best.shape
    heaps.val, heaps.ids = faiss.swig_ptr(best), faiss.swig_ptr(rows)
    heaps.heapify()
    heaps.addn(scores.shape[1], faiss.swig_ptr(scores))
