"""From the hits of T2 to its records, its scores and its curves."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from patchlens.arrays import Bools, Floats
from patchlens.protocol import DIGITS
from patchlens.tasks.identification.copies import Copy
from patchlens.tasks.identification.heads import NO_BIN, Head
from patchlens.tasks.objects import SIZES
from patchlens.tasks.resample import SharedResampler, divide, ratio_interval

CONDITION = ["degradation", "severity"]
KEYS = ["head", "variant", "draw", "unit", *CONDITION, "size"]
COUNTS = ["hits1", "hits5", "queries"]
ENDS = ["top1_ci_low", "top1_ci_high"]
ALL = "all"  # sizes together, and the size of patches


def records(
    head: Head, variant: str, draw: int, found: tuple[Bools, Bools], copies: Sequence[Copy]
) -> pd.DataFrame:
    """Hits and queries of each copy and size bin with a query; they are additive over rows.

    Columns: head, variant, draw, unit (the source image), degradation, severity, size, hits1,
    hits5, queries.
    """
    cell = head.copy * (len(SIZES) + 1) + head.bins - NO_BIN
    length = len(copies) * (len(SIZES) + 1)
    top1, top5 = (np.bincount(cell, hit, minlength=length).astype(np.int64) for hit in found)
    queries = np.bincount(cell, minlength=length)
    there = np.flatnonzero(queries)
    copy, size = np.divmod(there, len(SIZES) + 1)
    names = (ALL, *SIZES)
    return pd.DataFrame(
        {
            "head": head.name,
            "variant": variant,
            "draw": draw,
            "unit": [copies[c].image_id for c in copy],
            "degradation": [copies[c].degradation for c in copy],
            "severity": [copies[c].severity for c in copy],
            "size": [names[s] for s in size],
            "hits1": top1[there],
            "hits5": top5[there],
            "queries": queries[there],
        }
    )


def counts(rows: pd.DataFrame) -> tuple[list[tuple[str, float]], Floats]:
    """The records of one head × variant as an array.

    Returns:
        The conditions (degradation, severity) that have a query, and hits1, hits5 and queries
        [U, C, 3] of each unit, in the order of their names; hits are means over the draws.
    """
    draws = rows["draw"].nunique()
    total = rows.groupby(["unit", *CONDITION], observed=True)[COUNTS].sum() / draws
    table = total.unstack(CONDITION, fill_value=0.0).sort_index()
    conditions = list(table["queries"].columns)
    stacked = table[COUNTS].to_numpy(dtype=np.float64).reshape(len(table), len(COUNTS), -1)
    return conditions, np.ascontiguousarray(np.moveaxis(stacked, 1, 2))


def scores(conditions: Sequence[tuple[str, float]], summed: Floats) -> dict[str, Floats]:
    """`top1` and `top5` over all queries, and `robustness`: each [...], in 0..1.

    Robustness is the mean over degradations of the mean over severities of top-1. A condition
    without queries leaves its mean; without any query a score is NaN.

    Args:
        conditions: degradation and severity of each.
        summed: hits1, hits5 and queries [..., C, 3].
    """
    total = summed.sum(axis=-2)
    queries = summed[..., 2]
    names = np.array([degradation for degradation, _ in conditions])
    means = []
    for name in dict.fromkeys(names):
        of = names == name
        there = queries[..., of] > 0
        top1 = np.nan_to_num(divide(summed[..., of, 0], queries[..., of]))
        means.append(divide(top1.sum(axis=-1), there.sum(axis=-1)))
    of_degradations = np.stack(means, axis=-1)
    defined = ~np.isnan(of_degradations)
    return {
        "top1": divide(total[..., 0], total[..., 2]),
        "top5": divide(total[..., 1], total[..., 2]),
        "robustness": divide(
            np.where(defined, of_degradations, 0).sum(axis=-1), defined.sum(axis=-1)
        ),
    }


def curves(
    table: pd.DataFrame,
    gallery: dict[str, int],
    conditions: Sequence[tuple[str, float]],
    resampler: SharedResampler,
) -> pd.DataFrame:
    """One row per head, variant and condition; for objects also one per size bin.

    `top1` has the 95 % interval over source images. A condition without queries has empty scores.

    Args:
        table: all records.
        gallery: rows of the gallery of each head.
        conditions: all (degradation, severity), in the order of the settings.
        resampler: draws the source images.
    """
    keys = ["head", "variant", *CONDITION, "size"]
    draws = table.groupby(["head", "variant"], observed=True)["draw"].nunique().rename("draws")
    whole = table.assign(size=ALL)
    sized = table[table["size"] != ALL]
    both = pd.concat([whole, sized])
    of_unit = both.groupby([*keys, "unit"], observed=True)[COUNTS].sum()
    hits, asked = (of_unit[name].unstack("unit", fill_value=0) for name in ("hits1", "queries"))
    ends = ratio_interval(hits.to_numpy(), asked.to_numpy(), resampler)
    intervals = pd.DataFrame(dict(zip(ENDS, ends, strict=True)), index=hits.index)
    total = both.groupby(keys, observed=True)[COUNTS].sum().reset_index()
    wanted = pd.MultiIndex.from_tuples(
        [(*pair, *condition, ALL) for pair in draws.index for condition in conditions], names=keys
    )
    there = pd.MultiIndex.from_frame(total[keys])
    total = total.set_index(keys).reindex(there.union(wanted, sort=False), fill_value=0)
    total = total.reset_index().join(draws, on=["head", "variant"]).join(intervals, on=keys)
    total["queries"] //= total["draws"]
    of_all = (total["queries"] * total["draws"]).where(total["queries"] > 0)
    total["top1"], total["top5"] = total["hits1"] / of_all, total["hits5"] / of_all
    total["gallery"] = total["head"].map(gallery)
    order = {name: rank for rank, name in enumerate((ALL, *SIZES))}
    place = {condition: rank for rank, condition in enumerate(conditions)}
    total["place"] = [place[c] for c in zip(*(total[key] for key in CONDITION), strict=True)]
    total["bin"] = total["size"].map(order)
    total = total.sort_values(["head", "variant", "place", "bin"], kind="stable")
    return total[[*keys, "top1", *ENDS, "top5", "queries", "gallery"]].round(DIGITS)
