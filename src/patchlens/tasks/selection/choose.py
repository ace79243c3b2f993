"""Choosing a layer, a variant and a head on labelled patches alone, by folds over their images."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from patchlens.arrays import Array, Ints
from patchlens.errors import FitError
from patchlens.features.device import Where
from patchlens.features.moments import rank_by_variance
from patchlens.features.variants import VARIANTS, FitData, fit, pruned_count
from patchlens.settings.classifiers import Knn, Linear
from patchlens.settings.features import Prune, VariantName
from patchlens.tasks.knn import search, vote
from patchlens.tasks.logistic import path
from patchlens.tasks.probe import grouped_folds
from patchlens.tasks.scores import confusion, mean_iou
from patchlens.tasks.segmentation.prior import knn_says_nothing, linear_says_nothing


class Candidate(NamedTuple):
    """What can be chosen; `c` is of the linear probe, 0 for k-NN."""

    layer: int
    variant: VariantName
    head: str
    c: float


@dataclass(frozen=True)
class Options:
    """What the candidates are made of, and how they are scored."""

    variants: Sequence[VariantName]
    heads: Sequence[str]
    k: int
    knn: Knn
    linear: Linear
    prune: Prune
    folds: int
    device: Where


def score(
    features: Mapping[int, Array],
    y: Ints,
    groups: Ints,
    classes: int,
    options: Options,
    step: Callable[[], object] = lambda: None,
) -> dict[Candidate, float]:
    """The patch mIoU of every candidate on held-out images, from one confusion matrix over folds.

    Variants are fitted on the patches of the other folds. A candidate that cannot be fitted in a
    fold is left out.

    Args:
        features: layer -> patches [n, D].
        y: class ids [n].
        groups: the image of each patch [n]; folds never split an image.
        classes: number of classes C.
        options: the candidates.
        step: is called once for each layer in each fold.

    Raises:
        FitError: there is only one image.
    """
    images = len(np.unique(groups))
    if images < 2:
        raise FitError("selection needs 2 support images or more; raise segmentation.shots")
    total: dict[Candidate, list[np.ndarray]] = {}
    splits = list(grouped_folds(groups, min(options.folds, images)))
    for train, held in splits:
        for layer, x in features.items():
            known = (layer, x[train], y[train])
            for candidate, winners in _answers(*known, x[held], classes, options):
                counts = confusion(y[held].astype(np.uint8), winners, classes)
                total.setdefault(candidate, []).append(counts)
            step()
    present = np.isin(np.arange(classes), y)
    return {
        candidate: round(float(mean_iou(np.sum(counts, axis=0), present)), 9)
        for candidate, counts in total.items()
        if len(counts) == len(splits)
    }


def best(scores: Mapping[Candidate, float]) -> Candidate:
    """The candidate with the highest score; of equal ones the first."""
    return max(scores, key=lambda candidate: scores[candidate])


def fit_data(x: Array, prune: Prune) -> FitData:
    """What variants are fitted on, from patches [n, D]."""
    mean, variance = x.mean(axis=0, dtype=np.float64), x.var(axis=0, dtype=np.float64)
    m = pruned_count(prune.m, x.shape[1])
    return FitData(mean, variance, rank_by_variance(variance), m, lambda: [x])


def _answers(
    layer: int, x: Array, y: Ints, queries: Array, classes: int, options: Options
) -> Iterator[tuple[Candidate, Ints]]:
    """The winners [q] of each candidate of a layer, fitted on x [n, D] and y [n]."""
    data, knn = fit_data(x, options.prune), options.knn
    for variant in options.variants:
        transform = fit(variant, data, options.prune, seed=0, draw=0)
        bank, asked = transform(x), transform(queries)
        width = bank.shape[1]
        if "knn" in options.heads and not knn_says_nothing(width, knn) and len(bank) >= options.k:
            similarity, rows = search(
                bank, asked, options.k, distance=knn.distance, device=options.device
            )
            _, winners = vote(
                similarity,
                y[rows],
                classes,
                weighting=knn.vote,
                temperature=knn.temperature,
            )
            yield Candidate(layer, variant, "knn", 0.0), winners
        # Intercepts are free: a probe of what is only moved is that of `raw`.
        moved = variant != "raw" and VARIANTS[variant].keeps_differences
        same = moved and "raw" in options.variants
        if "linear" in options.heads and not same and not linear_says_nothing(width, y):
            linear = options.linear
            models = path(bank, y, linear.c, linear.max_iter)
            for c, model in zip(linear.c, models, strict=True):
                winners = model.labels[model.logits(asked).argmax(axis=1)]
                yield Candidate(layer, variant, "linear", c), winners
