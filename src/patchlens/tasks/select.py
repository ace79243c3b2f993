"""Choosing m, the number of pruned dimensions, within the support set alone."""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.model_selection import GroupKFold

from patchlens.errors import FitError
from patchlens.features.moments import rank_by_variance
from patchlens.settings.segmentation import Knn
from patchlens.tasks.knn import vote
from patchlens.tasks.nested import nested_search
from patchlens.tasks.scores import confusion, mean_iou

Array = NDArray[np.float32]
Ints = NDArray[np.int64]


def choose_m(
    x: Array,
    y: Ints,
    groups: Ints,
    classes: int,
    counts: Sequence[int],
    *,
    k: int,
    knn: Knn,
    folds: int,
    device: torch.device,
) -> int:
    """The m whose k-NN on pruned features scores best on held-out support images.

    Folds are grouped by image; in each the dimensions are ranked on the fold's own bank, as they
    would be on a support set, so that no held-out patch shapes the ranking. The score is the patch
    mIoU of one confusion matrix over all folds; equal scores go to the smaller m.

    Args:
        x: labelled support patches [n, D].
        y: class ids [n].
        groups: the support image of each patch [n].
        classes: number of classes C.
        counts: the values of m that are tried, in 0..D−1.
        k: neighbours.
        knn: distance and vote.
        folds: at most; never more than there are images.
        device: where to search.

    Raises:
        FitError: there is one support image, so that nothing can be held out.
    """
    images = len(np.unique(groups))
    if images < 2:
        raise FitError(
            "prune.select: auto needs at least 2 support images, which folds hold out in turn; "
            "raise segmentation.shots or set prune.select: fixed"
        )
    width: int = x.shape[1]
    sizes = sorted({width - m for m in counts})
    total = np.zeros((len(sizes), classes, classes), dtype=np.int64)
    for train, held in GroupKFold(n_splits=min(folds, images)).split(x, y, groups):
        order = rank_by_variance(x[train].var(axis=0, dtype=np.float64))[::-1]
        found = nested_search(
            x[train], x[held], order, sizes, k, distance=knn.distance, device=device
        )
        for i, (_, similarity, rows) in enumerate(found):
            _, winners = vote(
                similarity,
                y[train][rows],
                classes,
                weighting=knn.vote,
                temperature=knn.temperature,
            )
            total[i] += confusion(y[held].astype(np.uint8), winners, classes)
    present = total[0].sum(axis=1) > 0
    # From the largest kept set, which is the smallest m: the first of equal scores wins.
    scores = mean_iou(total, present)[::-1].round(9)
    return width - sizes[::-1][int(scores.argmax())]
