"""Nearest neighbours and their vote: the search is in `bank`, and in `dealt` for a cluster."""

from types import ModuleType
from typing import Any, Literal

import numpy as np

from patchlens.arrays import Array, Ints
from patchlens.cluster import in_cluster
from patchlens.features.device import Where
from patchlens.settings.base import Distance
from patchlens.tasks.bank import Bank, Rows, on_host
from patchlens.tasks.dealt import Dealt


def bank_of(x: Rows, **options: Any) -> Bank:
    """A bank for several searches; its arguments are those of `Bank`."""
    return (Dealt if in_cluster() else Bank)(x, **options)


def search(
    rows: Rows,
    queries: Array,
    k: int,
    *,
    distance: Distance,
    device: Where,
    held: int | None = None,
) -> tuple[Array, Ints]:
    """The k most similar rows of a bank [N, D] of each query, exactly; see `Bank`.

    Returns:
        Similarity [Q, k] and row of the bank [Q, k].

    Raises:
        FitError: the bank holds fewer than k rows.
    """
    [found] = bank_of(rows, distance=distance, device=device, held=held).search(queries, k)
    return on_host(found.similarity), on_host(found.rows)


def labels_of(labels: Ints, rows: Any) -> Any:
    """The labels [N] of rows of a bank, where the rows lie."""
    if isinstance(rows, np.ndarray):
        return labels[rows]
    return _torch().from_numpy(labels).to(rows.device)[rows]


def vote(
    similarity: Any,
    labels: Any,
    classes: int,
    *,
    weighting: Literal["majority", "softmax"],
    temperature: float,
) -> tuple[Any, Any]:
    """Class shares and the winning class from the neighbours of each query.

    Args:
        similarity: [Q, k], of numpy, or of torch on any device.
        labels: class of each neighbour [Q, k], in an array of the same library.
        classes: number of classes C.
        weighting: `majority` counts each neighbour once; `softmax` weights it by
            exp(similarity / temperature), normalised over the k.
        temperature: of the softmax.

    Returns:
        Shares [Q, C], which sum to 1, and the class with the largest share [Q]; equal shares go to
        the larger summed similarity, then to the lower class id.
    """
    xp: Any = np if isinstance(similarity, np.ndarray) else _torch()
    if weighting == "softmax":
        weights = xp.exp((similarity - similarity[:, :1]) / temperature)
        shares = _totals(labels, weights / weights.sum(axis=1)[:, None], classes)
    else:  # counts are exact, so that equal shares are equal
        shares = _totals(labels, xp.ones_like(similarity), classes)
    summed = _totals(labels, similarity, classes)
    tied = shares == xp.amax(shares, axis=1)[:, None]
    winner = xp.where(tied, summed, -xp.inf).argmax(axis=1)
    return xp.asarray(shares / shares.sum(axis=1)[:, None], dtype=xp.float32), winner


def _totals(labels: Any, values: Any, classes: int) -> Any:
    """The sum of the values of each class [Q, C], in float64 and in the order of the neighbours."""
    if isinstance(labels, np.ndarray):
        cell = (np.arange(len(labels))[:, None] * classes + labels).ravel()
        summed = np.bincount(cell, values.ravel(), minlength=len(labels) * classes)
        return summed.reshape(-1, classes).astype(np.float64)
    torch = _torch()
    total = torch.zeros((len(labels), classes), dtype=torch.float64, device=labels.device)
    for label, value in zip(labels.T, values.double().T, strict=True):  # all at once has no order
        total.scatter_add_(1, label[:, None], value[:, None])
    return total


def _torch() -> ModuleType:
    """Takes seconds to import, and faiss does without."""
    import torch

    return torch
