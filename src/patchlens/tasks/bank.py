"""A memory bank and its exact nearest neighbours: by faiss on a CPU, in torch on a GPU."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from types import ModuleType
from typing import Any, ClassVar, NamedTuple, Protocol

import numpy as np

from patchlens.arrays import Array, Ints
from patchlens.errors import FitError
from patchlens.features.device import Where
from patchlens.features.variants import unit_rows
from patchlens.settings.base import Distance

BLOCK = 4096  # queries that are searched at once: bounds the memory besides the bank
WIDE = 65536  # rows of the bank that they meet at once on a GPU: 1 GB of products
# Of equal ones a heap drops the lowest number first, which is to be the last row; −1 is none.
LAST = -2
SMALL_BLOCK, SMALL = 256, 4096  # the same where products should stay in a processor's cache
COPIES = 4  # of a part of a bank while it is made ready: as read, chosen, transformed, of length 1


class Neighbours(NamedTuple):
    """The most similar rows of a bank, the most similar first, equal ones by row.

    Attributes:
        similarity: [Q, k], higher is nearer.
        rows: of the bank [Q, k].
    """

    similarity: Any
    rows: Any


class Rows(Protocol):
    """What a bank is made of: an array [N, D], or rows that are read when they are asked for."""

    def __len__(self) -> int: ...

    def __getitem__(self, part: slice, /) -> Any: ...


@dataclass(frozen=True)
class Turned:
    """The rows [N, D'] that a transform makes of others; each part anew when it is asked for."""

    rows: Rows
    transform: Callable[[Array], Array]

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, part: slice) -> Array:
        return self.transform(self.rows[part])


_Ready = tuple[list[Any], list[Any]]  # columns and norms of each prefix
Part = tuple[int, list[tuple[Any, Any]]]  # of a bank: the number of its first row, and the same


class Bank:
    """A memory bank, made ready once for all of its searches.

    With an order of its dimensions it is searched over each prefix of it, cheaper than apart: inner
    products are summed from the shortest prefix up, and each adds the dimensions that the one
    before lacked. Nothing large is ever subtracted, so that the sums are as exact as those of
    separate searches: neighbours differ only where similarities are equal to rounding.

    A bank that is not held is read part by part in each search, and the nearest of the parts are
    merged. The result is that of the whole to the bit: parts end where faiss and `SMALL` cut a
    whole bank too, so that the products are the same.

    Args:
        x: features [N, D].
        distance: `cosine` and `dot` give inner products, `l2` the negative squared distance, over
            the dimensions that are searched.
        device: where to search.
        order: dimensions [D], those kept longest first; None searches all dimensions at once.
        sizes: lengths of the prefixes of `order`, ascending, each in 1..D.
        torch: search in torch on a CPU too, as on a GPU.
        held: the most rows that are in memory at once, at least `SMALL`; None holds them all.
    """

    keeps_rows: ClassVar[bool] = False  # as they were given, or of length 1, once made ready

    def __init__(
        self,
        x: Rows,
        *,
        distance: Distance,
        device: Where,
        order: Ints | None = None,
        sizes: Sequence[int] = (),
        torch: bool = False,
        held: int | None = None,
    ) -> None:
        self._device = device if torch or device != "cpu" else None
        self._whole = order is None
        self._distance: Distance = distance
        # The columns that each prefix adds to the one before.
        self._added: list[Any] = [slice(None)]
        self._block, self._step = BLOCK, WIDE if self._device else max(1, len(x))
        if order is not None:
            self._added = [order[a:b] for a, b in pairwise([0, *sizes])]
            if self._device is None:
                self._block, self._step = SMALL_BLOCK, SMALL
                # Once: blocks this large are slow to ask for.
                self._buffers = np.empty((2, SMALL_BLOCK * min(SMALL, len(x))), dtype=np.float32)
        self._rows = len(x)
        self._held = held is None or held >= len(x)
        if held is not None:
            self._step = min(self._step, max(1, held // SMALL) * SMALL)
        if self._whole and distance == "cosine":
            x = unit_rows(x[:]) if self._held else Turned(x, unit_rows)
        self._x = x
        self._made = list(self._read()) if self._held else []
        if self._held and (self._device or not self._whole) and not self.keeps_rows:
            self._x = x[:0]  # made ready, it is not needed again

    def __len__(self) -> int:
        return self._rows

    def search(self, queries: Array, k: int) -> list[Neighbours]:
        """The k most similar rows of each query [Q, D], exactly, for each prefix.

        Without an order there is one result. The arrays are numpy's if faiss searches, else
        torch's on the device.

        Raises:
            FitError: there are fewer than k rows.
        """
        check_k(k, self._rows)
        starts = range(0, max(len(queries), 1), self._block)
        asked = [queries[start : start + self._block] for start in starts]
        blocks = self._blocks(asked, k)
        joined = _torch().cat if self._device else np.concatenate
        return [Neighbours(*map(joined, zip(*of, strict=True))) for of in zip(*blocks, strict=True)]

    def _blocks(self, asked: Sequence[Array], k: int) -> list[list[Neighbours]]:
        """The neighbours of each block of queries for each prefix."""
        # A bank that has to be read is read once for all queries.
        passes = [[block] for block in asked] if self._held else [asked]
        return [found for some in passes for found in self._nearest(some, k)]

    @property
    def _by_faiss(self) -> bool:
        return self._whole and self._device is None

    def _read(self) -> Iterator[Part]:
        """The parts of the bank."""
        for start in range(0, self._rows, self._step):
            ready = self._ready(self._x[start : start + self._step])
            yield start, list(zip(*ready, strict=True))

    def _nearest(self, blocks: Sequence[Array], k: int) -> list[list[Neighbours]]:
        """The neighbours of each block of queries for each prefix, in one pass over the bank."""
        unit = self._whole and self._distance == "cosine"
        asked = [self._ready(unit_rows(block) if unit else block) for block in blocks]
        return self._finished(self._among(self._made or self._read(), asked, k), asked, k)

    def _among(
        self, parts: Iterable[Part], asked: Sequence[_Ready], k: int
    ) -> list[list[Neighbours]]:
        """The nearest rows of these parts, by what orders the bank.

        Where faiss searches, one more than k, to see what is equal.
        """
        if self._by_faiss:
            wanted = min(k + 1, self._rows)
            found: list[list[Neighbours]] = [[] for _ in asked]
            for start, [(rows, _)] in parts:
                for ([block], _), of_block in zip(asked, found, strict=True):
                    near = _by_faiss(rows, block, min(wanted, len(rows)), self._distance)
                    both = [*of_block, Neighbours(near.similarity, near.rows + start)]
                    of_block[:] = [merge(both, wanted)]
            return found
        kind = _Sorted if self._device else _Heaps
        best = [[kind(len(added[0]), k) for _ in self._added] for added, _ in asked]
        for start, of_part in parts:
            for (added, _), of_best in zip(asked, best, strict=True):
                products = None
                for i, (rows, norms) in enumerate(of_part):
                    products = self._summed(products, added[i], rows)
                    of_best[i].add(self._ordered(products, norms), start)
        return [[one.neighbours() for one in of] for of in best]

    def _finished(
        self, found: list[list[Neighbours]], asked: Sequence[_Ready], k: int
    ) -> list[list[Neighbours]]:
        """The k nearest of all parts, with their similarities."""
        if self._by_faiss:
            pairs = zip(found, asked, strict=True)
            return [[self._settled(of, block, k)] for [of], ([block], _) in pairs]
        return [
            [self._scaled(one, norm) for one, norm in zip(of, own, strict=True)]
            for of, (_, own) in zip(found, asked, strict=True)
        ]

    def _scaled(self, nearest: Neighbours, own: Any) -> Neighbours:
        """Similarities from what orders the bank, with what the query's own norms do to them."""
        similarity, rows = nearest
        if self._distance == "l2":
            return Neighbours(2 * (similarity - own[:, None]), rows)
        if self._distance == "cosine" and not self._whole:
            return Neighbours(similarity * own[:, None], rows)
        return nearest

    def _settled(self, found: Neighbours, queries: Array, k: int) -> Neighbours:
        """The first k. Of equal ones at the border faiss keeps any: those are searched anew."""
        similarity, rows = found
        left = np.flatnonzero(similarity[:, k - 1] == similarity[:, -1])
        if similarity.shape[1] > k and left.size:
            [again] = self._ordered_bank.search(queries[left], k)
            similarity[left, :k], rows[left, :k] = again
        return Neighbours(similarity[:, :k], rows[:, :k])

    @cached_property
    def _ordered_bank(self) -> "Bank":
        """The same bank for searches that keep the first of equal ones, in heaps of our own."""
        distance: Distance = "l2" if self._distance == "l2" else "dot"  # of rows of length 1
        width = self._x[:1].shape[1]
        held = None if self._held else self._step
        order = np.arange(width)
        return Bank(self._x, distance=distance, device="cpu", order=order, sizes=[width], held=held)

    def _ready(self, x: Array) -> _Ready:
        """The columns [n, d] that each prefix adds, and what its norms do to products [n]."""
        parts: list[Any] = [np.ascontiguousarray(x[:, c], dtype=np.float32) for c in self._added]
        norms: list[Any] = [None] * len(parts)
        if self._distance == "l2" or (self._distance == "cosine" and not self._whole):
            squares = np.cumsum([np.einsum("nd,nd->n", p, p, dtype=np.float64) for p in parts], 0)
            # A zero row has similarity 0 with everything, as in `unit_rows`.
            inverse = np.divide(1, np.sqrt(squares), out=np.zeros_like(squares), where=squares > 0)
            norms = list((squares / 2 if self._distance == "l2" else inverse).astype(np.float32))
        if self._device:
            of = _torch().from_numpy
            parts = [of(part).to(self._device) for part in parts]
            norms = [None if norm is None else of(norm).to(self._device) for norm in norms]
        return parts, norms

    def _summed(self, products: Any, queries: Any, rows: Any) -> Any:
        """Inner products [b, n] over one more set of columns."""
        if self._device:
            return queries @ rows.T if products is None else products.addmm_(queries, rows.T)
        from scipy.linalg.blas import sgemm  # unlike numpy's, it adds to what is there

        beta, shape = float(products is not None), (len(queries), len(rows))
        out = self._buffers[0, : shape[0] * shape[1]].reshape(shape)
        sgemm(1, rows.T, queries.T, beta=beta, c=out.T, trans_a=True, overwrite_c=True)
        return out

    def _ordered(self, products: Any, norms: Any) -> Any:
        """What orders the bank [b, n]: the similarity without the query's own norm."""
        if norms is None:
            return products
        if self._device:
            return products - norms if self._distance == "l2" else products * norms
        out = self._buffers[1, : products.size].reshape(products.shape)
        return (np.subtract if self._distance == "l2" else np.multiply)(products, norms, out=out)


def merge(parts: Sequence[Neighbours], k: int) -> Neighbours:
    """The k most similar rows of a bank from those of its parts; equal ones by row.

    Args:
        parts: of the same queries [Q], in any order: the k most similar rows of each part [Q, n],
            or all where it has fewer, with their similarities and their numbers in the whole bank.
        k: neighbours; those that there are if the parts have fewer.
    """
    if len(parts) == 1:
        return Neighbours(*(found[:, :k] for found in parts[0]))
    similarity, rows = (np.concatenate(found, axis=1) for found in zip(*parts, strict=True))
    first = np.lexsort((rows, -similarity))[:, :k]
    return Neighbours(*(np.take_along_axis(found, first, 1) for found in (similarity, rows)))


def on_host(x: Any) -> Any:
    """An array of numpy."""
    return x if isinstance(x, np.ndarray) else x.cpu().numpy()


def check_k(k: int, bank: int) -> None:
    """Raise an error if the memory bank has fewer than k patches."""
    if k > bank:
        raise FitError(
            f"k = {k} exceeds the {bank} patches of the memory bank; reduce segmentation.k or "
            "k_sweep"
        )


def in_order(similarity: Array, rows: Ints) -> tuple[Array, Ints]:
    """Neighbours by similarity; equal ones, which searches return in any order, by row.

    So the first k of more neighbours mean the same.
    """
    falls, rises = similarity[:, :-1] > similarity[:, 1:], rows[:, :-1] < rows[:, 1:]
    ordered = falls | ((similarity[:, :-1] == similarity[:, 1:]) & rises)
    if not (left := np.flatnonzero(~ordered.all(axis=1))).size:  # most are, and sorting is slow
        return similarity, rows
    similarity, rows = similarity.copy(), rows.copy()
    order = np.lexsort((rows[left], -similarity[left]))
    similarity[left] = np.take_along_axis(similarity[left], order, 1)
    rows[left] = np.take_along_axis(rows[left], order, 1)
    return similarity, rows


def _by_faiss(bank: Array, queries: Array, k: int, distance: Distance) -> Neighbours:
    """Unlike an index, faiss.knn searches the array where it lies, without a copy."""
    faiss: Any = _faiss()
    metric = faiss.METRIC_L2 if distance == "l2" else faiss.METRIC_INNER_PRODUCT
    found, rows = faiss.knn(queries, bank, k, metric=metric)
    return Neighbours(*in_order(-found if distance == "l2" else found, rows))


class _Heaps:
    """The k largest scores of each row, of parts that are added; faiss selects them."""

    def __init__(self, rows: int, k: int) -> None:
        self._values = np.empty((rows, k), dtype=np.float32)
        self._places = np.empty((rows, k), dtype=np.int64)
        self._faiss: Any = _faiss()
        self._heaps = self._faiss.float_minheap_array_t()
        self._heaps.nh, self._heaps.k = rows, k
        self._heaps.val = self._faiss.swig_ptr(self._values)
        self._heaps.ids = self._faiss.swig_ptr(self._places)
        self._heaps.heapify()

    def add(self, scores: Array, start: int) -> None:
        numbers = LAST - np.arange(start, start + scores.shape[1])
        self._heaps.addn_with_ids(
            scores.shape[1], self._faiss.swig_ptr(scores), self._faiss.swig_ptr(numbers), 0
        )

    def neighbours(self) -> Neighbours:
        self._heaps.reorder()
        return Neighbours(*in_order(self._values, LAST - self._places))


class _Sorted:
    """The same in torch."""

    def __init__(self, _: int, k: int) -> None:
        self._k = k
        self._best: Neighbours | None = None

    def add(self, scores: Any, start: int) -> None:
        torch, k = _torch(), self._k
        rows = torch.arange(start, start + scores.shape[1], device=scores.device)
        rows = rows.expand(len(scores), -1)
        if self._best is not None:
            scores = torch.cat([self._best.similarity, scores], dim=1)
            rows = torch.cat([self._best.rows, rows], dim=1)
        if k < scores.shape[1]:
            least = scores.topk(k, dim=1).values[:, -1:]
            kept = scores >= least
            if int(kept.sum(dim=1).max()) > k:  # of those that equal the least, the first rows
                equal = scores == least
                spare = k - (scores > least).sum(dim=1, keepdim=True)
                kept &= ~equal | (equal.cumsum(dim=1, dtype=torch.int32) <= spare)
            columns = kept.nonzero()[:, 1].reshape(len(scores), k)
            scores, rows = scores.gather(1, columns), rows.gather(1, columns)
        self._best = Neighbours(scores, rows)

    def neighbours(self) -> Neighbours:
        assert self._best is not None
        scores, rows = self._best
        order = scores.argsort(dim=1, descending=True, stable=True)
        return Neighbours(scores.gather(1, order), rows.gather(1, order))


def _faiss() -> ModuleType:
    """An extra: a GPU does without."""
    import faiss

    return faiss


def _torch() -> ModuleType:
    """Takes seconds to import, and faiss does without."""
    import torch

    return torch
