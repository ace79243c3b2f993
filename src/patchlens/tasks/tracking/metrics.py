"""What T4 measures."""

from collections.abc import Collection, Mapping

import numpy as np
import pandas as pd

from patchlens.arrays import Floats
from patchlens.datasets.index import Index
from patchlens.tasks.metric import Metric
from patchlens.tasks.resample import Weighted
from patchlens.tasks.tracking import summary

LINK = ("link", "link_free")
ASSOCIATION, DAVIS = ("association",), ("davis",)
METRICS = (
    # Protocol 9: after 10 frames, minicity can tell a model from a floor.
    Metric(
        "d{}",
        "accuracy after {} frame{s}",
        heads=ASSOCIATION,
        headline=ASSOCIATION,
        between=("10",),
    ),
    Metric("assa", "AssA", heads=LINK, headline=LINK),
    # Without a threshold, the other metrics are in the CSV file only.
    Metric("idf1", "IDF1", heads=LINK, headline=("link",)),
    Metric(
        "idsw",
        "ID switches",
        unit="count",
        higher_is_better=False,
        heads=LINK,
        headline=("link",),
    ),
    Metric("hota", "HOTA", heads=LINK),
    Metric("jf_mean", "J&F mean", heads=DAVIS, headline=DAVIS),
    Metric("j_mean", "J mean", heads=DAVIS),
    Metric("f_mean", "F mean", heads=DAVIS),
)


def weighted(table: pd.DataFrame, index: Index) -> Weighted:
    """The scores of one head and variant; units are videos."""
    head, units = str(table["head"].iat[0]), sorted(table["unit"].astype(str).unique())
    wide = [
        of_draw.astype({"unit": str}).pivot(index="unit", columns="count", values="value")
        for _, of_draw in table.groupby("draw")
    ]

    def of_units(weights: Floats, wanted: Collection[str] | None) -> Mapping[str, Floats]:
        draws = []
        for counts in wide:
            summed = weights @ counts.loc[units].to_numpy()
            sums = {str(name): summed[:, i] for i, name in enumerate(counts.columns)}
            draws.append(summary.metrics(head, sums))
        means = {name: np.mean([draw[name] for draw in draws], axis=0) for name in draws[0]}
        return {name: mean[:, None] for name, mean in means.items()}

    return Weighted(units, of_units)
