"""The words of T3."""

from functools import partial

import pandas as pd

from patchlens.display import grid
from patchlens.tasks import captions
from patchlens.tasks.words import Words


def caption(rows: pd.DataFrame) -> str:
    """The protocol of one dataset's rows."""
    of = partial(grid.values, rows)
    counts = "; ".join(
        f"{WORDS.head(str(head))}: {grid.values(of_head, f'queries_{head}')} queries of "
        f"{grid.values(of_head, f'units_{head}')} {captions.units(of_head)}"
        f"{_chance(of_head, str(head))}"
        for head, of_head in rows.groupby("head", sort=False)
    )
    searched = "images" if of("unit") == "query" else "objects"
    drawn = ""
    if "asking" in rows and rows["asking"].notna().any():
        drawn = f"; a seeded sample of {of('asking')} of them asks, each for those among all"
    about = (
        f"Gallery: {of('gallery')} {searched}, ranked by {of('distance')}; excluded: "
        f"{of('left_out')}{drawn}. {counts}. "
        "Average precision is step-wise (trapezoidal for easy, medium and hard, as published); "
        "where similarities tie, it is the expected value over orders of the tied."
    )
    return captions.caption(rows, about, [str(key) for key in rows.filter(like="units_")])


def _chance(of_head: pd.DataFrame, head: str) -> str:
    key = f"chance_map_{head}"
    if key not in of_head or of_head[key].isna().any():
        return ""
    return f", chance {'/'.join(f'{100 * value:.1f}' for value in of_head[key].unique())} %"


WORDS = Words(
    title="T3 retrieval",
    about="object retrieval",
    caption=caption,
    heads={
        "instance": "the same instance",
        "fine_class": "another instance of its fine class",
        "easy": "easy",
        "medium": "medium",
        "hard": "hard",
    },
    question="Does an object find itself, or another object of its fine class, in other images?",
    need="Find the same object in other images",
    overview=(("instance", "map"), ("fine_class", "map")),
    columns={"size": "object size in patches", "map": "mAP"},
)
