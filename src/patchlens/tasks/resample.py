"""All resampling: query units and support seeds with replacement, intervals, scores by weights.

Every score of a cell is a function of how often each query unit counts, with one value per support
seed. Cells and tables resample units only: their intervals are conditional on the drawn support
sets, whose spread the standard deviation over seeds shows. Claims resample units and seeds.
"""

import hashlib
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache, lru_cache

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from patchlens.arrays import Floats
from patchlens.protocol import DIGITS
from patchlens.settings.uncertainty import Uncertainty

LEVEL = 0.95
MIN_UNITS = 10  # fewer: the resamples say too little about other units
DRAWN = 1 << 23  # draws in memory at once
ROWS = 250  # resamples scored at once for claims, which have many


@dataclass(frozen=True)
class Draws:
    """How often each seed and unit is drawn in each resample.

    Attributes:
        seeds: shares [B, S]; each row sums to 1.
        units: counts [B, U]; each row sums to U.
    """

    seeds: Floats
    units: NDArray[np.uint16]

    def chunks(self) -> Iterator[Floats]:
        """The unit counts in float64, a few resamples [b, U] at a time."""
        for start in range(0, len(self.units), ROWS):
            yield self.units[start : start + ROWS].astype(np.float64)


@dataclass(frozen=True)
class SharedResampler:
    """Draws that all scores with the same units share, so that their differences are paired.

    Attributes:
        resamples: how many, B.
        seed: of the draws.
    """

    resamples: int
    seed: int

    @classmethod
    def of(cls, uncertainty: Uncertainty) -> "SharedResampler":
        """That of cells and tables."""
        return cls(uncertainty.resamples, uncertainty.seed)

    def unit_chunks(self, units: int) -> Iterator[Floats]:
        """How often each unit is drawn, some resamples [b, U] at a time; equal for equal U."""
        if self.resamples * units <= DRAWN:
            yield _one_chunk(self, units)
            return
        rng = np.random.Generator(np.random.PCG64(self.seed))
        step = max(1, DRAWN // units)
        for start in range(0, self.resamples, step):
            yield _counts(rng, units, min(step, self.resamples - start)).astype(np.float64)

    def draws(self, stream: str, *, seeds: int, units: int) -> Draws:
        """Seeds and units of a stream, which is named after a dataset.

        Streams are independent: a claim adds up what the resamples of several datasets do.
        """
        return _draws(self, stream, seeds, units)


@cache
def _draws(resampler: SharedResampler, stream: str, seeds: int, units: int) -> Draws:
    digest = hashlib.sha256(stream.encode()).digest()
    entropy = [resampler.seed, int.from_bytes(digest[:8], "big")]
    rng = np.random.Generator(np.random.PCG64(np.random.SeedSequence(entropy)))

    def whole(members: int) -> NDArray[np.uint16]:
        starts = range(0, resampler.resamples, ROWS)
        chunks = [_counts(rng, members, min(ROWS, resampler.resamples - s)) for s in starts]
        return np.concatenate([chunk.astype(np.uint16) for chunk in chunks])

    shares = whole(seeds) / seeds
    return Draws(shares, whole(units))


@lru_cache(maxsize=2)  # asked for again by each head and variant
def _one_chunk(resampler: SharedResampler, units: int) -> Floats:
    rng = np.random.Generator(np.random.PCG64(resampler.seed))
    drawn = _counts(rng, units, resampler.resamples).astype(np.float64)
    drawn.setflags(write=False)  # it is everybody's
    return drawn


def _counts(rng: np.random.Generator, members: int, resamples: int) -> NDArray[np.int64]:
    """How often each member is drawn in each resample [B, members]; rows sum to `members`."""
    drawn = rng.integers(0, members, (resamples, members)) + members * np.arange(resamples)[:, None]
    counts = np.bincount(drawn.ravel(), minlength=members * resamples)
    return counts.reshape(resamples, members)


@dataclass(frozen=True)
class Weighted:
    """The scores of one head and variant as functions of the weight of each query unit.

    Attributes:
        units: names of the units [U]: images, sequences, source images, instances, videos.
        metrics: (weights [B, U], names or None for all) -> metric -> its values [B, S] of each
            support seed, as means over draws; NaN where a resample has nothing to score.
        seeds: the support seeds [S]; [0] in a task without them.
    """

    units: list[str]
    metrics: Callable[[Floats, Collection[str] | None], Mapping[str, Floats]]
    seeds: list[int] = field(default_factory=lambda: [0])

    def point(self, wanted: Collection[str] | None = None) -> dict[str, Floats]:
        """Every metric of all units, for each seed [S]; NaN where there is nothing to score."""
        whole = self.metrics(np.ones((1, len(self.units))), wanted)
        return {name: values[0] for name, values in whole.items()}

    def resampled(
        self, resampler: SharedResampler, wanted: Collection[str] | None = None
    ) -> dict[str, Floats]:
        """Every metric in resamples of the units, as means over seeds, each [B]."""
        chunks = resampler.unit_chunks(len(self.units))
        parts = [self.metrics(weights, wanted) for weights in chunks]
        return {
            name: np.concatenate([part[name].mean(axis=1) for part in parts]) for name in parts[0]
        }


def scored(
    weigh: Callable[[pd.DataFrame], Weighted], records: pd.DataFrame, resampler: SharedResampler
) -> dict[str, dict[str, dict[str, float]]]:
    """Head -> variant -> metric with its 95 % interval, of all records of a cell.

    With several seeds, also the standard deviation over them (divisor S − 1). Metrics with nothing
    to score are omitted, and so is the interval of chance, which is not an estimate. Resamples with
    nothing to score are excluded from the interval.
    """
    out: dict[str, dict[str, dict[str, float]]] = {}
    for (head, variant), rows in records.groupby(["head", "variant"], observed=True, sort=False):
        weighted = weigh(rows)
        drawn, scores = weighted.resampled(resampler), dict[str, float]()
        for name, values in weighted.point().items():
            if np.isfinite(values).all():
                scores[name] = float(values.mean())
                if len(values) > 1:
                    scores[f"{name}_std"] = float(values.std(ddof=1))
                if not name.startswith("chance"):
                    low, high = interval(drawn[name][np.isfinite(drawn[name])])
                    scores |= {f"{name}_ci_low": float(low), f"{name}_ci_high": float(high)}
        rounded = {name: round(value, DIGITS) for name, value in scores.items()}
        out.setdefault(str(head), {})[str(variant)] = rounded
    return out


def ratio_interval(
    top: Floats, bottom: Floats, resampler: SharedResampler
) -> tuple[Floats, Floats]:
    """The 95 % interval of each point of a curve that is one sum over units by another.

    Args:
        top: what each unit adds to the upper sum of each point [P, U].
        bottom: what it adds to the lower one [P, U].
        resampler: the draws of the units; shared with every other score of as many units.

    Returns:
        Both ends [P], rounded. A resample without anything to score leaves its point's interval; a
        point that no resample scores has NaN.
    """
    chunks = resampler.unit_chunks(top.shape[1])
    samples = np.hstack([divide(top @ weights.T, bottom @ weights.T) for weights in chunks])
    ends = np.full((2, len(samples)), np.nan)
    defined = np.isfinite(samples)
    whole = defined.all(axis=1)
    if whole.any():
        ends[:, whole] = interval(samples[whole])
    for row in np.flatnonzero(~whole & defined.any(axis=1)):
        ends[:, row] = interval(samples[row, defined[row]])
    low, high = ends.round(DIGITS)
    return low, high


def interval(samples: Floats, level: float = LEVEL) -> tuple[Floats, Floats]:
    """The percentile interval of bootstrap samples [..., B]."""
    low, high = np.quantile(samples, [(1 - level) / 2, (1 + level) / 2], axis=-1)
    return low, high


def divide(a: Floats, b: Floats) -> Floats:
    """A / b, NaN where b is 0."""
    out = np.full(np.broadcast(a, b).shape, np.nan)
    return np.asarray(np.divide(a, b, out=out, where=b > 0))
