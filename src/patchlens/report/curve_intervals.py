"""95 % intervals for the curves of T2, T3 and T4, whose CSV files hold points alone.

From the same records and resamples of units as the intervals of the tables.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from patchlens.protocol import DIGITS
from patchlens.tasks.bootstrap import interval, unit_weights
from patchlens.tasks.identification_summary import ALL
from patchlens.tasks.scores import divide

UNIT, SUMS = "unit", ["top", "bottom"]


@dataclass(frozen=True)
class Curve:
    """A score that is one sum over units by another.

    Attributes:
        keys: what tells the points of the curve apart, as its CSV file names it.
        sums: the records of a cell -> rows with `keys`, the unit, and its two sums.
    """

    keys: tuple[str, ...]
    sums: Callable[[pd.DataFrame], pd.DataFrame]


def _identification(records: pd.DataFrame) -> pd.DataFrame:
    named = records.rename(columns={"hits1": "top", "queries": "bottom"})
    named = named.astype({"size": str})
    return pd.concat([named.assign(size=ALL), named[named["size"] != ALL]])


def _retrieval(records: pd.DataFrame) -> pd.DataFrame:
    return records.rename(columns={"ap": "top"}).assign(bottom=1.0)


def _tracking(records: pd.DataFrame) -> pd.DataFrame:
    parts = records["count"].astype(str).str.extract(r"^(nearest|pairs)_d(\d+)$")
    long = records.assign(name=parts[0], delta=parts[1])[parts[0].notna()]
    keys = ["variant", "draw", UNIT, "delta"]
    wide = long.astype({"variant": str, UNIT: str}).pivot(
        index=keys, columns="name", values="value"
    )
    wide = wide.rename(columns={"nearest": "top", "pairs": "bottom"}).reset_index()
    return wide.astype({"delta": int})


CURVES: Mapping[tuple[str, str], Curve] = {  # (task, score of the curve)
    ("identification", "top1"): Curve(
        ("head", "variant", "degradation", "severity", "size"), _identification
    ),
    ("retrieval", "map"): Curve(("head", "variant", "size"), _retrieval),
    ("tracking", "nearest"): Curve(("variant", "delta"), _tracking),
}


def ends(curve: Curve, records: pd.DataFrame, resamples: int, seed: int) -> pd.DataFrame:
    """The interval of every point of a curve.

    Args:
        curve: one of `CURVES`.
        records: of one cell.
        resamples: of its units.
        seed: of the resamples.

    Returns:
        Columns `keys`, `low` and `high`, shares of one. A resample without anything to score
        leaves the interval.
    """
    keys = list(curve.keys)
    rows = curve.sums(records)
    rows = rows.astype(dict.fromkeys(SUMS, float)).astype(
        {name: str for name in (*keys, UNIT) if rows[name].dtype == "category"}
    )
    summed = rows.groupby([*keys, UNIT])[SUMS].sum().unstack(UNIT, fill_value=0.0)
    weights = unit_weights(summed["top"].shape[1], resamples, seed)
    top, bottom = (summed[name].to_numpy(dtype=np.float64) @ weights.T for name in SUMS)
    samples = divide(top, bottom)
    if np.isfinite(samples).all():
        low, high = interval(samples)
    else:
        found = [interval(row[np.isfinite(row)]) for row in samples]
        low, high = np.array(found).T
    return summed.index.to_frame(index=False).assign(
        low=np.round(low, DIGITS), high=np.round(high, DIGITS)
    )
