"""Choosing m, the number of pruned dimensions, within the support set alone."""

from bisect import bisect_right
from collections.abc import Sequence

import numpy as np

from patchlens.errors import FitError
from patchlens.features.device import Where
from patchlens.features.moments import rank_by_variance
from patchlens.settings.classifiers import Knn
from patchlens.tasks.bank import on_host
from patchlens.tasks.knn import bank_of, labels_of, vote
from patchlens.tasks.probe import grouped_folds
from patchlens.tasks.scores import confusion, mean_iou
from patchlens.tasks.segmentation.few_shot import Labelled


def sampled(known: Labelled, most: int, seed: int) -> Labelled:
    """At most `most` of the patches (but one of each class): a draw, equally many of each class.

    Choosing m takes time with the square of their number. A class with few patches keeps them all.
    """
    if len(known.y) <= most:
        return known
    _, of_class, counts = np.unique(known.y, return_inverse=True, return_counts=True)
    quota = bisect_right(range(most), most, key=lambda q: int(np.minimum(counts, q).sum())) - 1
    drawn = np.random.default_rng(seed).permutation(len(known.y))
    ordered = drawn[np.argsort(of_class[drawn], kind="stable")]  # by class, in a random order
    place = np.arange(len(ordered)) - np.repeat(np.cumsum(counts) - counts, counts)
    kept = np.sort(ordered[place < max(quota, 1)])
    return Labelled(known.x[kept], known.y[kept], known.groups[kept])


def choose_m(
    known: Labelled,
    classes: int,
    counts: Sequence[int],
    *,
    k: int,
    knn: Knn,
    folds: int,
    device: Where,
) -> int:
    """The m whose k-NN on pruned features scores best on held-out support images.

    Folds are grouped by image; in each the dimensions are ranked on the labelled patches of the
    fold's own bank, so that no held-out patch shapes the ranking. The score is the patch
    mIoU of one confusion matrix over all folds; equal scores go to the smaller m.

    Args:
        known: the support patches.
        classes: number of classes C.
        counts: the values of m that are tried, in 0..D−1.
        k: neighbours.
        knn: distance and vote.
        folds: at most; never more than there are images.
        device: where to search.

    Raises:
        FitError: there is only one support image, so none can be held out.
    """
    x, y, groups = known.x, known.y, known.groups
    images = len(np.unique(groups))
    if images < 2:
        raise FitError(
            "prune.select: auto needs at least 2 support images to hold out in turn; increase "
            "segmentation.shots or set prune.select: fixed"
        )
    width: int = x.shape[1]
    sizes = sorted({width - m for m in counts})
    total = np.zeros((len(sizes), classes, classes), dtype=np.int64)
    for train, held in grouped_folds(groups, min(folds, images)):
        order = rank_by_variance(x[train].var(axis=0, dtype=np.float64))[::-1]
        bank = bank_of(x[train], distance=knn.distance, device=device, order=order, sizes=sizes)
        for i, (similarity, rows) in enumerate(bank.search(x[held], k)):
            _, winners = vote(
                similarity,
                labels_of(y[train], rows),
                classes,
                weighting=knn.vote,
                temperature=knn.temperature,
            )
            total[i] += confusion(y[held].astype(np.uint8), on_host(winners), classes)
    present = total[0].sum(axis=1) > 0
    # From the largest kept set, which is the smallest m: the first of equal scores wins.
    scores = mean_iou(total, present)[::-1].round(9)
    return width - sizes[::-1][int(scores.argmax())]
