"""What the study of variance measures; its claims are about raw features only."""

from collections.abc import Collection, Mapping

import numpy as np
import pandas as pd

from patchlens.arrays import Floats
from patchlens.datasets.index import Index
from patchlens.features.moments import Moments, spectrum
from patchlens.tasks.metric import Metric
from patchlens.tasks.resample import Weighted

METRICS = (
    Metric("top1", "variance in the top dimension"),
    Metric("top5", "variance in the top 5 dimensions"),
    Metric("top_1pct", "variance in the top 1 % of dimensions"),
    Metric("top_10pct", "variance in the top 10 % of dimensions"),
    Metric("participation", "participation ratio", unit="number"),
)
CUES = ("row", "column", "brightness", "edges")  # of a patch, which dimensions correlate with


def weighted(rows: pd.DataFrame, index: Index) -> Weighted:
    """How concentrated the variance is; units are images, or sequences if those of the query are.

    Support images count too, by the rule of the query.
    """
    rows = rows.astype({"image_id": str})  # categories do not sort by name
    summed = rows.assign(unit=rows["image_id"].map(_units(index)))
    summed = summed.groupby(["unit", "dimension"])[["count", "total", "squares"]].sum()
    units = [str(unit) for unit in summed.index.get_level_values("unit").unique()]
    columns = [summed[key].to_numpy().reshape(len(units), -1) for key in summed]
    moments = Moments(columns[0][:, 0], columns[1], columns[2])

    def metrics(weights: Floats, wanted: Collection[str] | None) -> Mapping[str, Floats]:
        found = spectrum(moments.resampled(weights))
        names = [metric.key for metric in METRICS] if wanted is None else wanted
        return {name: np.asarray(found[name])[:, None] for name in names}

    return Weighted(units, metrics)


def _units(index: Index) -> "pd.Series[str]":
    """The unit of every image."""
    images, query = index.images, index.query
    own = pd.Series(images.index, index=images.index)
    by_image = (query["unit"] == query["image_id"]).all()
    return own if by_image else images["sequence"].fillna(own)
