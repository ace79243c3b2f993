"""Exact nearest neighbours for nested sets of dimensions, cheaper than separate searches.

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

from patchlens.arrays import Array, Ints
from patchlens.features.device import Where
from patchlens.settings.base import Distance
from patchlens.tasks.knn import check_k, in_order

BLOCK = 256  # queries per block: their products stay in the processor's cache
GROUP = 16  # columns whose maximum stands for them


class Neighbours(NamedTuple):
    """The neighbours for one kept set: as `knn.search` returns them."""

    size: int
    similarity: Array
    rows: Ints


class NestedBank:
    """A memory bank that is searched over each prefix of an order of its dimensions.

    Args:
        bank: features [N, D].
        order: dimensions [D], those kept longest first.
        sizes: lengths of the prefixes, ascending, each in 1..D.
        distance: as in `knn.search`, taken over the kept dimensions.
        device: where to compute.
    """

    def __init__(
        self,
        bank: Array,
        order: Ints,
        sizes: Sequence[int],
        *,
        distance: Distance,
        device: Where,
    ) -> None:
        self._sizes = sizes
        self._distance: Distance = distance
        self._device = device
        # The columns that each prefix adds to the one before.
        self._added = [order[a:b] for a, b in pairwise([0, *sizes])]
        self._rows = len(bank)
        parts = [np.ascontiguousarray(bank[:, columns]) for columns in self._added]
        self._parts = [torch.from_numpy(part).to(device).T.contiguous() for part in parts]
        self._scales = [_scale(squares, distance) for squares in self._squares(parts)]

    def search(self, queries: Array, k: int) -> Iterator[Neighbours]:
        """The k most similar bank rows of each query [Q, D], one `Neighbours` per size.

        Raises:
            FitError: the bank holds fewer than k rows.
        """
        check_k(k, self._rows)
        similarity = [np.empty((len(queries), k), dtype=np.float32) for _ in self._sizes]
        rows = [np.empty((len(queries), k), dtype=np.int64) for _ in self._sizes]
        # Allocated once: blocks this large are slow to ask for.
        buffers = torch.empty((2, BLOCK, self._rows), device=self._device)
        for start in range(0, len(queries), BLOCK):
            block = queries[start : start + BLOCK]
            parts = [np.ascontiguousarray(block[:, columns]) for columns in self._added]
            products, scores = buffers[:, : len(block)]
            for i, own in enumerate(self._squares(parts)):
                # β = 0 for the first part: what the buffer holds is not read.
                added = torch.from_numpy(parts[i]).to(self._device)
                products.addmm_(added, self._parts[i], beta=float(i > 0))
                ordered = _scores(products, self._scales[i], self._distance, scores)
                found, where = _top(ordered, k)
                found = _complete(found, own[:, None], self._distance)
                similarity[i][start : start + BLOCK] = found.cpu().numpy()
                rows[i][start : start + BLOCK] = where.cpu().numpy()
        for i, size in enumerate(self._sizes):
            yield Neighbours(size, *in_order(similarity[i], rows[i]))

    def _squares(self, parts: Sequence[NDArray[np.float32]]) -> list[torch.Tensor]:
        """Squared norms [n] over each prefix, from the columns that each adds."""
        summed, found = np.zeros(len(parts[0]) if parts else 0), []
        for part in parts:
            summed += np.einsum("nd,nd->n", part, part, dtype=np.float64)
            found.append(torch.from_numpy(summed.astype(np.float32)).to(self._device))
        return found


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
