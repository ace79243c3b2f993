"""The protocol of a table in words, for tasks whose variants are fitted without seeds."""

from collections.abc import Sequence
from functools import partial

import numpy as np
import pandas as pd

from patchlens.display import grid
from patchlens.features.variants import RANDOM, WITH_M
from patchlens.tasks.resample import MIN_UNITS


def caption(rows: pd.DataFrame, about: str, counts: Sequence[str]) -> str:
    """The protocol of one dataset's rows in words; values that differ between rows are listed.

    Args:
        rows: of one dataset.
        about: what the task itself did, in words.
        counts: the columns with the number of units.
    """
    of = partial(grid.values, rows)
    dimensions = f"m = {of('prune_m')} of the width"
    fitted = {"transductive": "the query images themselves (transductive)"}
    fit = "/".join(fitted.get(fit, f"the {fit} images") for fit in rows["fit"].unique())
    return (
        f"Protocol {of('protocol_version')}. {of('query_images')} images of {of('split_query')}. "
        f"{about} {grid.view(rows)} Variants are fitted on {fit}, without labels. "
        f"{pruned(rows, dimensions)}In brackets: 95 % bootstrap interval over "
        f"{units(rows)}{_alone(rows, counts)}. Bold: the best entry of the table, and every entry "
        f"whose paired 95 % interval against it includes 0.{grid.ceilings(rows)}"
        f"{_few(rows, counts)} " + grid.libraries(rows)
    )


def pruned(rows: pd.DataFrame, dimensions: str, of: str = "") -> str:
    """How many dimensions the variants of the rows drop or keep, and what the random ones are."""
    there = set(rows["variant"])
    names, random = ([n for n in of_kind if n in there] for of_kind in (WITH_M, RANDOM))
    if not names:
        return ""
    draws = grid.values(rows, "random_draws")
    mean = f"; {_listed(random, 'is', 'are')} the mean over {draws} draws{of}" if random else ""
    return f"{_listed(names, 'uses', 'use')} {dimensions}{mean}. "


def _listed(names: Sequence[str], one: str, several: str) -> str:
    """Names as the subject of a sentence, with its verb."""
    *first, last = names
    return f"{', '.join(first)} and {last} {several}" if first else f"{last} {one}"


def units(rows: pd.DataFrame) -> str:
    """The bootstrap units in the plural."""
    unit = grid.values(rows, "unit")
    return {"query": "queries"}.get(unit, f"{unit}s")


def _alone(rows: pd.DataFrame, counts: Sequence[str]) -> str:
    return " (none for a single one)" if (rows[list(counts)].min() == 1).any() else ""


def _few(rows: pd.DataFrame, counts: Sequence[str]) -> str:
    """A warning if there are too few units for any verdict."""
    if rows[list(counts)].to_numpy(dtype=np.float64).min() >= MIN_UNITS:
        return ""
    return f" Fewer than {MIN_UNITS} {units(rows)}: too few for a verdict, even where not bold."
