"""Stage tables: all configured cells as one table a task."""

import re
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

import pandas as pd

from patchlens import paths
from patchlens.datasets.index import Index
from patchlens.files import existing, read_json, write_csv
from patchlens.progress import log
from patchlens.report import tables, variance_table
from patchlens.report.of_task import OF_TASK
from patchlens.report.paired import compared, counts_from_records, resamples
from patchlens.settings.models import Role
from patchlens.settings.segmentation import Uncertainty
from patchlens.stages import tables_tasks
from patchlens.stages.tables_rows import REMEDY, Row, publish, records_of, table_of


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
    compare = partial(_compare, uncertainty)
    table = table_of("segmentation", models, cells["segmentation"], variants, compare)
    publish("segmentation", table, tables.markdown(table), tables.latex(table))
    _variance([(d, model) for d in cells["variance"] for model in models], m)
    for task in OF_TASK:
        tables_tasks.write(task, models, cells[task], variants, uncertainty)
    orphans = _orphans(list(models), cells)
    if orphans:
        names = ", ".join(path.as_posix() for path in orphans)
        log.warning("not configured, left out: %s (`make clean-metrics` removes them)", names)
    log.info("tables: %d rows", len(table))


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


def _compare(uncertainty: Uncertainty, dataset: str, rows: list[Row]) -> None:
    """Mark the rows of each head of T1 that cannot be told from the best one."""
    index = Index(paths.index(dataset), Path())
    units = dict(zip(index.query["image_id"], index.query["unit"], strict=True))
    records = records_of("segmentation", dataset, rows)
    samples = []
    for row in rows:
        of_model = records[row["model"]]
        chosen = of_model[
            (of_model["head"] == row["head"])
            & (of_model["variant"] == row["variant"])
            & (of_model["level"] == "pixel")
        ]
        counts = counts_from_records(chosen, units, len(index.classes))
        samples.append(resamples(counts, uncertainty.resamples, uncertainty.seed))
    for head in dict.fromkeys(row["head"] for row in rows):
        where = [i for i, row in enumerate(rows) if row["head"] == head]
        found = compared([rows[i] for i in where], [samples[i] for i in where], "pixel_miou")
        for i, marks in zip(where, found, strict=True):
            rows[i] |= {f"pixel_miou_{name}": mark for name, mark in marks.items()}
            rows[i]["pixel_miou_units"] = len(set(units.values()))
