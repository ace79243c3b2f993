"""From the counts of videos to what T4 writes: the records, the cell, the curve over Δ."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from patchlens.protocol import DIGITS
from patchlens.tasks.association import COUNTS
from patchlens.tasks.bootstrap import LEVEL, unit_weights
from patchlens.tasks.mask_scores import DAVIS_METRICS
from patchlens.tasks.track_scores import link_metrics
from patchlens.tasks.videos import Floats

RECORDS = ["head", "variant", "draw", "unit", "count", "value"]
CURVE = ["variant", "delta", "nearest", "optimal", "chance", "pairs"]
Sums = Mapping[str, Floats]
Row = tuple[str, str, int, str, str, float]


def rows(
    head: str, variant: str, draw: int, unit: str, counts: Mapping[str, float]
) -> Iterable[Row]:
    """The records of one video: one row a count."""
    return [(head, variant, draw, unit, name, float(value)) for name, value in counts.items()]


def association_counts(sums: Floats, deltas: Sequence[int]) -> dict[str, float]:
    """Counts by name, such as `nearest_d5`, of what `associate` gives [deltas, 4]."""
    return {
        f"{name}_d{delta}": float(value)
        for delta, row in zip(deltas, sums, strict=True)
        for name, value in zip(COUNTS, row, strict=True)
    }


def records(found: Iterable[Row]) -> pd.DataFrame:
    """All counts of all videos, sorted: what intervals, claims and tables are made of.

    Columns head, variant, draw, unit (the video), count, value. Counts are additive: those of a
    resample of videos are sums of rows, and `metrics` turns them into scores.
    """
    table = pd.DataFrame(found, columns=RECORDS).sort_values(RECORDS[:-1], ignore_index=True)
    return table.astype(dict.fromkeys(["head", "variant", "unit", "count"], "category"))


def metrics(head: str, sums: Sums) -> dict[str, Floats]:
    """Scores of a head from counts summed over the videos of each resample [B].

    A ratio is NaN where its resample has nothing to be scored.

    Args:
        head: `association`, `link`, `link_free`, `davis`.
        sums: the counts by name.
    """
    return _OF[head](sums)


def _association(sums: Sums) -> dict[str, Floats]:
    deltas = [name.removeprefix("pairs_d") for name in sums if name.startswith("pairs_d")]
    return {
        f"{prefix}d{delta}": _ratio(sums[f"{name}_d{delta}"], sums[f"pairs_d{delta}"])
        for delta in sorted(deltas, key=int)
        for prefix, name in (("", "nearest"), ("optimal_", "optimal"), ("chance_", "chance"))
    }


def _davis(sums: Sums) -> dict[str, Floats]:
    means = {name: _ratio(sums[name], sums["objects"]) for name in DAVIS_METRICS}
    return means | {"jf_mean": (means["j_mean"] + means["f_mean"]) / 2}


def _ratio(part: Floats, whole: Floats) -> Floats:
    undefined = np.full(np.shape(whole), np.nan)
    return np.asarray(np.divide(part, whole, out=undefined, where=whole > 0))


_OF: dict[str, Callable[[Sums], dict[str, Floats]]] = {
    "association": _association,
    "davis": _davis,
    "link": link_metrics,
    "link_free": link_metrics,
}


def cell(table: pd.DataFrame, resamples: int, seed: int) -> dict[str, dict[str, Any]]:
    """Head -> variant -> metric, with the interval over videos; the mean over draws.

    Args:
        table: what `records` gives.
        resamples: bootstrap resamples of the videos.
        seed: of the bootstrap.
    """
    units = table["unit"].nunique()
    weights = np.concatenate([np.ones((1, units)), unit_weights(units, resamples, seed)])
    out: dict[str, dict[str, Any]] = {}
    for (head, variant), of_variant in table.groupby(["head", "variant"], observed=True):
        draws = [
            metrics(str(head), summed(rows, weights)) for _, rows in of_variant.groupby("draw")
        ]
        scores: dict[str, float] = {}
        for name in draws[0]:
            values = np.mean([draw[name] for draw in draws], axis=0)
            scores |= _with_interval(name, values)
        out.setdefault(str(head), {})[str(variant)] = scores
    return out


def summed(rows: pd.DataFrame, weights: Floats) -> dict[str, Floats]:
    """The counts of one head, variant and draw, summed over the videos of each resample [B]."""
    wide = rows.pivot(index="unit", columns="count", values="value")
    values = weights @ wide.reindex(rows["unit"].cat.categories).to_numpy()
    return {str(name): values[:, i] for i, name in enumerate(wide.columns)}


def _with_interval(name: str, values: Floats) -> dict[str, float]:
    """The score of all videos (the first value) and its interval; nothing where undefined."""
    if not np.isfinite(values[0]):
        return {}
    if name.startswith("chance_"):
        return {name: round(float(values[0]), DIGITS)}
    ends = [(1 - LEVEL) / 2, (1 + LEVEL) / 2]
    low, high = np.nanquantile(values[1:], ends)
    found = {name: values[0], f"{name}_ci_low": low, f"{name}_ci_high": high}
    return {key: round(float(value), DIGITS) for key, value in found.items()}


def curve(table: pd.DataFrame, variants: Sequence[str], deltas: Sequence[int]) -> pd.DataFrame:
    """Association by Δ: one row a variant and Δ; empty where a Δ has no pairs."""
    mine = table[table["head"] == "association"]
    lines = []
    for variant, of_variant in mine.groupby("variant", observed=True):
        draws = of_variant["draw"].nunique()
        sums = of_variant.groupby("count", observed=True)["value"].sum() / draws
        for delta in deltas:
            pairs = sums[f"pairs_d{delta}"]
            shares = [sums[f"{n}_d{delta}"] / pairs if pairs else np.nan for n in COUNTS[1:]]
            lines.append((str(variant), delta, *shares, int(pairs)))
    lines.sort(key=lambda line: (variants.index(line[0]), line[1]))
    return pd.DataFrame(lines, columns=CURVE).round(DIGITS)
