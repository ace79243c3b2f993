"""The rows of a task's table, read from cells, and what claims and tables resample them from."""

from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from patchlens import paths
from patchlens.arrays import Floats
from patchlens.datasets.index import Index
from patchlens.names import DatasetName, ModelName
from patchlens.report.paired import compared
from patchlens.settings.models import role
from patchlens.stored import read_json, read_parquet, reading, state
from patchlens.tasks.metric import headline
from patchlens.tasks.resample import SharedResampler, Weighted
from patchlens.tasks.table import Task, cells

if TYPE_CHECKING:
    from patchlens.settings.load import Settings

NAMES = ["dataset", "model", "head", "variant"]
Row = dict[str, Any]


def table_of(task: Task, settings: "Settings") -> pd.DataFrame:
    """One row per head and variant of every configured cell, with its protocol and its cost.

    Rows have `role`, and for each headline metric of their head the marks of `paired.compared` and
    the number of resampled units.

    Raises:
        DataError: a configured cell is missing.
    """
    rows: list[Row] = []
    roles = {name: role(model) for name, model in settings.models.items()}
    for dataset in cells(settings)[task.name]:
        of_dataset = [
            row | {"role": of_model}
            for model, of_model in roles.items()
            for row in _rows(task, dataset=dataset, model=model)
        ]
        of_dataset.sort(key=lambda row: settings.variants.index(row["variant"]))
        _compare(task, of_dataset, SharedResampler.of(settings.uncertainty))
        rows += of_dataset
    return pd.DataFrame(rows, columns=None if rows else NAMES)


def _rows(task: Task, *, dataset: DatasetName, model: ModelName) -> Iterator[Row]:
    folder = paths.cell(dataset=dataset, model=model)
    with reading(folder / "extract.json") as path:
        cost = dict(read_json(path))
    with reading(folder / f"{task.name}.json") as path:
        cell = read_json(path)
        protocol = cell.pop("protocol")
        for head in task.words.in_order(cell):
            for variant, scores in cell[head].items():
                names = dict(zip(NAMES, (dataset, model, head, variant), strict=True))
                yield names | scores | protocol | cost


def _compare(task: Task, rows: Sequence[Row], resampler: SharedResampler) -> None:
    """Add the results of paired comparisons to the rows of a dataset."""
    for head in dict.fromkeys(row["head"] for row in rows):
        of_head = [row for row in rows if row["head"] == head]
        shown = headline(task.metrics, head, sorted({key for row in of_head for key in row}))
        if not shown:
            continue
        wanted = [metric.key for metric in shown]
        samples, units = dict[int, dict[str, Floats]](), dict[int, int]()
        for i in sorted(range(len(of_head)), key=lambda i: of_head[i]["model"]):  # as files lie
            weighted = weighted_of(task, of_head[i])
            samples[i] = weighted.resampled(resampler, wanted)
            units[i] = len(weighted.units)
        for metric in shown:
            there = [i for i, row in enumerate(of_head) if metric.key in row]
            marks = compared(
                [of_head[i] for i in there], [samples[i][metric.key] for i in there], metric
            )
            for i, found in zip(there, marks, strict=True):
                named = {f"{metric.key}_{name}": mark for name, mark in found.items()}
                of_head[i] |= named | {f"{metric.key}_units": units[i]}


def weighted_of(task: Task, row: Mapping[str, Any]) -> Weighted:
    """The scores of a row as functions of the weights of its units.

    Raises:
        DataError: the records of its cell are missing.
    """
    dataset, model = DatasetName(row["dataset"]), ModelName(row["model"])
    path = paths.cell(dataset=dataset, model=model) / f"{task.name}.records.parquet"
    wanted = {key: [row[key]] for key in ("head", "variant")}
    index = index_of(dataset)
    with reading(path):
        weighted: Weighted = task.measures.weighted(read_parquet(path, **wanted), index)
    return weighted


def index_of(dataset: DatasetName) -> Index:
    """The index of a dataset, for what needs no images; opened once while it does not change."""
    return _index(dataset, Path.cwd(), state(paths.index(dataset) / "dataset.json"))


@lru_cache(maxsize=8)
def _index(dataset: DatasetName, *_: object) -> Index:
    return Index(paths.index(dataset), paths.raw(dataset))
