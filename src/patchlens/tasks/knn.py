"""Exact nearest neighbours and their vote."""

from typing import Literal

import faiss
import numpy as np
from numpy.typing import NDArray

from patchlens.arrays import Array, Ints
from patchlens.errors import FitError
from patchlens.features.device import Where
from patchlens.features.variants import unit_rows
from patchlens.settings.base import Distance

BLOCK = 4096  # queries per block: bounds the memory besides the bank
PRODUCTS = 1 << 28  # similarities that torch holds at once on a GPU: 1 GB


def search(
    bank: Array, queries: Array, k: int, *, distance: Distance, device: Where
) -> tuple[Array, Ints]:
    """The k most similar bank rows of each query, exactly, most similar first.

    On a CPU faiss's brute force; on a GPU faiss where its GPU build is installed, else blocks of a
    matrix product with top-k.

    Args:
        bank: features [N, D].
        queries: features [Q, D].
        k: neighbours, at most N.
        distance: `cosine` and `dot` give inner products, `l2` the negative squared distance.
        device: where to compute.

    Returns:
        Similarity [Q, k], higher is nearer, and row of the bank [Q, k].

    Raises:
        FitError: the bank holds fewer than k rows.
    """
    check_k(k, len(bank))
    if distance == "cosine":
        bank = unit_rows(bank)
    bank = np.ascontiguousarray(bank, dtype=np.float32)
    similarity = np.empty((len(queries), k), dtype=np.float32)
    rows = np.empty((len(queries), k), dtype=np.int64)
    find = _searcher(bank, k, distance, device)
    step = BLOCK if device == "cpu" else max(1, min(BLOCK, PRODUCTS // len(bank)))
    for start in range(0, len(queries), step):
        block = queries[start : start + step]
        block = unit_rows(block) if distance == "cosine" else np.ascontiguousarray(block)
        similarity[start : start + step], rows[start : start + step] = find(block)
    return in_order(similarity, rows)


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


def vote(
    similarity: Array,
    labels: Ints,
    classes: int,
    *,
    weighting: Literal["majority", "softmax"],
    temperature: float,
) -> tuple[Array, Ints]:
    """Class shares and the winning class from the neighbours of each query.

    Args:
        similarity: [Q, k].
        labels: class of each neighbour [Q, k].
        classes: number of classes C.
        weighting: `majority` counts each neighbour once; `softmax` weights it by
            exp(similarity / temperature), normalised over the k.
        temperature: of the softmax.

    Returns:
        Shares [Q, C], which sum to 1, and the class with the largest share [Q]; equal shares go to
        the larger summed similarity, then to the lower class id.
    """
    cell = (np.arange(len(labels))[:, None] * classes + labels).ravel()

    def total(values: NDArray[np.floating]) -> NDArray[np.float64]:
        summed = np.bincount(cell, values.ravel(), minlength=len(labels) * classes)
        return summed.reshape(-1, classes).astype(np.float64)

    if weighting == "softmax":
        weights = np.exp((similarity - similarity[:, :1]) / temperature)
        shares = total(weights / weights.sum(axis=1, keepdims=True))
    else:  # counts are exact, so that equal shares are equal
        shares = total(np.ones(labels.shape))
    summed = total(similarity.astype(np.float64))
    tied = shares == shares.max(axis=1, keepdims=True)
    winner = np.where(tied, summed, -np.inf).argmax(axis=1)
    shares = shares / shares.sum(axis=1, keepdims=True)
    return shares.astype(np.float32), winner.astype(np.int64)


def _searcher(bank: Array, k: int, distance: Distance, device: Where):  # type: ignore[no-untyped-def]
    """A function from a block of queries to (similarity, rows); the bank is prepared once."""
    metric = faiss.METRIC_L2 if distance == "l2" else faiss.METRIC_INNER_PRODUCT
    sign = -1 if distance == "l2" else 1

    def on_cpu(block: Array) -> tuple[Array, Ints]:
        # Unlike an index, faiss.knn searches the array where it lies, without a copy.
        found, rows = faiss.knn(block, bank, k, metric=metric)
        return sign * found, rows

    if device == "cpu":
        return on_cpu
    if hasattr(faiss, "StandardGpuResources"):
        resources = faiss.StandardGpuResources()

        def on_gpu(block: Array) -> tuple[Array, Ints]:
            found, rows = faiss.knn_gpu(resources, block, bank, k, metric=metric)
            return sign * found, rows

        return on_gpu
    return torch_searcher(bank, k, distance, device)


def torch_searcher(bank: Array, k: int, distance: Distance, device: Where):  # type: ignore[no-untyped-def]
    """The same by a matrix product and top-k in torch, for GPUs without faiss's GPU build."""
    import torch

    matrix = torch.from_numpy(bank).to(device)
    squares = (matrix * matrix).sum(dim=1)

    def find(block: Array) -> tuple[Array, Ints]:
        rows = torch.from_numpy(block).to(device)
        products = rows @ matrix.T
        if distance == "l2":
            # In place: a block of products is the largest thing in memory here.
            products.mul_(2).sub_(squares).sub_((rows * rows).sum(dim=1, keepdim=True))
        found, where = products.topk(k, dim=1)
        return found.cpu().numpy(), where.cpu().numpy()

    return find
