"""The captions of the tables of T2, T3 and T4, and the names of their heads."""

import re
from collections.abc import Iterable
from functools import partial

import numpy as np
import pandas as pd

from patchlens.report import grid
from patchlens.report.verdict import MIN_UNITS

HEADS = {
    "patch": "patches",
    "object": "objects",
    "instance": "the same instance",
    "fine_class": "another instance of its fine class",
    "easy": "easy",
    "medium": "medium",
    "hard": "hard",
    "association": "association",
    "link": "linking with a birth threshold",
    "link_free": "linking without a threshold",
    "davis": "label propagation",
}
THRESHOLDS = {
    "support": "the support's videos",
    "leave-one-out": "the other videos of the query",
}


def caption(rows: pd.DataFrame, task: str) -> str:
    """The protocol of one dataset's rows in words; values that differ between rows are listed."""
    of = partial(grid.values, rows)
    fitted = {"transductive": "the query images themselves (transductive)"}
    fit = "/".join(fitted.get(fit, f"the {fit} images") for fit in rows["fit"].unique())
    about = {"identification": _identification, "retrieval": _retrieval, "tracking": _tracking}
    return (
        f"Protocol {of('protocol_version')}. {of('query_images')} images of {of('split_query')}. "
        f"{about[task](rows)} {grid.view(rows)} Variants are fitted on {fit}, without labels; "
        f"prune, keep_top and prune_random take m = {of('prune_m')} of the width, prune_random is "
        f"the mean of {of('random_draws')} draws. In brackets: 95 % bootstrap interval over "
        f"{_units(rows)}. Bold: the best of the table, and every entry whose paired 95 % interval "
        f"against it includes 0.{grid.ceilings(rows)}{_few(rows, task)} " + grid.libraries(rows)
    )


def _units(rows: pd.DataFrame) -> str:
    """The bootstrap units in the plural."""
    unit = grid.values(rows, "unit")
    return {"query": "queries"}.get(unit, f"{unit}s")


def _few(rows: pd.DataFrame, task: str) -> str:
    """A warning where there are too few units for any verdict."""
    count = {"identification": "degraded_images", "tracking": "videos"}
    keys = [count[task]] if task in count else list(rows.filter(like="units_"))
    if rows[keys].to_numpy(dtype=np.float64).min() >= MIN_UNITS:
        return ""
    return f" Fewer than {MIN_UNITS} {_units(rows)}: what is not bold is undecided all the same."


def _identification(rows: pd.DataFrame) -> str:
    of = partial(grid.values, rows)
    counts = "; ".join(
        f"{title(str(head))}: {grid.values(of_head, 'queries')} queries, "
        f"{grid.values(of_head, 'gallery')} in the gallery"
        for head, of_head in rows.groupby("head", sort=False)
    )
    return (
        f"{of('copies')} degraded copies of {of('degraded_images')} of them look for their patches "
        f"({of('patches')} of each copy, by {of('distance')}) in all clean images. {counts}. "
        "Robustness: mean over degradations of the mean over severities of top-1."
    )


def _retrieval(rows: pd.DataFrame) -> str:
    of = partial(grid.values, rows)
    counts = "; ".join(
        f"{title(str(head))}: {grid.values(of_head, f'queries_{head}')} queries of "
        f"{grid.values(of_head, f'units_{head}')} {_units(of_head)}{_chance(of_head, str(head))}"
        for head, of_head in rows.groupby("head", sort=False)
    )
    searched = "images" if of("unit") == "query" else "objects"
    return (
        f"{of('gallery')} {searched}, by {of('distance')}; {of('left_out')} left out. {counts}. "
        "Average precision is step-wise (easy, medium, hard: trapezoidal, as published), and its "
        "expected value where similarities tie."
    )


def _chance(of_head: pd.DataFrame, head: str) -> str:
    key = f"chance_map_{head}"
    if key not in of_head or of_head[key].isna().any():
        return ""
    return f", chance {'/'.join(f'{100 * value:.1f}' for value in of_head[key].unique())} %"


def _tracking(rows: pd.DataFrame) -> str:
    of = partial(grid.values, rows)
    if set(rows["head"]) == {"davis"}:
        return (
            f"{of('videos')} videos, {of('objects')} objects; labels of the first frame are "
            f"propagated from it and the {of('queue')} frames before, within {of('radius')} "
            f"patches, top {of('top')}, T = {of('temperature')}."
        )
    return (
        f"{of('videos')} videos, {of('boxes')} ground-truth boxes. Association: share of objects "
        "whose nearest in the later frame is the same. Linking: by cosine alone within the class, "
        f"age limit {of('age')} frames, birth threshold from {THRESHOLDS[of('threshold_from')]}; "
        f"scored by {of('scored_by')}. With ground-truth boxes "
        "DetA = 1, HOTA = √AssA and MOTA = 1 − IDSW/GT, so that AssA, IDF1 and ID switches say "
        "it all."
    )


def in_order(heads: Iterable[str]) -> list[str]:
    """Heads in the order of the tables: pooled patches after single ones."""
    known = list(HEADS)
    bases = {head: "patch" if head.startswith("patch") else head for head in heads}
    return sorted(bases, key=lambda head: (known.index(bases[head]), len(head), head))


def title(head: str) -> str:
    """A head in words; `patch_2` are patches pooled 2×2."""
    pooled = re.fullmatch(r"patch_(\d+)", head)
    return f"{pooled[1]}×{pooled[1]} patches" if pooled else HEADS.get(head, head)
