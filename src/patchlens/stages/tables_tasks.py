"""The tables of T2, T3 and T4, part of the stage tables."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from patchlens import paths
from patchlens.files import existing, read_json, write_csv, write_text
from patchlens.report import task_tables
from patchlens.report.paired import level_with_best
from patchlens.report.task_captions import in_order
from patchlens.report.task_samples import OF_TASK
from patchlens.settings.segmentation import Uncertainty

NAMES = ["dataset", "model", "head", "variant"]


def write(
    task: str,
    models: Sequence[str],
    datasets: Sequence[str],
    variants: Sequence[str],
    uncertainty: Uncertainty,
    remedy: str,
) -> None:
    """Write metrics/tables/<task>.{csv,md,tex} of the configured cells.

    Raises:
        DataError: a configured cell is missing; `remedy` is the end of the message.
    """
    rows: list[dict[str, Any]] = []
    for dataset in datasets:
        of_dataset = [row for model in models for row in _rows(task, dataset, model, remedy)]
        of_dataset.sort(key=lambda row: variants.index(row["variant"]))
        rows += _compared(task, dataset, of_dataset, uncertainty, remedy)
    table = pd.DataFrame(rows, columns=None if rows else NAMES)
    out = paths.TABLES / task
    write_csv(table, out.with_suffix(".csv"))
    write_text(task_tables.markdown(table, task), out.with_suffix(".md"))
    write_text(task_tables.latex(table, task), out.with_suffix(".tex"))


def _rows(task: str, dataset: str, model: str, remedy: str) -> list[dict[str, Any]]:
    """One row a head × variant of a cell, with its protocol and its cost."""
    folder = paths.cell(dataset, model)
    cell = read_json(folder / f"{task}.json", remedy)
    cost = read_json(folder / "extract.json", remedy)
    protocol = cell.pop("protocol")
    return [
        dict(zip(NAMES, (dataset, model, head, variant), strict=True)) | scores | protocol | cost
        for head in in_order(cell)
        for variant, scores in cell[head].items()
    ]


def _compared(
    task: str, dataset: str, rows: list[dict[str, Any]], uncertainty: Uncertainty, remedy: str
) -> list[dict[str, Any]]:
    """Mark, for each headline metric of each head, what cannot be told from the best."""
    records = {
        model: pd.read_parquet(
            existing(paths.cell(dataset, model) / f"{task}.records.parquet", remedy)
        )
        for model in dict.fromkeys(row["model"] for row in rows)
    }
    for head in dict.fromkeys(row["head"] for row in rows):
        of_head = [row for row in rows if row["head"] == head]
        samples = []
        for row in of_head:
            table = records[row["model"]]
            chosen = table[(table["head"] == head) & (table["variant"] == row["variant"])]
            weighted = OF_TASK[task](chosen)
            samples.append(weighted.resampled(uncertainty.resamples, uncertainty.seed))
        for shown in task_tables.headline(task, head, sorted({k for row in of_head for k in row})):
            there = [i for i, row in enumerate(of_head) if shown.key in row]
            sense = 1 if shown.higher else -1
            drawn_of = np.stack([sense * samples[i][shown.key] for i in there])
            defined = np.isfinite(drawn_of).all(axis=0)  # a resample may have nothing to score
            scores = [sense * of_head[i][shown.key] for i in there]
            marks = level_with_best(list(drawn_of[:, defined]), scores)
            for i, mark in zip(there, marks, strict=True):
                of_head[i][shown.key + task_tables.LEVEL] = mark
    return rows
