"""The rows of tables, read from cells, for the stage tables."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import pandas as pd

from patchlens import paths
from patchlens.files import existing, read_json, write_csv, write_text
from patchlens.names import DatasetName, ModelName
from patchlens.settings.models import Role

REMEDY = (
    "it belongs to a configured cell; compute it with `dvc repro`, or restore the committed one "
    "with `git checkout metrics`"
)
NAMES = ["dataset", "model", "head", "variant"]
Row = dict[str, Any]
Compare = Callable[[DatasetName, list[Row]], None]
Order = Callable[[Iterable[str]], list[str]]


def table_of(
    task: str,
    models: Mapping[ModelName, Role],
    datasets: Sequence[DatasetName],
    variants: Sequence[str],
    compare: Compare,
    order: Order = list,
) -> pd.DataFrame:
    """One row per head and variant of every configured cell, with its protocol and its cost.

    Args:
        task: the stage of the cells.
        models: the configured models with their roles.
        datasets: those of the task.
        variants: in the order of the table.
        compare: called with a dataset and its rows; marks rows not distinguishable from the best.
        order: sorts the heads of a cell.

    Raises:
        DataError: a configured cell is missing.
    """
    rows: list[Row] = []
    for dataset in datasets:
        of_dataset = [
            row | {"role": role}
            for model, role in models.items()
            for row in _rows(task, order, dataset=dataset, model=model)
        ]
        of_dataset.sort(key=lambda row: variants.index(row["variant"]))
        compare(dataset, of_dataset)
        rows += of_dataset
    return pd.DataFrame(rows, columns=None if rows else NAMES)


def _rows(task: str, order: Order, *, dataset: DatasetName, model: ModelName) -> list[Row]:
    folder = paths.cell(dataset=dataset, model=model)
    cell = read_json(folder / f"{task}.json", REMEDY)
    cost = read_json(folder / "extract.json", REMEDY)
    protocol = cell.pop("protocol")
    return [
        dict(zip(NAMES, (dataset, model, head, variant), strict=True)) | scores | protocol | cost
        for head in order(cell)
        for variant, scores in cell[head].items()
    ]


def records_of(task: str, dataset: DatasetName, rows: Sequence[Row]) -> dict[str, pd.DataFrame]:
    """Model -> the records of its cell, for the models of `rows`."""
    models = dict.fromkeys(ModelName(row["model"]) for row in rows)
    files = {
        model: paths.cell(dataset=dataset, model=model) / f"{task}.records.parquet"
        for model in models
    }
    return {model: pd.read_parquet(existing(path, REMEDY)) for model, path in files.items()}


def publish(name: str, table: pd.DataFrame, markdown: str, latex: str) -> None:
    """Write metrics/tables/<name>.{csv,md,tex}."""
    out = paths.TABLES / name
    write_csv(table, out.with_suffix(".csv"))
    write_text(markdown, out.with_suffix(".md"))
    write_text(latex, out.with_suffix(".tex"))
