"""Scores as a function of m, the number of dimensions that are dropped or kept.

`prune`, `keep_top` and `prune_random` at every m, beside `raw` (m = 0) and the rivals of pruning,
which have no m. k-NN shares the work of nested sets (`nested.py`).
"""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from patchlens.datasets.layout import IGNORE
from patchlens.features.variants import FitData, Transform, fit, random_order, unit_rows
from patchlens.settings.features import Prune, VariantName
from patchlens.settings.segmentation import Linear, Segmentation
from patchlens.tasks.knn import search, vote
from patchlens.tasks.nested import nested_search
from patchlens.tasks.prior import knn_says_nothing, linear_says_nothing, prior
from patchlens.tasks.probe import TOLERANCE, fit_probe, path
from patchlens.tasks.retrieval import Objects, instance_map, object_features
from patchlens.tasks.scores import confusion, mean_iou

Array = NDArray[np.float32]
Ints = NDArray[np.int64]
FAMILIES: tuple[VariantName, ...] = ("prune", "keep_top", "prune_random")


class Point(NamedTuple):
    """One point of the sweep; `m` is 0 for `raw` and the rivals."""

    variant: VariantName
    draw: int
    m: int


@dataclass(frozen=True)
class Labelled:
    """Labelled support patches: features [n, D], class ids [n], support image [n]."""

    x: Array
    y: Ints
    groups: Ints


@dataclass(frozen=True)
class Chunks:
    """The query images, some at a time.

    Attributes:
        features: number of a chunk -> patch features [n, D].
        labels: patch labels [n] of each chunk, `IGNORE` where a patch does not count.
        classes: number of classes C.
    """

    features: Callable[[int], Array]
    labels: Sequence[NDArray[np.uint8]]
    classes: int


@dataclass(frozen=True)
class Plan:
    """What is swept: the numbers of dimensions, ascending, the rivals, draws of the control."""

    counts: Sequence[int]
    rivals: Sequence[VariantName]
    prune: Prune
    seed: int
    draws: int

    def plain(self) -> list[Point]:
        """`raw`, then the rivals."""
        return [Point("raw", 0, 0), *(Point(name, 0, 0) for name in self.rivals)]

    def points(self) -> Iterator[Point]:
        """Every point."""
        yield from self.plain()
        for name in FAMILIES:
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
    bank: Labelled,
    data: FitData,
    query: Chunks,
    plan: Plan,
    settings: Segmentation,
    device: torch.device,
) -> dict[Point, float]:
    """Patch mIoU by k-NN of every point."""
    counts = {point: np.zeros((query.classes,) * 2, dtype=np.int64) for point in plan.points()}
    nothing = prior(bank.y, query.classes, one_hot=False)

    def count(point: Point, truth: NDArray[np.uint8], similarity: Array, rows: Ints) -> None:
        _, winners = vote(
            similarity,
            bank.y[rows],
            query.classes,
            weighting=settings.knn.vote,
            temperature=settings.knn.temperature,
        )
        counts[point] += confusion(truth, winners, query.classes)

    for i, labels in enumerate(query.labels):
        keep = labels != IGNORE
        x, truth = query.features(i)[keep], labels[keep]
        for point in plan.plain()[1:]:
            transform = plan.transform(point, data)
            transformed = transform(bank.x)
            if knn_says_nothing(transformed.shape[1], settings.knn):
                counts[point] += confusion(truth, nothing(len(truth))[1], query.classes)
                continue
            found = search(
                transformed,
                transform(x),
                settings.k,
                distance=settings.knn.distance,
                device=device,
            )
            count(point, truth, *found)
        for order, of_size in _nested_points(data, plan):
            sizes = [s for s in sorted(of_size) if not knn_says_nothing(s, settings.knn)]
            for size in of_size.keys() - set(sizes):
                counts[of_size[size]] += confusion(truth, nothing(len(truth))[1], query.classes)
            nested = nested_search(
                bank.x,
                x,
                order,
                sizes,
                settings.k,
                distance=settings.knn.distance,
                device=device,
            )
            for size, similarity, rows in nested:
                count(of_size[size], truth, similarity, rows)
    return _mious(counts)


def _nested_points(data: FitData, plan: Plan) -> Iterator[tuple[Ints, dict[int, Point]]]:
    """For each family and draw: dimensions, those kept longest first, and size -> point."""
    width = len(data.ranking)
    raw = {width: Point("raw", 0, 0)}  # nothing pruned
    yield data.ranking[::-1].copy(), raw | {width - m: Point("prune", 0, m) for m in plan.counts}
    yield data.ranking, {m: Point("keep_top", 0, m) for m in plan.counts}
    for draw in range(plan.draws):
        order = random_order(width, plan.seed, draw)[::-1].copy()
        yield order, {width - m: Point("prune_random", draw, m) for m in plan.counts}


def linear_scores(
    bank: Labelled, data: FitData, query: Chunks, plan: Plan, settings: Linear
) -> dict[Point, float]:
    """Patch mIoU by linear probe of every point.

    The folds choose C for `raw`; every other point has the same C at its own scale: C times the
    ratio of the total variances (scaling features by s is scaling C by s²), so that regularisation
    is equally strong and the points differ in their dimensions alone.
    """
    points = list(plan.points())
    base = bank.x.var(axis=0, dtype=np.float64).sum()
    nothing = prior(bank.y, query.classes, one_hot=False)
    chosen = settings.default_c
    if not linear_says_nothing(bank.x.shape[1], bank.y):
        chosen = fit_probe(bank.x, bank.y, bank.groups, query.classes, settings).c

    def predictor(point: Point) -> Callable[[Array], Ints]:
        transform = plan.transform(point, data)
        x = transform(bank.x)
        own = x.var(axis=0, dtype=np.float64).sum()
        if linear_says_nothing(x.shape[1], bank.y) or own == 0:
            return lambda rows: nothing(len(rows))[1]
        c = float(chosen * base / own)
        (model,) = path(x, bank.y, [c], settings.max_iter, TOLERANCE)
        return lambda rows: model.labels[model.logits(transform(rows)).argmax(axis=1)]

    # One BLAS thread a fit, as in `fit_probe`: the same bits whatever runs beside it.
    with threadpool_limits(limits=1, user_api="blas"), ThreadPoolExecutor(max_workers=2) as pool:
        predict = dict(zip(points, pool.map(predictor, points), strict=True))
    counts = {point: np.zeros((query.classes,) * 2, dtype=np.int64) for point in points}
    for i, labels in enumerate(query.labels):
        keep = labels != IGNORE
        x, truth = query.features(i)[keep], labels[keep]
        for point in points:
            counts[point] += confusion(truth, predict[point](x), query.classes)
    return _mious(counts)


def retrieval_scores(
    objects: Objects, images: int, features: Callable[[range], Array], data: FitData, plan: Plan
) -> tuple[dict[Point, float], int]:
    """Instance retrieval (T3): mAP by cosine of every point, and the number of queries."""
    scores, queries = {}, 0
    for point in plan.points():
        transform = plan.transform(point, data)

        def transformed(rows: range, transform: Transform = transform) -> Array:
            raw = features(rows)
            return transform(raw.reshape(-1, raw.shape[-1])).reshape(*raw.shape[:3], -1)

        unit = unit_rows(object_features(objects, images, transformed))
        scores[point], queries = instance_map(
            lambda block, unit=unit: unit[block] @ unit.T,  # type: ignore[misc]
            objects,
        )
    return scores, queries


def _mious(counts: dict[Point, NDArray[np.int64]]) -> dict[Point, float]:
    present = next(iter(counts.values())).sum(axis=1) > 0
    return {point: float(mean_iou(matrix, present)) for point, matrix in counts.items()}
