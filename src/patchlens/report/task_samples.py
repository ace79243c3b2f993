"""The metrics of T2, T3 and T4 as functions of how often each unit counts.

Made of the records of one head and variant of a cell; means over draws. They have no seeds.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from patchlens.tasks import identification_summary, tracking_summary
from patchlens.tasks.bootstrap import weight_chunks
from patchlens.tasks.retrieval_summary import METRICS

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

    def resampled(self, resamples: int, seed: int) -> dict[str, Floats]:
        """Every metric in resamples of the units, each [B]; the same draws for equal U."""
        chunks = weight_chunks(len(self.units), resamples, seed)
        parts = [self.metrics(weights) for weights in chunks]
        return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def identification(rows: pd.DataFrame) -> Weighted:
    """T2: `top1`, `top5`, `robustness`; units are source images."""
    rows = rows.astype({"unit": str})
    conditions, counts = identification_summary.counts(rows)

    def metrics(weights: Floats) -> Mapping[str, Floats]:
        summed = np.einsum("bu,uck->bck", weights, counts)
        return identification_summary.scores(conditions, summed)

    return Weighted(sorted(rows["unit"].unique()), metrics)


def retrieval(rows: pd.DataFrame) -> Weighted:
    """T3: `map`, `r1`, `r5`, `r10`; units are instances."""
    of_unit = rows.groupby("unit", sort=True)[list(METRICS)]
    summed, count = of_unit.sum().to_numpy(), of_unit.size().to_numpy()

    def metrics(weights: Floats) -> Mapping[str, Floats]:
        means = (weights @ summed) / (weights @ count)[:, None]
        return dict(zip(METRICS.values(), means.T, strict=True))

    return Weighted([str(unit) for unit in of_unit.groups], metrics)


def tracking(rows: pd.DataFrame) -> Weighted:
    """T4: what `tracking_summary.metrics` gives of the head; units are videos."""
    rows = rows.assign(unit=rows["unit"].cat.remove_unused_categories())
    head = str(rows["head"].iat[0])

    def metrics(weights: Floats) -> Mapping[str, Floats]:
        draws = [
            tracking_summary.metrics(head, tracking_summary.summed(of_draw, weights))
            for _, of_draw in rows.groupby("draw")
        ]
        return {name: np.mean([draw[name] for draw in draws], axis=0) for name in draws[0]}

    return Weighted([str(unit) for unit in rows["unit"].cat.categories], metrics)


OF_TASK: dict[str, Callable[[pd.DataFrame], Weighted]] = {
    "identification": identification,
    "retrieval": retrieval,
    "tracking": tracking,
}
