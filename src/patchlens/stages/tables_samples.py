"""Bootstrap resamples of the rows of a task's table, and the comparison of rows by them."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from patchlens import paths
from patchlens.datasets.index import Index
from patchlens.names import DatasetName
from patchlens.report.of_task import OF_TASK
from patchlens.report.paired import compared, counts_from_records, resamples
from patchlens.report.task_tables import T1, headline
from patchlens.settings.segmentation import Uncertainty
from patchlens.stages.tables_rows import Row, records_of

Floats = NDArray[np.float64]


class Samples(NamedTuple):
    """Of one row: metric -> its resamples [B], and the number of resampled units."""

    of: dict[str, Floats]
    units: int


def of_rows(
    task: str, dataset: DatasetName, rows: Sequence[Row], uncertainty: Uncertainty
) -> list[Samples]:
    """The resamples of each row; rows with the same units share the draws.

    Args:
        task: the stage of the cells.
        dataset: that of the cells.
        rows: each with its `model`, `head` and `variant`.
        uncertainty: number of resamples and their seed.
    """
    records = records_of(task, dataset, rows)
    number, seed = uncertainty.resamples, uncertainty.seed
    index = Index(paths.index(dataset), Path()) if task == T1 else None
    out = []
    for row in rows:
        table = records[row["model"]]
        chosen = table[(table["head"] == row["head"]) & (table["variant"] == row["variant"])]
        if index is not None:
            units = dict(zip(index.query["image_id"], index.query["unit"], strict=True))
            pixels = chosen[chosen["level"] == "pixel"]
            counts = counts_from_records(pixels, units, len(index.classes))
            drawn = {"pixel_miou": resamples(counts, number, seed)}
            out.append(Samples(drawn, counts.shape[1]))
        else:
            weighted = OF_TASK[task](chosen)
            out.append(Samples(weighted.resampled(number, seed), len(weighted.units)))
    return out


def compare(task: str, uncertainty: Uncertainty, dataset: DatasetName, rows: list[Row]) -> None:
    """Add the results of paired comparisons to the rows, for each headline metric of each head."""
    for head in dict.fromkeys(row["head"] for row in rows):
        of_head = [row for row in rows if row["head"] == head]
        samples = of_rows(task, dataset, of_head, uncertainty)
        for shown in headline(task, head, sorted({key for row in of_head for key in row})):
            there = [i for i, row in enumerate(of_head) if shown.key in row]
            drawn = np.stack([samples[i].of[shown.key] for i in there])
            defined = np.isfinite(drawn).all(axis=0)  # a resample may have nothing to score
            scored, sense = [of_head[i] for i in there], 1 if shown.higher else -1
            found: list[dict[str, Any]] = [
                {f"{shown.key}_{name}": mark for name, mark in marks.items()}
                for marks in compared(scored, list(drawn[:, defined]), shown.key, sense)
            ]
            for i, marks in zip(there, found, strict=True):
                of_head[i] |= marks | {f"{shown.key}_units": samples[i].units}
