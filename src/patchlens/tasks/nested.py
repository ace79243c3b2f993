"""Exact nearest neighbours for many nested sets of dimensions at the price of about one search.

Dropping the m dimensions of highest variance for growing m keeps sets that lie inside each other.
Inner products are summed from the smallest kept set upwards, each set adding only the dimensions
that the one before lacked. Nothing large is ever subtracted, so the sums are as exact as those of
separate searches: neighbours differ only where similarities are equal to rounding.
"""

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from patchlens.tasks.knn import Array, Distance, Ints, check_k, in_order

BLOCK = 256  # queries a block: their products stay in the processor's cache
GROUP = 16  # columns whose maximum stands for them


class Found(NamedTuple):
    """The neighbours for one kept set: as `knn.search` returns them."""

    size: int
    similarity: Array
    rows: Ints


def nested_search(
    bank: Array,
    queries: Array,
    order: Ints,
    sizes: Sequence[int],
    k: int,
    *,
    distance: Distance,
    device: torch.device,
) -> Iterator[Found]:
    """The k most similar bank rows of each query, for each prefix of `order`.

    Args:
        bank: features [N, D].
        queries: features [Q, D].
        order: dimensions [D], those kept longest first.
        sizes: lengths of the prefixes, ascending, each in 1..D.
        k: neighbours, at most N.
        distance: as in `knn.search`, taken over the kept dimensions.
        device: where to compute.

    Yields:
        One `Found` a size, in the order of `sizes`.

    Raises:
        FitError: the bank holds fewer than k rows.
    """
    check_k(k, len(bank))
    last = sizes[-1]
    columns = order[:last]
    matrix = torch.from_numpy(np.ascontiguousarray(bank[:, columns])).to(device)
    edges = [0, *sizes]
    parts = [matrix[:, a:b].T.contiguous() for a, b in pairwise(edges)]
    scales = [_scale(squares, distance) for squares in _squares(bank[:, columns], sizes, device)]
    similarity = [np.empty((len(queries), k), dtype=np.float32) for _ in sizes]
    rows = [np.empty((len(queries), k), dtype=np.int64) for _ in sizes]
    # Allocated once: blocks this large are slow to ask for.
    buffers = torch.empty((2, BLOCK, len(matrix)), device=device)
    for start in range(0, len(queries), BLOCK):
        raw = np.ascontiguousarray(queries[start : start + BLOCK][:, columns])
        block = torch.from_numpy(raw).to(device)
        products, scores = buffers[:, : len(block)]
        products.zero_()
        for i, own in enumerate(_squares(raw, sizes, device)):
            products.addmm_(block[:, edges[i] : edges[i + 1]], parts[i])
            found, where = _top(_scores(products, scales[i], distance, scores), k)
            found = _complete(found, own[:, None], distance)
            similarity[i][start : start + BLOCK] = found.cpu().numpy()
            rows[i][start : start + BLOCK] = where.cpu().numpy()
    for i, size in enumerate(sizes):
        yield Found(size, *in_order(similarity[i], rows[i]))


def _scores(
    products: torch.Tensor, scale: torch.Tensor, distance: Distance, out: torch.Tensor
) -> torch.Tensor:
    """What orders the bank for each query: the similarity without the query's own norm."""
    if distance == "cosine":
        return torch.mul(products, scale, out=out)
    return torch.sub(products, scale, out=out) if distance == "l2" else products


def _scale(squares: torch.Tensor, distance: Distance) -> torch.Tensor:
    """What `_scores` does with the norms of the bank [N]: divides by them, or takes half off."""
    return squares / 2 if distance == "l2" else _inverse_root(squares)


def _complete(scores: torch.Tensor, own: torch.Tensor, distance: Distance) -> torch.Tensor:
    """The similarity itself, of the few that were found."""
    if distance == "cosine":
        return scores * _inverse_root(own)
    return 2 * scores - own if distance == "l2" else scores


def _inverse_root(squares: torch.Tensor) -> torch.Tensor:
    # A zero row has similarity 0 with everything, as in `unit_rows`.
    return torch.where(squares > 0, squares.rsqrt(), 0)


def _top(scores: torch.Tensor, k: int) -> tuple[torch.Tensor, torch.Tensor]:
    """The k largest of each row and their places, exactly, several times sooner than by topk.

    Columns are dealt to groups of `GROUP`; the k largest lie in the k groups of largest maximum.
    """
    width = scores.shape[1]
    groups = width // GROUP
    if groups <= k:
        return scores.topk(k, dim=1)
    grouped = scores[:, : groups * GROUP].reshape(-1, GROUP, groups)
    best = grouped.amax(dim=1).topk(k, dim=1, sorted=False).indices
    members = torch.arange(GROUP, device=scores.device) * groups
    places = (best[:, None, :] + members[:, None]).flatten(1)
    rest = torch.arange(groups * GROUP, width, device=scores.device)
    places = torch.cat([places, rest.expand(len(scores), -1)], dim=1)
    found, where = scores.gather(1, places).topk(k, dim=1)
    return found, places.gather(1, where)


def _squares(
    x: NDArray[np.float32], sizes: Sequence[int], device: torch.device
) -> list[torch.Tensor]:
    """Squared norms [n] over the first `size` columns, for each size."""
    summed = np.cumsum(np.square(x, dtype=np.float64), axis=1)
    return [torch.from_numpy(summed[:, s - 1].astype(np.float32)).to(device) for s in sizes]
