"""What T3 measures."""

from collections.abc import Collection, Mapping

import pandas as pd

from patchlens.arrays import Floats
from patchlens.datasets.index import Index
from patchlens.tasks.metric import Metric
from patchlens.tasks.resample import Weighted
from patchlens.tasks.retrieval.summary import SCORES

HEADS = ("instance", "fine_class", "easy", "medium", "hard")
METRICS = (
    Metric("map", "mAP", heads=HEADS, headline=HEADS),
    Metric("r1", "recall at 1", heads=HEADS),
    Metric("r5", "recall at 5", heads=HEADS),
    Metric("r10", "recall at 10", heads=HEADS),
)


def weighted(rows: pd.DataFrame, index: Index) -> Weighted:
    """The scores of one head and variant; units are instances, or images."""
    of_unit = rows.groupby("unit", sort=True)[list(SCORES)]
    summed, count = of_unit.sum().to_numpy(), of_unit.size().to_numpy()

    def metrics(weights: Floats, wanted: Collection[str] | None) -> Mapping[str, Floats]:
        means = (weights @ summed) / (weights @ count)[:, None]
        return {name: means[:, [i]] for i, name in enumerate(SCORES.values())}

    return Weighted([str(unit) for unit in of_unit.groups], metrics)
