"""The tables of T2, T3 and T4, part of the stage tables."""

from collections.abc import Mapping, Sequence
from functools import partial

import numpy as np

from patchlens.report import task_tables
from patchlens.report.of_task import OF_TASK
from patchlens.report.paired import compared
from patchlens.report.task_captions import in_order
from patchlens.settings.models import Role
from patchlens.settings.segmentation import Uncertainty
from patchlens.stages.tables_rows import Row, publish, records_of, table_of


def write(
    task: str,
    models: Mapping[str, Role],
    datasets: Sequence[str],
    variants: Sequence[str],
    uncertainty: Uncertainty,
) -> None:
    """Write metrics/tables/<task>.{csv,md,tex} of the configured cells.

    Raises:
        DataError: a configured cell is missing.
    """
    compare = partial(_compare, task, uncertainty)
    table = table_of(task, models, datasets, variants, compare, in_order)
    publish(task, table, task_tables.markdown(table, task), task_tables.latex(table, task))


def _compare(task: str, uncertainty: Uncertainty, dataset: str, rows: list[Row]) -> None:
    """Mark, for each headline metric of each head, what cannot be told from the best."""
    records = records_of(task, dataset, rows)
    for head in dict.fromkeys(row["head"] for row in rows):
        of_head = [row for row in rows if row["head"] == head]
        samples = []
        for row in of_head:
            table = records[row["model"]]
            chosen = table[(table["head"] == head) & (table["variant"] == row["variant"])]
            weighted = OF_TASK[task](chosen)
            units = len(weighted.units)  # the same of all rows, since they are compared
            samples.append(weighted.resampled(uncertainty.resamples, uncertainty.seed))
        for shown in task_tables.headline(task, head, sorted({k for row in of_head for k in row})):
            there = [i for i, row in enumerate(of_head) if shown.key in row]
            drawn_of = np.stack([samples[i][shown.key] for i in there])
            defined = np.isfinite(drawn_of).all(axis=0)  # a resample may have nothing to score
            of_metric, sense = [of_head[i] for i in there], 1 if shown.higher else -1
            found = compared(of_metric, list(drawn_of[:, defined]), shown.key, sense)
            for i, marks in zip(there, found, strict=True):
                of_head[i] |= {f"{shown.key}_{name}": mark for name, mark in marks.items()}
                of_head[i][f"{shown.key}_units"] = units
