"""T3, object retrieval: find an object, or others of its fine class, in all other images."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from patchlens.arrays import Array, Bools, Floats, Ints
from patchlens.features.device import Where
from patchlens.features.variants import unit_rows
from patchlens.settings.base import Distance
from patchlens.tasks.objects import Objects
from patchlens.tasks.retrieval.settings import Relevant

RECALLS = (1, 5, 10)
PRODUCTS = 1 << 21  # similarities held at once: 8 MB, and what ranks them up to ten times that
COUNTED = 1024  # a list at least this often as long as its values is counted, not sorted: sooner


@dataclass(frozen=True)
class Answers:
    """How well queries [Q] were answered.

    Attributes:
        query: the object that asks.
        ap: step-wise average precision, 0 to 1.
        hits: whether one of the first 1, 5 and 10 is relevant [Q, 3]; where similarities tie, how
            probable it is.
    """

    query: Ints
    ap: Floats
    hits: Floats


def retrieve(
    features: Array,
    objects: Objects,
    *,
    relevant: Relevant,
    frame_distance: int | None,
    distance: Distance,
    device: Where = "cpu",
    asking: Ints | None = None,
) -> Answers:
    """Search all other objects for every object that has a relevant one.

    Objects of the query's own image and sequence are excluded; with a frame distance, only those in
    nearer frames of its sequence. Relevant objects are of the same instance; or of the same fine
    class, and then objects of the same instance are removed from the list, neither right nor wrong.

    Args:
        features: of the objects [O, D]; D may be 0, then all are equally similar.
        objects: the objects.
        relevant: what a query looks for.
        frame_distance: of the nearest frames of the own sequence that are searched.
        distance: what orders the list.
        device: where similarities are computed; lists are judged on the CPU.
        asking: the numbers of the objects that ask; by default, all.
    """
    found = []
    asking = np.arange(len(objects)) if asking is None else asking
    asked_by = features if len(asking) == len(objects) else features[asking]
    for block, similarity in similarities(asked_by, features, distance, device):
        queries = asking[block]
        listed, right = pairs(objects, queries, relevant, frame_distance)
        similarity[~listed] = -np.inf
        asked, ap, hits = judge(similarity, right)
        found.append(Answers(queries[asked], ap, hits))
    return joined(found)


def sampled(objects: Objects, most: int, seed: int) -> Ints:
    """The numbers of the objects that ask, ascending: at most `most`, a seeded draw.

    An object keeps its place in the draw, whichever others there are, so that models ask alike.
    """
    if len(objects) <= most:
        return np.arange(len(objects))
    place = np.random.default_rng(seed).permutation(int(objects.number.max()) + 1)[objects.number]
    return np.sort(np.argsort(place, kind="stable")[:most])


def pairs(
    objects: Objects, queries: Ints, relevant: Relevant, frame_distance: int | None
) -> tuple[Bools, Bools]:
    """What is in the list of each query [Q, O], and which of it is relevant; see `retrieve`."""
    of = objects.take(queries)
    # The own image is of the own sequence, and no frame away.
    listed = of.sequence[:, None] != objects.sequence
    if frame_distance is not None:
        listed |= np.abs(of.frame[:, None] - objects.frame) >= frame_distance
    same = of.instance[:, None] == objects.instance
    if relevant == "instance":
        return listed, same & listed
    listed &= ~same
    return listed, (of.fine_class[:, None] == objects.fine_class) & listed


def joined(parts: Sequence[Answers]) -> Answers:
    """The answers of blocks of queries as one."""
    return Answers(
        np.concatenate([np.zeros(0, dtype=np.int64), *(part.query for part in parts)]),
        np.concatenate([np.zeros(0), *(part.ap for part in parts)]),
        np.concatenate([np.zeros((0, len(RECALLS))), *(part.hits for part in parts)]),
    )


def similarities(
    queries: Array,
    gallery: Array,
    distance: Distance,
    device: Where = "cpu",
    torch: bool = False,
) -> Iterator[tuple[slice, Array]]:
    """Blocks of queries with their similarity to the gallery [n, G]; higher is nearer.

    `torch` multiplies in torch on a CPU too, as on a GPU.
    """
    if distance == "cosine":
        queries, gallery = unit_rows(queries), unit_rows(gallery)
    products = _in_torch(gallery, device) if torch or device != "cpu" else lambda x: x @ gallery.T
    step = max(1, PRODUCTS // max(1, len(gallery)))
    for start in range(0, len(queries), step):
        block = slice(start, min(start + step, len(queries)))
        found = products(queries[block])
        if distance == "l2":  # minus the squared distance, but for what is equal in a row
            found = 2 * found - np.einsum("gd,gd->g", gallery, gallery)
        yield block, found


def _in_torch(gallery: Array, device: Where) -> Callable[[Array], Array]:
    """Products with the gallery, which lies on the device."""
    from torch import from_numpy  # seconds to import

    held = from_numpy(gallery).to(device).T
    return lambda x: np.asarray((from_numpy(x).to(device) @ held).cpu().numpy())


def judge(similarity: Array, relevant: Bools) -> tuple[Ints, Floats, Floats]:
    """Average precision and hits of ranked lists; what is equally similar is in random order.

    The expected values over all orders of ties (McSherry and Najork, ECIR 2008): with no ties they
    are the plain ones, with nothing but ties those of chance. In a tie of n with r relevant behind
    t others of which c are relevant, a relevant one at place t + i is expected to have
    c + 1 + (i − 1)(r − 1)/(n − 1) relevant ones up to itself.

    Args:
        similarity: of each query with the gallery [n, G]; −inf for what is not in its list.
        relevant: what each query looks for [n, G].

    Returns:
        The queries that have a relevant one [Q], their average precision [Q] and hits [Q, 3].
    """
    gallery = similarity.shape[1]
    harmonic = np.concatenate([[0.0], np.cumsum(1 / np.arange(1, gallery + 1))])
    row, column = np.nonzero(relevant)
    value = similarity[row, column]
    value = value[np.lexsort((-value, row))]
    asked, first, total = np.unique(row, return_index=True, return_counts=True)
    above, upto = np.empty(len(row), dtype=np.int64), np.empty(len(row), dtype=np.int64)
    for query, start, count in zip(asked, first, total, strict=True):
        part = slice(start, start + count)
        above[part], upto[part] = _places(similarity[query], value[part])
    # One group a query and value: r relevant of n tied, behind t others with c relevant.
    tied = np.flatnonzero(np.diff(row, prepend=-1) | np.diff(above, prepend=-1))
    r = np.diff(tied, append=len(row))
    t, n = above[tied], upto[tied] - above[tied]
    group = np.searchsorted(asked, row[tied])
    c = tied - first[group]
    step = np.divide(r - 1, n - 1, out=np.zeros(len(r)), where=n > 1)
    summed = step * n + (c + 1 - step * (t + 1)) * (harmonic[t + n] - harmonic[t])
    ap = np.bincount(group, r / n * summed, minlength=len(asked)) / total
    head = np.searchsorted(tied, first)
    hits = [_hit(k, t[head], n[head], r[head]) for k in RECALLS]
    return asked, ap, np.stack(hits, axis=1)


def _places(similarity: Array, values: Array) -> tuple[Ints, Ints]:
    """How many of a list are above each value, and how many above or equal."""
    if COUNTED * len(values) <= len(similarity):
        above = [np.count_nonzero(similarity > value) for value in values]
        upto = [np.count_nonzero(similarity >= value) for value in values]
        return np.array(above), np.array(upto)
    ordered = np.sort(similarity)
    found = (np.searchsorted(ordered, values, side=side) for side in ("right", "left"))
    return len(ordered) - next(found), len(ordered) - next(found)


def _hit(k: int, t: Ints, n: Ints, r: Ints) -> Floats:
    """Chance that k places hold a relevant one, where the first r are in a tie of n behind t."""
    free = np.maximum(k - t, 0)
    missed = np.ones(len(t))
    for i in range(k):  # drawn without replacement
        drawn = i < np.minimum(free, n)
        missed *= np.where(drawn, np.maximum(n - r - i, 0) / np.maximum(n - i, 1), 1)
    return 1 - missed
