"""What T2 measures."""

from collections.abc import Collection, Mapping

import numpy as np
import pandas as pd

from patchlens.arrays import Floats
from patchlens.datasets.index import Index
from patchlens.tasks.identification import summary
from patchlens.tasks.metric import Metric
from patchlens.tasks.resample import Weighted

PATCHES = ("patch", "patch_{}")
HEADS = (*PATCHES, "object")
METRICS = (
    Metric("robustness", "robustness", heads=HEADS, headline=HEADS, patchwise=PATCHES),
    Metric("top1", "top-1", heads=HEADS, patchwise=PATCHES),
    Metric("top5", "top-5", heads=HEADS, patchwise=PATCHES),
)


def weighted(rows: pd.DataFrame, index: Index) -> Weighted:
    """The scores of one head and variant; units are source images."""
    rows = rows.astype({"unit": str})
    conditions, found = summary.counts(rows)

    def metrics(weights: Floats, wanted: Collection[str] | None) -> Mapping[str, Floats]:
        summed = np.einsum("bu,uck->bck", weights, found)
        scores = summary.scores(conditions, summed)
        return {name: values[:, None] for name, values in scores.items()}

    return Weighted(sorted(rows["unit"].unique()), metrics)
