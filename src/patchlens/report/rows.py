"""The rows of a task's table, read from cells, and what claims and tables resample them from."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import pandas as pd

from patchlens import paths
from patchlens.datasets.index import Index
from patchlens.files import existing, read_json
from patchlens.names import DatasetName, ModelName
from patchlens.report.paired import compared
from patchlens.settings.models import role
from patchlens.tasks.metric import headline
from patchlens.tasks.resample import SharedResampler
from patchlens.tasks.table import Task, cells

if TYPE_CHECKING:
    from patchlens.settings.load import Settings

REMEDY = (
    "it belongs to a configured cell; compute it with `dvc repro`, or restore the committed one "
    "with `git checkout metrics`"
)
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
        _compare(task, dataset, of_dataset, SharedResampler.of(settings.uncertainty))
        rows += of_dataset
    return pd.DataFrame(rows, columns=None if rows else NAMES)


def _rows(task: Task, *, dataset: DatasetName, model: ModelName) -> Iterator[Row]:
    folder = paths.cell(dataset=dataset, model=model)
    cell = read_json(folder / f"{task.name}.json", REMEDY)
    cost = read_json(folder / "extract.json", REMEDY)
    protocol = cell.pop("protocol")
    for head in task.words.in_order(cell):
        for variant, scores in cell[head].items():
            names = dict(zip(NAMES, (dataset, model, head, variant), strict=True))
            yield names | scores | protocol | cost


def _compare(
    task: Task, dataset: DatasetName, rows: Sequence[Row], resampler: SharedResampler
) -> None:
    """Add the results of paired comparisons to the rows of a dataset."""
    index = Index(paths.index(dataset), paths.raw(dataset))
    records = {model: _records(task, dataset, model) for model in _models(rows)}
    for head in dict.fromkeys(row["head"] for row in rows):
        of_head = [row for row in rows if row["head"] == head]
        shown = headline(task.metrics, head, sorted({key for row in of_head for key in row}))
        if not shown:
            continue
        samples, units = [], []
        for row in of_head:
            table = records[row["model"]]
            chosen = table[(table["head"] == head) & (table["variant"] == row["variant"])]
            weighted = task.measures.weighted(chosen, index)
            samples.append(weighted.resampled(resampler, [m.key for m in shown]))
            units.append(len(weighted.units))
        for metric in shown:
            there = [i for i, row in enumerate(of_head) if metric.key in row]
            marks = compared(
                [of_head[i] for i in there], [samples[i][metric.key] for i in there], metric
            )
            for i, found in zip(there, marks, strict=True):
                named = {f"{metric.key}_{name}": mark for name, mark in found.items()}
                of_head[i] |= named | {f"{metric.key}_units": units[i]}


def _models(rows: Sequence[Row]) -> dict[ModelName, None]:
    return dict.fromkeys(ModelName(row["model"]) for row in rows)


def _records(task: Task, dataset: DatasetName, model: ModelName) -> pd.DataFrame:
    path = paths.cell(dataset=dataset, model=model) / f"{task.name}.records.parquet"
    return pd.read_parquet(existing(path, REMEDY))
