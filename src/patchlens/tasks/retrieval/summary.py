"""From the answers of T3 to its records, and to its curve over the size of the query."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from patchlens.arrays import Ints
from patchlens.protocol import DIGITS
from patchlens.tasks.objects import SIZES, Objects, size_bins
from patchlens.tasks.resample import SharedResampler, ratio_interval
from patchlens.tasks.retrieval.search import RECALLS, Answers

RECORD_DIGITS = 6
SCORES = {"ap": "map", "hit1": "r1", "hit5": "r5", "hit10": "r10"}  # of records -> of cells
RECORDS = ["head", "variant", "draw", "unit", "query", "size", *SCORES]


def records(
    head: str, variant: str, draw: int, unit: Ints, objects: Objects, answers: Answers
) -> pd.DataFrame:
    """One row per query: its unit, its number, its size bin and its scores."""
    query = answers.query
    table = pd.DataFrame(
        {
            "head": head,
            "variant": variant,
            "draw": np.int16(draw),
            "unit": unit[query],
            "query": query,
            "size": np.array(SIZES)[size_bins(objects.size[query])],
            "ap": answers.ap,
            **{f"hit{k}": answers.hits[:, i] for i, k in enumerate(RECALLS)},
        }
    )
    return table.astype(dict.fromkeys(SCORES, np.float64)).round(RECORD_DIGITS)


def all_records(tables: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """All records in one table, names as categories."""
    names = ["head", "variant", "size"]
    return pd.concat(tables, ignore_index=True).astype(dict.fromkeys(names, "category"))[RECORDS]


def by_size(
    table: pd.DataFrame, variants: Sequence[str], resampler: SharedResampler
) -> pd.DataFrame:
    """One row per head, variant and size of the query, with the number of queries.

    `map` has the 95 % interval over units.

    Args:
        table: all records.
        variants: in the order of the settings.
        resampler: draws the units.
    """
    keys = ["head", "variant", "size"]
    groups = table.groupby(keys, observed=True, sort=False)
    found = groups[list(SCORES)].mean().rename(columns=SCORES)
    found["queries"] = groups["query"].nunique()
    of_unit = table.groupby([*keys, "unit"], observed=True, sort=False)["ap"]
    summed, asked = (
        part.unstack("unit", fill_value=0).sort_index(axis=1).loc[found.index].to_numpy()
        for part in (of_unit.sum(), of_unit.size())
    )
    found["map_ci_low"], found["map_ci_high"] = ratio_interval(summed, asked, resampler)
    found = found.reset_index()
    order = {"head": list(dict.fromkeys(table["head"])), "variant": variants, "size": SIZES}
    for key, values in order.items():
        found[key] = pd.Categorical(found[key].astype(str), list(values), ordered=True)
    return found.sort_values(keys).round(DIGITS)
