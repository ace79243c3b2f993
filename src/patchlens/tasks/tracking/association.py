"""T4a, association: which object of a later frame is the same as one of this frame?"""

from collections.abc import Sequence

import numpy as np

from patchlens.arrays import Array, Bools, Floats
from patchlens.features.variants import unit_rows
from patchlens.tasks.tracking.videos import Video, cosines

COUNTS = ("pairs", "nearest", "optimal", "chance")
SEED = 0  # of the order in which the assignment sees equal candidates


def associate(video: Video, features: Array, deltas: Sequence[int]) -> Floats:
    """Sums over pairs of frames t and t + Δ, for each Δ [deltas, 4], in the order of `COUNTS`.

    `pairs`: objects of t that also exist in t + Δ. `nearest`: how many of them have their highest
    cosine, among all objects of t + Δ, with themselves; ties share the hit. `optimal`: how many
    the assignment of highest total cosine gives to themselves. `chance`: the hits expected of a
    guess, the sum of 1/n over pairs, with n objects in t + Δ. An object without a
    feature is never matched.

    Args:
        video: the objects [O].
        features: their features [O, D]; D may be 0, then every cosine is 0.
        deltas: differences of frame numbers; missing frames make no pairs.
    """
    unit = unit_rows(features)
    frames = dict(video.by_frame())
    # Objects are in the order of their ids, which must not decide between equal candidates.
    rng = np.random.default_rng(SEED)
    sums = np.zeros((len(deltas), len(COUNTS)))
    for row, delta in enumerate(deltas):
        for number, here in frames.items():
            there = frames.get(number + delta)
            if there is None or not len(here) or not len(there):
                continue
            there = rng.permutation(there)
            same = video.instance[here][:, None] == video.instance[there]
            exists = same.any(axis=1)
            found = exists & video.placed[here]
            usable = video.placed[there]
            same, cosine = same[found][:, usable], cosines(unit[here[found]], unit[there[usable]])
            pairs = int(exists.sum())
            sums[row] += pairs, _nearest(same, cosine), _optimal(same, cosine), pairs / len(there)
    return sums


def _nearest(same: Bools, cosine: Array) -> float:
    if not cosine.size:
        return 0.0
    best = cosine == cosine.max(axis=1, keepdims=True)
    return float(((same & best).sum(axis=1) / best.sum(axis=1)).sum())


def _optimal(same: Bools, cosine: Array) -> int:
    from scipy.optimize import linear_sum_assignment  # slow to import, and tables need none

    return int(same[linear_sum_assignment(cosine, maximize=True)].sum())
