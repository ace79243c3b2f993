"""Stage tables: one table per task, with all configured cells."""

import re
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from patchlens import paths
from patchlens.files import existing, read_json, write_csv
from patchlens.progress import log
from patchlens.report import tables, task_captions, task_tables, variance_table
from patchlens.report.of_task import OF_TASK
from patchlens.report.task_tables import T1
from patchlens.settings.models import role
from patchlens.stages import tables_samples
from patchlens.stages.tables_rows import REMEDY, Compare, Order, publish, table_of

if TYPE_CHECKING:
    from patchlens.settings.load import Settings


def run(settings: "Settings") -> None:
    """Write metrics/tables/<task>.{csv,md,tex} for every task, and those of the variance study.

    Cells of models, tasks or datasets that are no longer configured are skipped with a warning.

    Raises:
        DataError: a configured cell is missing.
    """
    compare = partial(tables_samples.compare, T1, settings.uncertainty)
    table = _table(T1, settings, compare)
    publish(T1, table, tables.markdown(table), tables.latex(table))
    _variance(settings)
    for task in OF_TASK:
        write_task(task, settings)
    orphans = _orphans(settings)
    if orphans:
        names = ", ".join(path.as_posix() for path in orphans)
        log.warning("skipped, not configured: %s (`make clean-metrics` removes them)", names)
    log.info("tables: %d rows", len(table))


def write_task(task: str, settings: "Settings") -> None:
    """Write metrics/tables/<task>.{csv,md,tex} for T2, T3 or T4.

    Raises:
        DataError: a configured cell is missing.
    """
    compare = partial(tables_samples.compare, task, settings.uncertainty)
    table = _table(task, settings, compare, task_captions.in_order)
    publish(task, table, task_tables.markdown(table, task), task_tables.latex(table, task))


def _table(task: str, settings: "Settings", compare: Compare, order: Order = list) -> pd.DataFrame:
    roles = {name: role(model) for name, model in settings.models.items()}
    datasets = settings.cells()[task]
    return table_of(task, roles, datasets, settings.segmentation.variants, compare, order)


def _variance(settings: "Settings") -> None:
    cells = [(d, model) for d in settings.cells()["variance"] for model in settings.models]
    folders = {(d, model): paths.cell(dataset=d, model=model) for d, model in cells}
    studies = {c: read_json(f / "variance.json", REMEDY) for c, f in folders.items()}
    rows = variance_table.rows(studies)
    rankings = {
        cell: pd.read_csv(existing(folder / "variance_dimensions.csv", REMEDY))[
            "dimension"
        ].tolist()
        for cell, folder in folders.items()
    }
    pairs = variance_table.between_datasets(rankings, settings.prune.m)
    write_csv(pairs, paths.TABLES / "variance_datasets.csv")
    publish("variance", rows, variance_table.markdown(rows, pairs), variance_table.latex(rows))


def remove_orphans(settings: "Settings") -> None:
    """Delete the files of cells and the records of weights that are not configured."""
    known = {paths.weights_record(model) for model in settings.models}
    records = set(paths.WEIGHTS_RECORDS.glob("*.json"))
    for path in [*_orphans(settings), *sorted(records - known)]:
        path.unlink()
        log.info("removed %s", path.as_posix())
    for folder in [*paths.CELLS.glob("*/*"), *paths.CELLS.glob("*")]:
        if folder.is_dir() and not any(folder.iterdir()):
            folder.rmdir()


def _orphans(settings: "Settings") -> list[Path]:
    """Files of cells whose stage, dataset or model is not configured."""
    wanted = {
        (paths.cell(dataset=dataset, model=model), stage)
        for stage, datasets in settings.cells().items()
        for dataset in datasets
        for model in settings.models
    }
    files = paths.CELLS.glob("*/*/*")
    # A file begins with its stage: segmentation.json, segmentation_k.csv.
    return sorted(p for p in files if (p.parent, re.split("[._]", p.name)[0]) not in wanted)
