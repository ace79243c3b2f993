"""Indexes of faiss: neighbours that are approximate, with their recall against the exact search."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from patchlens.arrays import Array
from patchlens.errors import FitError
from patchlens.features.device import Where
from patchlens.features.variants import unit_rows
from patchlens.settings.classifiers import Knn
from patchlens.tasks.bank import BLOCK, Bank, Neighbours, Rows, check_k, in_order, on_host

CODES = {"fp32": "Flat", "fp16": "SQfp16", "sq8": "SQ8"}
PART = 65536  # rows that are added at once
PER_LIST = 39  # patches to learn a list from, of which faiss wants as many
TIES = 50  # rows beyond the k-th that may be as near as that


class Recall(NamedTuple):
    """The share of the k nearest patches that an index finds; a patch as near as the k-th counts.

    Attributes:
        share: 0 to 1, the least over the values of k.
        k: which has it.
    """

    share: float
    k: int


def lists_of(settings: Knn, bank: int) -> int:
    """The number of lists of `ivf` for so many patches."""
    enough = max(1, min(settings.train, bank) // PER_LIST)
    return min(settings.lists or max(1, round(4 * bank**0.5)), enough)


def build(rows: Rows, settings: Knn, out: Path) -> None:
    """Write the index of a bank; only a part of it, and the index itself, are in memory at once.

    The file is the same for the same rows, but for `hnsw` with several threads.

    Args:
        rows: of the bank [N, D], of any length.
        settings: what to build.
        out: the file, in the format of faiss.
    """
    import faiss

    count, width = len(rows), rows[:1].shape[1]
    kinds = {
        "exact": "",
        "ivf": f"IVF{lists_of(settings, count)},",
        "hnsw": f"HNSW{settings.links},",
    }
    metric = faiss.METRIC_L2 if settings.distance == "l2" else faiss.METRIC_INNER_PRODUCT
    index = faiss.index_factory(width, kinds[settings.index] + CODES[settings.storage], metric)
    drawn = np.random.default_rng(settings.seed).permutation(count)[: settings.train]
    starts = range(0, count, PART)
    if not index.is_trained:
        drawn.sort()
        cuts = np.split(drawn, np.searchsorted(drawn, starts[1:]))
        parts = zip(starts, cuts, strict=True)
        index.train(np.concatenate([_ready(rows, s, settings)[cut - s] for s, cut in parts]))
    for start in starts:
        index.add(_ready(rows, start, settings))
    faiss.write_index(index, str(out))


def _ready(rows: Rows, start: int, settings: Knn) -> Array:
    found = np.ascontiguousarray(rows[start : start + PART], dtype=np.float32)
    return unit_rows(found) if settings.distance == "cosine" else found


class Index:
    """An index in a file, which stays there: what a search needs of it is mapped into memory.

    Args:
        path: written by `build`.
        settings: those it was built with; `nprobe` and `ef_search` shape the search.
        device: on a GPU, where faiss is built for one, `ivf` and codes are copied to all GPUs;
            otherwise, faiss searches on the CPU.
    """

    def __init__(self, path: Path, settings: Knn, device: Where) -> None:
        import faiss

        found: Any = faiss.read_index(str(path), faiss.IO_FLAG_MMAP_IFC | faiss.IO_FLAG_READ_ONLY)
        if device != "cpu" and settings.index != "hnsw" and hasattr(faiss, "StandardGpuResources"):
            found = faiss.index_cpu_to_all_gpus(found)
        self._settings, self._index = settings, found

    def search(self, queries: Array, k: int) -> list[Neighbours]:
        """As `Bank.search`, but approximate; the arrays are numpy's.

        Raises:
            FitError: an index finds fewer than k rows for a query.
        """
        import faiss

        check_k(k, self._index.ntotal)
        name, value = _effort(self._settings)
        if name:  # a graph has to keep as many candidates as it shall give
            space = faiss.GpuParameterSpace if "Gpu" in type(self._index).__name__ else None
            key = {"nprobe": "nprobe", "ef_search": "efSearch"}[name]
            least = value if name == "nprobe" else max(value, k)
            (space or faiss.ParameterSpace)().set_index_parameter(self._index, key, least)
        parts = []
        for start in range(0, max(len(queries), 1), BLOCK):
            block = np.ascontiguousarray(queries[start : start + BLOCK], dtype=np.float32)
            block = unit_rows(block) if self._settings.distance == "cosine" else block
            similarity, rows = self._index.search(block, k)
            if (rows < 0).any():
                raise FitError(
                    f"segmentation.knn.index: {self._settings.index} finds fewer than k = {k} "
                    f"patches for a query; raise segmentation.knn.{name} ({value})"
                )
            l2 = self._settings.distance == "l2"
            parts.append(Neighbours(*in_order(-similarity if l2 else similarity, rows)))
        return [Neighbours(*map(np.concatenate, zip(*parts, strict=True)))]


def _effort(settings: Knn) -> tuple[str, int]:
    """The setting that trades time for recall, and its value."""
    found = {"ivf": ("nprobe", settings.nprobe), "hnsw": ("ef_search", settings.ef_search)}
    return found.get(settings.index, ("", 0))


def recall(index: Index, exact: Bank, queries: Array, ks: Sequence[int]) -> Recall:
    """The recall of an index on some queries [Q, D], against the exact search of the same bank."""
    most = max(ks)
    [(similarity, rows)] = exact.search(queries, min(2 * most + TIES, len(exact)))
    similarity, rows = on_host(similarity), on_host(rows)
    [(_, found)] = index.search(queries, most)
    shares = []
    for k in ks:
        near = similarity >= similarity[:, k - 1 : k]
        of_query = zip(found[:, :k], rows, near, strict=True)
        shares.append(Recall(float(np.mean([np.isin(f, r[n]).mean() for f, r, n in of_query])), k))
    return min(shares)


def check(found: Recall, settings: Knn, what: str) -> None:
    """Refuse an index that misses more than the settings allow.

    Args:
        found: its recall.
        settings: of the index.
        what: the bank, in words.

    Raises:
        FitError: one line with the remedy.
    """
    if found.share >= settings.recall:
        return
    name, value = _effort(settings)
    remedies = [f"raise segmentation.knn.{name} ({value})"] if name else []
    if settings.storage != "fp32":
        remedies.append("choose a segmentation.knn.storage with more bits")
    raise FitError(
        f"segmentation.knn.index: {settings.index} with storage {settings.storage} has recall@"
        f"{found.k} {found.share:.4f} on {what}, below segmentation.knn.recall: "
        f"{settings.recall:g}; {' or '.join(remedies)}, or set index: exact"
    )


def about(settings: Knn) -> dict[str, Any]:
    """What the protocol of a score says of an index; empty for the exact search."""
    if settings.exact:
        return {}
    name, value = _effort(settings)
    return {
        "knn_index": settings.index,
        "knn_storage": settings.storage,
        **({f"knn_{name}": value} if name else {}),
        "knn_recall_queries": settings.recall_queries,
    }
