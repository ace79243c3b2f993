"""T4b, linking: whole videos from ground-truth boxes, by appearance alone."""

from collections.abc import Sequence

import numpy as np

from patchlens.arrays import Array, Floats, Ints
from patchlens.features.variants import unit_rows
from patchlens.tasks.tracking.videos import Video, cosines

FREE = -2.0  # below every cosine: no threshold
SEED = 0  # of the order in which the assignment sees equal candidates


def link(video: Video, features: Array, age: int, threshold: float = FREE) -> Ints:
    """The track of each object [O], numbered from 1 in the order of birth.

    In every frame the live tracks, each with the feature of the object that it was last seen as,
    are assigned to the frame's objects of the same class so that the sum of cosines is highest. A
    pair below `threshold` counts as the threshold and is not linked; an object that is not linked
    begins a track. One without a feature is a separate track.

    Args:
        video: the objects [O].
        features: their features [O, D]; D may be 0, then every cosine is 0.
        age: a track that was last seen more than so many frames ago is dead.
        threshold: the birth threshold, a cosine; without it all that can be linked is.
    """
    from scipy.optimize import linear_sum_assignment  # slow to import

    unit = unit_rows(features)
    # Objects are in the order of their ids, which must not decide between equal candidates.
    rng = np.random.default_rng(SEED)
    tracks = np.zeros(len(video), dtype=np.int64)
    live = np.empty(0, dtype=np.int64)  # the last object of each live track
    born = 0
    for number, here in video.by_frame():
        live = live[number - video.frame[live] <= age]
        seen = rng.permutation(here[video.placed[here]])
        if len(live) and len(seen):
            cosine = cosines(unit[live], unit[seen])
            linkable = video.class_id[live][:, None] == video.class_id[seen]
            linkable &= cosine >= threshold
            value = np.where(linkable, cosine, threshold)
            old, new = linear_sum_assignment(value, maximize=True)
            kept = linkable[old, new]
            old, new = old[kept], new[kept]
            tracks[seen[new]] = tracks[live[old]]
            live[old] = seen[new]
        first = here[tracks[here] == 0]
        tracks[first] = born + 1 + np.arange(len(first))
        born += len(first)
        live = np.concatenate([live, first[video.placed[first]]])
    return tracks


def association_counts(instances: Ints, tracks: Ints) -> tuple[float, int]:
    """The sum of A(c) over the objects of a video, and their number; AssA is their ratio.

    A(c) of Luiten et al., HOTA, IJCV 2021, where every box is its own match: of the boxes that
    have the instance or the track of c, the share that has both.
    """
    _, i, of_instance = np.unique(instances, return_inverse=True, return_counts=True)
    _, t, of_track = np.unique(tracks, return_inverse=True, return_counts=True)
    _, c, both = np.unique(i * len(of_track) + t, return_inverse=True, return_counts=True)
    shares = both[c] / (of_instance[i] + of_track[t] - both[c])
    return float(shares.sum()), len(instances)


def best_threshold(sums: Floats, thresholds: Sequence[float]) -> float:
    """The threshold of highest AssA over all videos; of equals the lowest.

    Args:
        sums: `association_counts` of each video and threshold [V, T, 2]; without videos the lowest
            threshold is chosen.
        thresholds: ascending [T].
    """
    quality, boxes = np.moveaxis(sums.sum(axis=0), -1, 0)
    assa = np.round(quality / np.maximum(boxes, 1), 9)  # last bits must not decide
    return float(thresholds[int(np.argmax(assa))])
