"""The tables of a task as CSV (long, every row with its protocol), Markdown and LaTeX."""

from functools import partial

import pandas as pd

from patchlens.report import grid

FLOOR = "majority"
HEADS = {"knn": "k-NN", "linear": "linear probe"}
COST = grid.COST | {"bank_mb": "bank (MB)"}


def markdown(rows: pd.DataFrame) -> str:
    """One section per dataset, one table per head: models × variants; bold: level with the best."""
    parts = [] if len(rows) else ["segmentation.datasets lists no datasets."]
    for dataset, of_dataset in rows.groupby("dataset", sort=False):
        parts.append(f"### {dataset}: few-shot semantic segmentation, pixel mIoU (%)")
        for head, of_head in _heads(of_dataset):
            parts.append(f"**{HEADS[head]}**")
            parts.append(grid.markdown(*_grid(of_head, of_dataset)))
        parts.append(grid.plain(caption(of_dataset)))
    return "\n\n".join(parts) + "\n"


def latex(rows: pd.DataFrame) -> str:
    """The same as LaTeX tables."""
    parts = []
    for dataset, of_dataset in rows.groupby("dataset", sort=False):
        for head, of_head in _heads(of_dataset):
            text = f"{dataset}, {HEADS[head]}, pixel mIoU (%). {caption(of_dataset)}"
            parts.append(grid.latex(*_grid(of_head, of_dataset), text))
    return "\n\n".join(parts) + "\n"


def caption(rows: pd.DataFrame) -> str:
    """The protocol of one dataset's rows in words; values that differ between rows are listed."""
    of = partial(grid.values, rows)
    return (
        f"Protocol {of('protocol_version')}. Support: {of('shots')} images "
        f"({of('shots_per')}) of {of('split_support')}, {of('seeds')} seeds; query: "
        f"{of('query_images')} images of {of('split_query')}, {of('query_patches')} labelled "
        f"patches. {grid.view(rows)} Patch label: {of('label')} pixel. "
        f"k-NN: k = {of('k')}, {of('distance')}, {of('vote')} vote. Linear probe: C chosen by "
        "cross-validation with folds grouped by image; † if at least half of the fits chose a C at "
        "the edge of its range. "
        f"Variants are fitted on the {of('fit_on')} patches. prune, keep_top and prune_random use "
        f"{_dimensions(rows)}; prune_random is the mean over {of('random_draws')} draws in all. "
        "mIoU is the mean over the classes present in the query, from one confusion matrix over "
        "all query images at the original mask resolution; a class absent from the support scores "
        "0. ±: standard deviation over support seeds. Bold: the best entry of the table, and every "
        "entry whose paired 95 % bootstrap interval against it "
        f"({of('query_units')} units, unit: {of('query_unit')}, conditional on these support sets) "
        f"includes 0.{grid.ceilings(rows)} Floors: untrained ViTs, pixels (mean RGB, row, column) "
        f"and {FLOOR} (the most frequent support class). " + grid.libraries(rows)
    )


def _dimensions(rows: pd.DataFrame) -> str:
    """How many dimensions are pruned, in words."""
    of = partial(grid.values, rows)
    if set(rows["prune_select"]) == {"fixed"}:
        return f"m = {of('prune_m')} of the width"
    used = of("prune_m_used")
    return f"the m chosen by cross-validation in each support set (mean {used} dimensions)"


def _heads(rows: pd.DataFrame) -> list[tuple[str, pd.DataFrame]]:
    found = [(head, rows[rows["head"] == head]) for head in HEADS]
    return [(head, of_head) for head, of_head in found if len(of_head)]


def _grid(of_head: pd.DataFrame, of_dataset: pd.DataFrame) -> tuple[list[str], list[list[str]]]:
    form = "{:.1f} ± {:.1f}"
    variants = list(dict.fromkeys(of_head["variant"]))
    body = []
    for model, rows in of_head.groupby("model", sort=False):
        by_variant = rows.set_index("variant")
        line = [str(model)]
        for variant in variants:
            row = by_variant.loc[variant]
            text = form.format(100 * row["pixel_miou"], 100 * row["pixel_miou_std"])
            text += "†" if row.get("c_at_edge_share", 0) >= 0.5 else ""
            line.append(f"**{text}**" if row["pixel_miou_level_with_best"] else text)
        body.append(line + [grid.number(rows.iloc[0][key]) for key in COST])
    floor = of_dataset[of_dataset["head"] == FLOOR].iloc[0]
    text = form.format(100 * floor["pixel_miou"], 100 * floor["pixel_miou_std"])
    body.append([FLOOR, text] + [""] * (len(variants) - 1 + len(COST)))
    return ["model", *variants, *COST.values()], body
