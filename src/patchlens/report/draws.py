"""Resamples of support seeds and query units, drawn together and once per dataset."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from patchlens.tasks.bootstrap import draw_counts

Floats = NDArray[np.float64]
CHUNK = 250  # resamples in memory at a time


class NotRun(Exception):
    """A claim cannot be judged in this run; the message says why."""


@dataclass(frozen=True)
class Draws:
    """How often each seed and unit of a dataset is drawn in each resample, for all of its claims.

    Attributes:
        seeds: shares [B, S]; each row sums to 1.
        units: counts [B, U]; each row sums to U.
    """

    seeds: Floats
    units: NDArray[np.uint16]

    def chunks(self) -> Iterator[Floats]:
        """The unit counts in float64, a few resamples [b, U] at a time."""
        for start in range(0, len(self.units), CHUNK):
            yield self.units[start : start + CHUNK].astype(np.float64)


@dataclass(frozen=True)
class Score:
    """A metric of one cell, as it is and resampled over units.

    Attributes:
        seeds: support seeds; [0] if the metric has none.
        units: names of the bootstrap units.
        point: the metric of each seed [S].
        samples: the metric of each resample of units and each seed [B, S].
        draws: the resamples, the same for all scores of a dataset with the same units.
        grid: the patch grid if only scores of the same grid can be compared, otherwise "".
    """

    seeds: list[int]
    units: list[str]
    point: Floats
    samples: Floats
    draws: Draws
    grid: str = ""


class Lottery:
    """Makes the draws of each dataset once: the same for every cell, variant and claim."""

    def __init__(self, resamples: int, seed: int) -> None:
        self.resamples = resamples
        self.seed = seed
        self._drawn: dict[tuple[str, int, int], Draws] = {}

    def draw(self, stream: str, seeds: int, units: int) -> Draws:
        """The draws of a stream, which is named after the dataset."""
        key = (stream, seeds, units)
        if key not in self._drawn:
            digest = hashlib.sha256(stream.encode()).digest()
            entropy = [self.seed, int.from_bytes(digest[:8], "big")]
            rng = np.random.Generator(np.random.PCG64(np.random.SeedSequence(entropy)))
            shares = self._counts(rng, seeds) / seeds
            self._drawn[key] = Draws(shares, self._counts(rng, units))
        return self._drawn[key]

    def _counts(self, rng: np.random.Generator, members: int) -> NDArray[np.uint16]:
        chunks = [
            draw_counts(rng, members, min(CHUNK, self.resamples - start)).astype(np.uint16)
            for start in range(0, self.resamples, CHUNK)
        ]
        return np.concatenate(chunks)
