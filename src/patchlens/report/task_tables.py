"""Headline metrics of each task, and the models × variants tables of T2, T3 and T4."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from patchlens.report import grid
from patchlens.report.task_captions import caption, title

T1 = "segmentation"
TITLES = {
    "identification": "instance identification under degradations",
    "retrieval": "object retrieval",
    "tracking": "tracking",
}
LEVEL = "_level_with_best"


@dataclass(frozen=True)
class Shown:
    """A metric with a table of its own.

    Attributes:
        key: its name in a cell.
        name: its name in tables.
        share: whether it is a share, shown in per cent.
        higher: whether higher is better.
    """

    key: str
    name: str
    share: bool = True
    higher: bool = True


def headline(task: str, head: str, keys: list[str]) -> list[Shown]:
    """The metrics of a head that have tables of their own.

    Args:
        task: segmentation, identification, retrieval or tracking.
        head: a head of the task.
        keys: the metrics that were measured.
    """
    if task == T1:
        found = [Shown("pixel_miou", "pixel mIoU (%)")]
    elif task == "identification":
        found = [Shown("robustness", "robustness (%)")]
    elif task == "retrieval":
        found = [Shown("map", "mAP (%)")]
    elif head == "association":
        deltas = sorted(int(key[1:]) for key in keys if re.fullmatch(r"d\d+", key))
        found = [
            Shown(f"d{delta}", f"accuracy after {delta} frame{'s' * (delta > 1)} (%)")
            for delta in dict.fromkeys([*deltas[:1], *deltas[-1:]])
        ]
    elif head == "davis":
        found = [Shown("jf_mean", "J&F mean (%)")]
    else:
        found = [Shown("assa", "AssA (%)")]
        if head == "link":  # without a threshold, the other metrics are in the CSV file only
            found.append(Shown("idf1", "IDF1 (%)"))
            found.append(Shown("idsw", "ID switches (fewer is better)", share=False, higher=False))
    return [shown for shown in found if shown.key in keys]


def markdown(rows: pd.DataFrame, task: str) -> str:
    """One section per dataset, one table per head and metric; bold: level with the best."""
    parts = [] if len(rows) else [f"{task}.datasets lists no datasets."]
    for dataset, of_dataset in rows.groupby("dataset", sort=False):
        parts.append(f"### {dataset}: {TITLES[task]}")
        for shown, head, of_head in _tables(of_dataset, task):
            parts.append(f"**{title(head)}: {shown.name}**")
            parts.append(grid.markdown(*_grid(of_head, shown)))
        parts.append(grid.plain(caption(of_dataset, task)))
    return "\n\n".join(parts) + "\n"


def latex(rows: pd.DataFrame, task: str) -> str:
    """The same as LaTeX tables."""
    parts = []
    for dataset, of_dataset in rows.groupby("dataset", sort=False):
        about = caption(of_dataset, task)
        for shown, head, of_head in _tables(of_dataset, task):
            text = f"{dataset}, {TITLES[task]}, {title(head)}: {shown.name}. {about}"
            parts.append(grid.latex(*_grid(of_head, shown), text))
    return "\n\n".join(parts) + "\n"


def _tables(rows: pd.DataFrame, task: str) -> Iterator[tuple[Shown, str, pd.DataFrame]]:
    for head, of_head in rows.groupby("head", sort=False):
        there = [str(key) for key in of_head.columns[of_head.notna().any()]]
        for shown in headline(task, str(head), there):
            yield shown, str(head), of_head


def _grid(of_head: pd.DataFrame, shown: Shown) -> tuple[list[str], list[list[str]]]:
    variants = list(dict.fromkeys(of_head["variant"]))
    body = []
    for model, rows in of_head.groupby("model", sort=False):
        by_variant = rows.set_index("variant")
        entries = [
            entry(by_variant.loc[v], shown, LEVEL) if v in by_variant.index else ""
            for v in variants
        ]
        body.append([str(model), *entries, *(grid.number(rows.iloc[0][key]) for key in grid.COST)])
    return ["model", *variants, *grid.COST.values()], body


def difference(shown: Shown, values: Sequence[float], sign: str = "") -> str:
    """A difference and the ends of its interval in the unit of the tables; no end is rounded to 0.

    Args:
        shown: the metric.
        values: the difference and both ends.
        sign: `+` to show the sign of a positive difference.
    """
    if not shown.share:
        return f"{{:{sign}.4g}} [{{:.4g}}, {{:.4g}}]".format(*values)
    points = [100 * value for value in values]
    digits = 2 if any(0 < abs(value) < 0.05 for value in points) else 1
    return f"{{:{sign}.{digits}f}} points [{{:.{digits}f}}, {{:.{digits}f}}]".format(*points)


def entry(row: "pd.Series[Any]", shown: Shown, mark: str) -> str:
    """A score with its interval, in bold if the column with the suffix `mark` is true."""
    values = [float(row[shown.key + end]) for end in ("", "_ci_low", "_ci_high")]
    if np.isnan(values[0]):
        return ""
    if shown.share:
        text = "{:.1f} [{:.1f}, {:.1f}]".format(*(100 * value for value in values))
    else:
        text = "{:g} [{:.0f}, {:.0f}]".format(round(values[0], 1), *values[1:])
    return f"**{text}**" if row[shown.key + mark] else text
