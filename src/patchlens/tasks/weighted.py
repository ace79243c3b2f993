"""The metrics of T2, T3 and T4 as functions of the weight of each unit, and their intervals.

Computed from the records of one head and variant, as means over draws. They have no seeds.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from patchlens.protocol import DIGITS
from patchlens.tasks.bootstrap import interval, weight_chunks
from patchlens.tasks.scores import divide

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Weighted:
    """The metrics of one head and variant.

    Attributes:
        units: names of the bootstrap units [U]: source images, instances, videos.
        metrics: how often each unit counts [B, U] -> metric -> its values [B].
    """

    units: list[str]
    metrics: Callable[[Floats], Mapping[str, Floats]]

    def point(self) -> dict[str, float]:
        """Every metric of all units; NaN where there is nothing to score."""
        whole = self.metrics(np.ones((1, len(self.units))))
        return {name: float(value[0]) for name, value in whole.items()}

    def resampled(self, resamples: int, seed: int) -> dict[str, Floats]:
        """Every metric in resamples of the units, each [B]; the same draws for equal U."""
        chunks = weight_chunks(len(self.units), resamples, seed)
        parts = [self.metrics(weights) for weights in chunks]
        return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def ratio_interval(top: Floats, bottom: Floats, resamples: int, seed: int) -> tuple[Floats, Floats]:
    """The 95 % interval of each point of a curve that is one sum over units by another.

    Args:
        top: what each unit adds to the upper sum of each point [P, U].
        bottom: what it adds to the lower one [P, U].
        resamples: of the units; the same draws as of every other score of as many units.
        seed: of the resamples.

    Returns:
        Both ends [P], rounded. A resample without anything to score leaves its point's interval; a
        point that no resample scores has NaN.
    """
    chunks = weight_chunks(top.shape[1], resamples, seed)
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


Weigh = Callable[[pd.DataFrame], Weighted]


def scored(
    weigh: Weigh, table: pd.DataFrame, resamples: int, seed: int
) -> dict[str, dict[str, dict[str, float]]]:
    """Head -> variant -> metric with its 95 % interval, of all records `table` of a cell.

    Metrics with nothing to score are omitted, and so is the interval of chance, which is not an
    estimate. Resamples with nothing to score are excluded from the interval.
    """
    out: dict[str, dict[str, dict[str, float]]] = {}
    for (head, variant), rows in table.groupby(["head", "variant"], observed=True, sort=False):
        weighted = weigh(rows)
        drawn, scores = weighted.resampled(resamples, seed), dict[str, float]()
        for name, value in weighted.point().items():
            if np.isfinite(value):
                scores[name] = value
                if not name.startswith("chance"):
                    low, high = interval(drawn[name][np.isfinite(drawn[name])])
                    scores |= {f"{name}_ci_low": float(low), f"{name}_ci_high": float(high)}
        rounded = {name: round(value, DIGITS) for name, value in scores.items()}
        out.setdefault(str(head), {})[str(variant)] = rounded
    return out
