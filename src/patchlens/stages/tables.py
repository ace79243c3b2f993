"""Stage tables: all configured cells as one table a task."""

import re
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

import pandas as pd

from patchlens import paths
from patchlens.files import existing, read_json, write_csv
from patchlens.progress import log
from patchlens.report import tables, task_captions, task_tables, variance_table
from patchlens.report.of_task import OF_TASK
from patchlens.report.task_tables import T1
from patchlens.settings.models import Role
from patchlens.settings.segmentation import Uncertainty
from patchlens.stages import tables_samples
from patchlens.stages.tables_rows import REMEDY, publish, table_of


def run(
    models: Mapping[str, Role],
    cells: Mapping[str, list[str]],
    variants: Sequence[str],
    uncertainty: Uncertainty,
    m: float,
) -> None:
    """Write metrics/tables/<task>.{csv,md,tex} of every task, and those of the variance study.

    Cells of models, tasks or datasets that are no longer configured are named and left out.

    Args:
        models: the configured models, each with its role.
        cells: every stage that writes cells with its datasets.
        variants: of every task.
        uncertainty: settings of the bootstrap.
        m: share of the dimensions that `prune` drops.

    Raises:
        DataError: a configured cell is missing.
    """
    compare = partial(tables_samples.compare, T1, uncertainty)
    table = table_of(T1, models, cells[T1], variants, compare)
    publish(T1, table, tables.markdown(table), tables.latex(table))
    _variance([(d, model) for d in cells["variance"] for model in models], m)
    for task in OF_TASK:
        write_task(task, models, cells[task], variants, uncertainty)
    orphans = _orphans(list(models), cells)
    if orphans:
        names = ", ".join(path.as_posix() for path in orphans)
        log.warning("not configured, left out: %s (`make clean-metrics` removes them)", names)
    log.info("tables: %d rows", len(table))


def write_task(
    task: str,
    models: Mapping[str, Role],
    datasets: Sequence[str],
    variants: Sequence[str],
    uncertainty: Uncertainty,
) -> None:
    """Write metrics/tables/<task>.{csv,md,tex} of T2, T3 or T4.

    Raises:
        DataError: a configured cell is missing.
    """
    compare = partial(tables_samples.compare, task, uncertainty)
    table = table_of(task, models, datasets, variants, compare, task_captions.in_order)
    publish(task, table, task_tables.markdown(table, task), task_tables.latex(table, task))


def _variance(cells: list[tuple[str, str]], m: float) -> None:
    folders = {cell: paths.cell(*cell) for cell in cells}
    studies = {c: read_json(f / "variance.json", REMEDY) for c, f in folders.items()}
    rows = variance_table.rows(studies)
    rankings = {
        cell: pd.read_csv(existing(folder / "variance_dimensions.csv", REMEDY))[
            "dimension"
        ].tolist()
        for cell, folder in folders.items()
    }
    pairs = variance_table.between_datasets(rankings, m)
    write_csv(pairs, paths.TABLES / "variance_datasets.csv")
    publish("variance", rows, variance_table.markdown(rows, pairs), variance_table.latex(rows))


def remove_orphans(models: list[str], cells: Mapping[str, list[str]]) -> None:
    """Delete the files of cells, and the records of weights, that are not configured."""
    known = {paths.weights_record(model) for model in models}
    records = set(paths.weights_record("any").parent.glob("*.json"))
    for path in [*_orphans(models, cells), *sorted(records - known)]:
        path.unlink()
        log.info("removed %s", path.as_posix())
    for folder in [*paths.CELLS.glob("*/*"), *paths.CELLS.glob("*")]:
        if folder.is_dir() and not any(folder.iterdir()):
            folder.rmdir()


def _orphans(models: list[str], cells: Mapping[str, list[str]]) -> list[Path]:
    """Files of cells whose stage, dataset or model is not configured."""
    wanted = {
        (paths.cell(dataset, model), stage)
        for stage, datasets in cells.items()
        for dataset in datasets
        for model in models
    }
    files = paths.CELLS.glob("*/*/*")
    # A file begins with its stage: segmentation.json, segmentation_k.csv.
    return sorted(p for p in files if (p.parent, re.split("[._]", p.name)[0]) not in wanted)
