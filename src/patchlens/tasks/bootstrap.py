"""The 95 % percentile bootstrap over query units of a seed-mean score.

The interval is conditional on the support sets that were drawn: it says how the score would vary
with other query images, not with other supports (that is `_std`).
"""

import numpy as np
from numpy.typing import NDArray

from patchlens.tasks.scores import divide

Floats = NDArray[np.float64]
LEVEL = 0.95


def unit_weights(units: int, resamples: int, seed: int) -> Floats:
    """How often each unit is drawn in each resample [B, U]; the same for every caller."""
    drawn = np.random.Generator(np.random.PCG64(seed)).integers(0, units, (resamples, units))
    flat = drawn + units * np.arange(resamples)[:, None]
    counts = np.bincount(flat.ravel(), minlength=units * resamples)
    return counts.reshape(resamples, units).astype(np.float64)


def resampled_miou(counts: Floats, weights: Floats, present: NDArray[np.bool_]) -> Floats:
    """Seed-mean mIoU of each resample [B].

    Args:
        counts: hits, true and predicted pixels [R, U, C, 3] of each run (seed and draw), unit and
            class.
        weights: how often each unit counts [B, U].
        present: the classes of the whole query's ground truth [C]; one whose union is empty in a
            resample leaves that mean.
    """
    runs, units, classes, _ = counts.shape
    flat = counts.transpose(1, 0, 2, 3).reshape(units, -1)
    hits, true, predicted = np.moveaxis(
        (weights @ flat).reshape(len(weights), runs, classes, 3), -1, 0
    )
    scores = divide(hits, true + predicted - hits)[..., present]
    return np.asarray(np.nanmean(scores, axis=-1).mean(axis=-1))


def interval(samples: Floats) -> tuple[float, float]:
    """The percentile interval of bootstrap samples."""
    tail = 100 * (1 - LEVEL) / 2
    low, high = np.percentile(samples, [tail, 100 - tail])
    return float(low), float(high)
