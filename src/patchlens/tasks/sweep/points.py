"""Scores as a function of m, the number of dimensions that are dropped or kept.

`prune`, `keep_top` and `prune_random` at every m, beside `raw` (m = 0) and the rivals of pruning,
which have no m. k-NN shares the work of nested sets (`knn.Bank`).
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from patchlens.arrays import Array, Ints
from patchlens.datasets.layout import IGNORE
from patchlens.features.device import Where
from patchlens.features.variants import FitData, Transform, fit, random_order
from patchlens.settings.classifiers import Linear
from patchlens.settings.features import Prune, VariantName
from patchlens.tasks.bank import on_host
from patchlens.tasks.knn import bank_of, labels_of, vote
from patchlens.tasks.objects import Objects, object_features
from patchlens.tasks.probe import Probe, Sample, fit_probe, fit_probes, in_batches, side_by_side
from patchlens.tasks.retrieval.search import retrieve
from patchlens.tasks.scores import confusion, mean_iou
from patchlens.tasks.segmentation.few_shot import Labelled, Query
from patchlens.tasks.segmentation.prior import knn_says_nothing, linear_says_nothing, prior
from patchlens.tasks.segmentation.settings import Segmentation
from patchlens.tasks.sweep.settings import SWEPT


class Point(NamedTuple):
    """One point of the sweep; `m` is 0 for `raw` and the rivals."""

    variant: VariantName
    draw: int
    m: int


RAW = Point("raw", 0, 0)
ROWS = 512  # of which variances are summed at once


@dataclass(frozen=True)
class SweepPlan:
    """What is swept: the numbers of dimensions, ascending, the rivals, draws of the control."""

    counts: Sequence[int]
    rivals: Sequence[VariantName]
    prune: Prune
    seed: int
    draws: int

    def rival_points(self) -> list[Point]:
        """The rivals of pruning."""
        return [Point(name, 0, 0) for name in self.rivals]

    def points(self) -> Iterator[Point]:
        """Every point."""
        yield RAW
        yield from self.rival_points()
        for name in SWEPT:
            for draw in range(self.draws if name == "prune_random" else 1):
                for m in self.counts:
                    yield Point(name, draw, m)

    def transform(self, point: Point, data: FitData) -> Transform:
        """The fitted transform of a point."""
        return fit(
            point.variant,
            replace(data, m=point.m) if point.m else data,
            self.prune,
            seed=self.seed,
            draw=point.draw,
        )


def knn_scores(
    known: Labelled,
    data: FitData,
    query: Query,
    layer: int,
    plan: SweepPlan,
    settings: Segmentation,
    device: Where,
) -> dict[Point, float]:
    """Patch mIoU by k-NN of every point."""
    counts = {point: np.zeros((query.classes,) * 2, dtype=np.int64) for point in plan.points()}
    nothing = prior(known.y, query.classes, one_hot=False)
    for transform, order, of_size in _nested_points(data, plan):
        sizes = [s for s in sorted(of_size) if not knn_says_nothing(s, settings.knn)]
        silent = [point for size, point in of_size.items() if size not in sizes]
        bank = bank_of(
            transform(known.x),
            distance=settings.knn.distance,
            device=device,
            order=order,
            sizes=sizes,
        )
        for x, truth in _scored(query, layer):
            for point in silent:
                counts[point] += confusion(truth, nothing(len(truth))[1], query.classes)
            found = bank.search(transform(x), settings.k)
            for size, (similarity, rows) in zip(sizes, found, strict=True):
                _, winners = vote(
                    similarity,
                    labels_of(known.y, rows),
                    query.classes,
                    weighting=settings.knn.vote,
                    temperature=settings.knn.temperature,
                )
                counts[of_size[size]] += confusion(truth, on_host(winners), query.classes)
        del bank  # before the next is made
    return _mious(counts)


def _nested_points(
    data: FitData, plan: SweepPlan
) -> Iterator[tuple[Transform, Ints, dict[int, Point]]]:
    """Searches that give every point: a transform, dimensions kept longest first, size -> point."""
    width = len(data.ranking)
    raw = plan.transform(RAW, data)
    pruned = {width: RAW} | {width - m: Point("prune", 0, m) for m in plan.counts}
    yield raw, data.ranking[::-1].copy(), pruned
    yield raw, data.ranking, {m: Point("keep_top", 0, m) for m in plan.counts}
    for draw in range(plan.draws):
        order = random_order(width, plan.seed, draw)[::-1].copy()
        yield raw, order, {width - m: Point("prune_random", draw, m) for m in plan.counts}
    for point in plan.rival_points():
        transform = plan.transform(point, data)
        size = transform(data.mean[None].astype(np.float32)).shape[1]
        yield transform, np.arange(size), {size: point}


def linear_scores(
    known: Labelled,
    data: FitData,
    query: Query,
    layer: int,
    plan: SweepPlan,
    settings: Linear,
    chosen: Mapping[str, float],
    device: Where,
) -> dict[Point, float]:
    """Patch mIoU by linear probe of every point.

    `raw` and the rivals have the C that the folds chose for them in the headline, `chosen`. Points
    with an m have the C of `raw` at their own scale: C times the ratio of the total variances
    (scaling features by s is scaling C by s²), so that regularisation is equally strong and they
    differ in their dimensions alone.
    """
    nothing = prior(known.y, query.classes, one_hot=False)
    base = _total_variance(known.x, plan.transform(RAW, data))

    def asked(point: Point) -> tuple[Transform, float] | None:
        """The transform of a point and its C; None where its features tell no patches apart."""
        transform = plan.transform(point, data)
        width = transform(known.x[:1]).shape[1]
        own = _total_variance(known.x, transform)
        if linear_says_nothing(width, known.y) or own == 0:
            return None
        return transform, chosen["raw"] * base / own if point.m else chosen[point.variant]

    def fitted(transform: Transform, c: float) -> Probe:
        alone = settings.model_copy(update={"c": [c]})
        return fit_probe(known.x, known.y, known.groups, query.classes, alone, transform)

    points = list(plan.points())
    if device == "cpu":
        # `fit_probe` gives BLAS one thread while it runs; here one stays one from fit to fit.
        beside = side_by_side(2 * known.x.nbytes)
        with threadpool_limits(limits=1, user_api="blas"), ThreadPoolExecutor(beside) as pool:
            wanted = dict(zip(points, pool.map(asked, points), strict=True))
            of = {point: pool.submit(fitted, *want) for point, want in wanted.items() if want}
            probes = {point: fit_of_one.result() for point, fit_of_one in of.items()}
    else:
        wanted = {point: asked(point) for point in points}
        fits = [(point, *want) for point, want in wanted.items() if want]
        probes = {}
        for some in in_batches(fits, known.x, query.classes, device):
            samples = [
                Sample(transform(known.x), known.y, known.groups, [c]) for _, transform, c in some
            ]
            found = fit_probes(samples, query.classes, settings, device)
            probes |= {point: one for (point, _, _), one in zip(some, found, strict=True)}
    counts = {point: np.zeros((query.classes,) * 2, dtype=np.int64) for point in points}
    for x, truth in _scored(query, layer):
        for point, want in wanted.items():
            winners = (
                probes[point].scores(want[0](x)).argmax(axis=1) if want else nothing(len(x))[1]
            )
            counts[point] += confusion(truth, winners, query.classes)
    return _mious(counts)


def _total_variance(x: Array, transform: Transform) -> float:
    """The sum of the variances of all dimensions."""
    parts = [x[start : start + ROWS] for start in range(0, len(x), ROWS)]
    mean = sum(transform(part).sum(axis=0, dtype=np.float64) for part in parts) / len(x)
    squares = (np.square(transform(part) - mean).sum(axis=0) for part in parts)
    return float((sum(squares) / len(x)).sum())


def retrieval_scores(
    objects: Objects,
    images: int,
    features: Callable[[range], Array],
    data: FitData,
    plan: SweepPlan,
    asking: Ints | None = None,
) -> tuple[dict[Point, float], int]:
    """Instance retrieval (T3): mAP by cosine of every point, and the number of queries.

    `asking` are the numbers of the objects that ask; by default, all.
    """
    whole = [RAW, *plan.rival_points()]
    transforms = {point: [plan.transform(point, data)] for point in whole}
    pooled = object_features(objects, images, features, transforms)
    scores, queries = {}, 0
    for point in plan.points():
        # Points with an m pick columns, which is the same before and after the mean.
        found = plan.transform(point, data)(pooled[RAW][0]) if point.m else pooled[point][0]
        answers = retrieve(
            found,
            objects,
            relevant="instance",
            frame_distance=None,
            distance="cosine",
            asking=asking,
        )
        queries = len(answers.ap)
        scores[point] = float(answers.ap.mean()) if queries else 0.0
    return scores, queries


def _scored(query: Query, layer: int) -> Iterator[tuple[Array, NDArray[np.uint8]]]:
    """Features [n, D] and labels [n] of the query patches that count, some images at a time."""
    for rows in query.chunks():
        labels = query.labels[rows.start : rows.stop]
        yield query.features(rows, layer)[labels != IGNORE], labels[labels != IGNORE]


def _mious(counts: dict[Point, NDArray[np.int64]]) -> dict[Point, float]:
    present = next(iter(counts.values())).sum(axis=1) > 0
    return {point: float(mean_iou(matrix, present)) for point, matrix in counts.items()}
