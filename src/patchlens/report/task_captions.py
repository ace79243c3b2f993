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
        f"{about[task](rows)} {grid.view(rows)} Variants are fitted on {fit}, without labels. "
        f"prune, keep_top and prune_random use m = {of('prune_m')} of the width; prune_random is "
        f"the mean over {of('random_draws')} draws. In brackets: 95 % bootstrap interval over "
        f"{_units(rows)}. Bold: the best entry of the table, and every entry whose paired 95 % "
        f"interval against it includes 0.{grid.ceilings(rows)}{_few(rows, task)} "
        + grid.libraries(rows)
    )


def _units(rows: pd.DataFrame) -> str:
    """The bootstrap units in the plural."""
    unit = grid.values(rows, "unit")
    return {"query": "queries"}.get(unit, f"{unit}s")


def _few(rows: pd.DataFrame, task: str) -> str:
    """A warning if there are too few units for any verdict."""
    count = {"identification": "degraded_images", "tracking": "videos"}
    keys = [count[task]] if task in count else list(rows.filter(like="units_"))
    if rows[keys].to_numpy(dtype=np.float64).min() >= MIN_UNITS:
        return ""
    return f" Fewer than {MIN_UNITS} {_units(rows)}: too few for a verdict, even where not bold."


def _identification(rows: pd.DataFrame) -> str:
    of = partial(grid.values, rows)
    counts = "; ".join(
        f"{title(str(head))}: {grid.values(of_head, 'queries')} queries, "
        f"gallery of {grid.values(of_head, 'gallery')}"
        for head, of_head in rows.groupby("head", sort=False)
    )
    return (
        f"{of('degraded_images')} of them have {of('copies')} degraded copies in all; "
        f"{of('patches')} patches of each copy are searched for among all clean images by "
        f"{of('distance')}. {counts}. "
        "Robustness: top-1 averaged over severities, then over degradations."
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
        f"Gallery: {of('gallery')} {searched}, ranked by {of('distance')}; excluded: "
        f"{of('left_out')}. {counts}. "
        "Average precision is step-wise (trapezoidal for easy, medium and hard, as published); "
        "where similarities tie, it is the expected value over orders of the tied."
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
            f"{of('videos')} videos, {of('objects')} objects. Labels are propagated from the first "
            f"frame and the {of('queue')} previous frames, within a radius of {of('radius')} "
            f"patches, from the top {of('top')} neighbours, T = {of('temperature')}."
        )
    return (
        f"{of('videos')} videos, {of('boxes')} ground-truth boxes. Association: share of objects "
        "whose nearest neighbour in the later frame is the same object. Linking: by cosine alone, "
        f"within each class; age limit {of('age')} frames; birth threshold chosen on "
        f"{THRESHOLDS[of('threshold_from')]}; scored by {of('scored_by')}. With ground-truth boxes "
        "DetA = 1, HOTA = √AssA and MOTA = 1 − IDSW/GT, so only AssA, IDF1 and ID switches are "
        "shown."
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
