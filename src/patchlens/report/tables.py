"""The tables of a task as CSV (long, every row with its protocol), Markdown and LaTeX."""

from typing import Any

import pandas as pd
from tabulate import tabulate

from patchlens.report.latex import table

FLOOR = "majority"
HEADS = {"knn": "k-NN", "linear": "linear probe"}
COST = {
    "parameters_m": "params (M)",
    "gflops_per_image": "GFLOPs/image",
    "images_per_second": "images/s",
    "bank_mb": "bank (MB)",
}


def markdown(rows: pd.DataFrame) -> str:
    """One section a dataset, one table a head: models × variants, bold = level with the best."""
    parts = [] if len(rows) else ["segmentation.datasets lists no dataset."]
    for dataset, of_dataset in rows.groupby("dataset", sort=False):
        parts.append(f"### {dataset}: few-shot semantic segmentation, pixel mIoU (%)")
        for head, of_head in _heads(of_dataset):
            header, body = _grid(of_head, of_dataset)
            parts.append(f"**{HEADS[head]}**")
            parts.append(tabulate(body, header, tablefmt="github", disable_numparse=True))
        parts.append(caption(of_dataset))
    return "\n\n".join(parts) + "\n"


def latex(rows: pd.DataFrame) -> str:
    """The same as LaTeX tables."""
    parts = []
    for dataset, of_dataset in rows.groupby("dataset", sort=False):
        for head, of_head in _heads(of_dataset):
            text = f"{dataset}, {HEADS[head]}, pixel mIoU (%). {caption(of_dataset)}"
            parts.append(table(*_grid(of_head, of_dataset), text))
    return "\n\n".join(parts) + "\n"


def caption(rows: pd.DataFrame) -> str:
    """The protocol of one dataset's rows in words; values that differ between rows are listed."""

    def of(key: str) -> str:
        return "/".join(dict.fromkeys(rows[key].astype(str)))

    return (
        f"Protocol {of('protocol_version')}. Support: {of('shots')} images "
        f"({of('shots_per')}) of {of('split_support')}, {of('seeds')} seeds; query: "
        f"{of('query_images')} images of {of('split_query')}, {of('query_patches')} labelled "
        f"patches. View: {of('view')}, grid {of('grid')} ({of('grid_rule')}), layer {of('layer')} "
        f"(0-based), final norm {of('norm')}, {of('dtype')}. Patch label: {of('label')} pixel. "
        f"k-NN: k = {of('k')}, {of('distance')}, {of('vote')} vote. Linear probe: C by folds "
        "grouped by image; † where at least half of the fits chose a C at the edge of its range. "
        f"Variants are fitted on the {of('fit_on')} patches; prune and keep_top use "
        f"m = {of('prune_m')} of the width, prune_random is the mean of {of('random_draws')} "
        "draws. mIoU over the classes present in the query, one confusion matrix over all query "
        "images at the original mask resolution; a class absent from the support scores 0. ± is "
        "the standard deviation over the support seeds. Bold: the best of the table, and every "
        "entry whose paired 95 % bootstrap interval against it "
        f"({of('query_units')} units, unit = {of('query_unit')}, conditional on these supports) "
        f"includes 0. Floors: untrained ViTs, pixels (mean RGB, row, column), {FLOOR} "
        "(the commonest support class). images/s: extraction of the query images on "
        f"{of('device')}, decoding and writing included; it varies from run to run. "
        f"torch {of('torch')}, timm {of('timm')}, numpy {of('numpy')}."
    )


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
            line.append(f"**{text}**" if row["level_with_best"] else text)
        body.append(line + [_number(rows.iloc[0][key]) for key in COST])
    floor = of_dataset[of_dataset["head"] == FLOOR].iloc[0]
    text = form.format(100 * floor["pixel_miou"], 100 * floor["pixel_miou_std"])
    body.append([FLOOR, text] + [""] * (len(variants) - 1 + len(COST)))
    return ["model", *variants, *COST.values()], body


def _number(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float | int) else str(value)
