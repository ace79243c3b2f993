"""Resampling query units with replacement, and percentile intervals of the results.

The intervals of tables are conditional on the drawn support sets: they describe the variation of a
score over query images, not over support sets (which `_std` does).
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from patchlens.tasks.scores import divide

Floats = NDArray[np.float64]
LEVEL = 0.95
DRAWN = 1 << 23  # draws in memory at once


def draw_counts(rng: np.random.Generator, members: int, resamples: int) -> NDArray[np.int64]:
    """How often each member is drawn in each resample [B, members]; rows sum to `members`."""
    drawn = rng.integers(0, members, (resamples, members)) + members * np.arange(resamples)[:, None]
    counts = np.bincount(drawn.ravel(), minlength=members * resamples)
    return counts.reshape(resamples, members)


def unit_weights(units: int, resamples: int, seed: int) -> Floats:
    """How often each unit is drawn in each resample [B, U]; the same for every caller."""
    rng = np.random.Generator(np.random.PCG64(seed))
    return draw_counts(rng, units, resamples).astype(np.float64)


def run_miou(
    counts: Floats, weights: Floats, present: NDArray[np.bool_], *, chance: bool = False
) -> Floats:
    """MIoU of each resample and run [B, R].

    Args:
        counts: hits, true and predicted pixels [R, U, C, 3] of each run (seed and draw), unit and
            class.
        weights: how often each unit counts [B, U].
        present: the classes in the ground truth of the whole query [C]; a class whose union is
            empty in a resample is excluded from its mean.
        chance: whether hits are instead those expected of independent predictions with the same
            margins, true × predicted / all, as in Cohen's kappa (1960).
    """
    kept = counts[:, :, present]
    runs, units, classes, _ = kept.shape
    flat = kept.transpose(1, 0, 2, 3).reshape(units, -1)
    summed = (weights @ flat).reshape(len(weights), runs, classes, 3)
    hits, true, predicted = np.moveaxis(summed, -1, 0)
    if chance:
        hits = true * predicted / true.sum(axis=-1, keepdims=True)
    return np.asarray(np.nanmean(divide(hits, true + predicted - hits), axis=-1))


def resampled_miou(counts: Floats, weights: Floats, present: NDArray[np.bool_]) -> Floats:
    """Seed-mean mIoU of each resample [B]; arguments as in `run_miou`."""
    return np.asarray(run_miou(counts, weights, present).mean(axis=-1))


def weight_chunks(units: int, resamples: int, seed: int) -> Iterator[Floats]:
    """The rows of `unit_weights`, some at a time."""
    rng = np.random.Generator(np.random.PCG64(seed))
    step = max(1, DRAWN // units)
    for start in range(0, resamples, step):
        yield draw_counts(rng, units, min(step, resamples - start)).astype(np.float64)


def interval(samples: Floats, level: float = LEVEL) -> tuple[Floats, Floats]:
    """The percentile interval of bootstrap samples [..., B]."""
    low, high = np.quantile(samples, [(1 - level) / 2, (1 + level) / 2], axis=-1)
    return low, high
