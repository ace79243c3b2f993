"""The words of T1."""

from functools import partial
from typing import Any

import pandas as pd

from patchlens.display import grid
from patchlens.tasks import captions
from patchlens.tasks.words import Words

EFFORTS = ("nprobe", "ef_search")


def caption(rows: pd.DataFrame) -> str:
    """The protocol of one dataset's rows in words; values that differ between rows are listed."""
    of = partial(grid.values, rows)
    return (
        f"Protocol {of('protocol_version')}. {_support(rows)}; query: "
        f"{of('query_images')} images of {of('split_query')}, {of('query_patches')} labelled "
        f"patches. {grid.view(rows)} Patch label: {of('label')} pixel. "
        f"k-NN: k = {of('k')}, {of('distance')}, {of('vote')} vote{_index(rows)}. Linear probe: "
        f"{_c(rows)}. "
        f"Variants are fitted on the {of('fit_on')} patches. "
        f"{captions.pruned(rows, _dimensions(rows), ' in all')}"
        "mIoU is the mean over the classes present in the query, from one confusion matrix over "
        "all query images at the original mask resolution; a class absent from the support scores "
        f"0. {_spread(rows)} Bold: the best entry of the table, and every "
        "entry whose paired 95 % bootstrap interval against it "
        f"({of('query_units')} units, unit: {of('query_unit')}, conditional on these support sets) "
        f"includes 0.{grid.ceilings(rows)} Floors: untrained ViTs, pixels (mean RGB, row, column), "
        f"place (row, column) and {WORDS.floor} (the most frequent support class). "
        + grid.libraries(rows)
    )


def _c(rows: pd.DataFrame) -> str:
    """How C comes about, in words."""
    if "c" in rows and rows["c"].notna().all():
        return f"C = {grid.values(rows, 'c')}"
    return (
        "C chosen by cross-validation with folds grouped by image; † if at least half of the fits "
        "chose a C at the edge of its range"
    )


def _support(rows: pd.DataFrame) -> str:
    """Where the labelled images come from, in words."""
    of = partial(grid.values, rows)
    if "folds" in rows and rows["folds"].notna().all():
        return (
            f"Support: the images of {of('split_support')} take turns in {of('folds')} folds, "
            f"{of('seeds')} times: each is scored on the support of all other folds"
        )
    return (
        f"Support: {of('shots')} images ({of('shots_per')}) of {of('split_support')}, "
        f"{of('seeds')} seeds"
    )


def _spread(rows: pd.DataFrame) -> str:
    """What follows a score, in words."""
    if set(rows["seeds"]) == {1}:
        return "Brackets: 95 % interval over query units."
    return "±: standard deviation over support seeds."


def _dimensions(rows: pd.DataFrame) -> str:
    """How many dimensions are pruned, in words."""
    of = partial(grid.values, rows)
    if set(rows["prune_select"]) == {"fixed"}:
        return f"m = {of('prune_m')} of the width"
    used = of("prune_m_used")
    drawn = ""
    if "prune_select_patches" in rows and rows["prune_select_patches"].notna().all():
        drawn = f" on {of('prune_select_patches')} of its patches, drawn equally of each class"
    return f"the m chosen by cross-validation in each support set{drawn} (mean {used} dimensions)"


def _index(rows: pd.DataFrame) -> str:
    """How neighbours are approximated, in words; empty for the exact search."""
    if "knn_index" not in rows or rows["knn_index"].isna().any():
        return ""
    of = partial(grid.values, rows)
    effort = [f"{key} {of(f'knn_{key}')}" for key in EFFORTS if f"knn_{key}" in rows]
    kind = ", ".join([f"index {of('knn_index')}", f"storage {of('knn_storage')}", *effort])
    return (
        f", approximate ({kind}): recall of at least {100 * rows['knn_recall_least'].min():.1f} % "
        f"against the exact search, on {of('knn_recall_queries')} query patches"
    )


def _mark(row: "pd.Series[Any]") -> str:
    return "†" if row.get("c_at_edge_share", 0) >= 0.5 else ""


WORDS = Words(
    title="T1 segmentation",
    about="few-shot semantic segmentation",
    caption=caption,
    heads={"knn": "k-NN", "linear": "linear probe", "majority": "the most frequent class"},
    question="Can a few labelled images classify every patch of new images?",
    need="Label every patch from a few labelled images",
    overview=(("knn", "pixel_miou"), ("linear", "pixel_miou")),
    results=True,
    floor="majority",
    spread="deviation",
    mark=_mark,
    cost={"bank_mb": "bank (MB)"},
    columns={
        "k": "neighbours k",
        "shots": "support images",
        "iou": "IoU",
        "pixel_miou": "pixel mIoU",
        "patch_miou": "patch mIoU",
    },
    shares=frozenset({"iou"}),
)
