"""Stage tables: all configured cells as one table a task."""

import json
import shutil
from pathlib import Path
from typing import Any

import pandas as pd

from patchlens import paths
from patchlens.datasets.index import Index
from patchlens.errors import DataError
from patchlens.files import write_csv, write_text
from patchlens.progress import log
from patchlens.report import tables, variance_table
from patchlens.report.paired import counts_from_records, level_with_best, resamples
from patchlens.settings.segmentation import Segmentation, Uncertainty


def run(models: list[str], segmentation: Segmentation, uncertainty: Uncertainty, m: float) -> None:
    """Write metrics/tables/{segmentation,variance}.{csv,md,tex} and variance_datasets.csv.

    Cells of models or datasets that are no longer configured are named and left out.

    Raises:
        DataError: a configured cell is missing.
    """
    rows = []
    for dataset in segmentation.datasets:
        of_dataset = [row for model in models for row in _rows(dataset, model)]
        of_dataset.sort(key=lambda row: segmentation.variants.index(row["variant"]))
        rows += _compared(dataset, of_dataset, uncertainty)
    table = pd.DataFrame(rows, columns=None if rows else ["dataset"])
    out = paths.TABLES / "segmentation"
    write_csv(table, out.with_suffix(".csv"))
    write_text(tables.markdown(table), out.with_suffix(".md"))
    write_text(tables.latex(table), out.with_suffix(".tex"))
    _variance([(d, model) for d in segmentation.datasets for model in models], m)
    orphans = _orphans(models, segmentation.datasets)
    if orphans:
        names = ", ".join(path.as_posix() for path in orphans)
        log.warning("not configured, left out: %s (`make clean-metrics` removes them)", names)
    log.info("tables: %d rows", len(table))


def _variance(cells: list[tuple[str, str]], m: float) -> None:
    folders = {cell: paths.cell(*cell) for cell in cells}
    rows = variance_table.rows({c: _read(f / "variance.json") for c, f in folders.items()})
    rankings = {
        cell: pd.read_csv(_there(folder / "variance_dimensions.csv"))["dimension"].tolist()
        for cell, folder in folders.items()
    }
    pairs = variance_table.between_datasets(rankings, m)
    out = paths.TABLES / "variance"
    write_csv(rows, out.with_suffix(".csv"))
    write_csv(pairs, out.with_name("variance_datasets.csv"))
    write_text(variance_table.markdown(rows, pairs), out.with_suffix(".md"))
    write_text(variance_table.latex(rows), out.with_suffix(".tex"))


def remove_orphans(models: list[str], datasets: list[str]) -> None:
    """Delete the folders of cells, and the records of weights, that are not configured."""
    for folder in _orphans(models, datasets):
        shutil.rmtree(folder)
        log.info("removed %s", folder.as_posix())
    for record in sorted(paths.weights_record("any").parent.glob("*.json")):
        if record.stem not in models:
            record.unlink()
            log.info("removed %s", record.as_posix())


def _orphans(models: list[str], datasets: list[str]) -> list[Path]:
    wanted = {paths.cell(dataset, model) for dataset in datasets for model in models}
    return sorted({path.parent for path in paths.CELLS.glob("*/*/*.json")} - wanted)


def _rows(dataset: str, model: str) -> list[dict[str, Any]]:
    """One row a head × variant of a cell, with its protocol and its cost."""
    cell = _read(paths.cell(dataset, model) / "segmentation.json")
    cost = _read(paths.cell(dataset, model) / "extract.json")
    protocol = cell.pop("protocol")
    return [
        {"dataset": dataset, "model": model, "head": head, "variant": variant}
        | scores
        | protocol
        | cost
        for head, variants in cell.items()
        for variant, scores in variants.items()
    ]


def _compared(
    dataset: str, rows: list[dict[str, Any]], uncertainty: Uncertainty
) -> list[dict[str, Any]]:
    """Mark the rows of each head that cannot be told from the best one."""
    index = Index(paths.index(dataset), Path())
    units = dict(zip(index.query["image_id"], index.query["unit"], strict=True))
    records = {
        model: pd.read_parquet(paths.cell(dataset, model) / "segmentation.records.parquet")
        for model in dict.fromkeys(row["model"] for row in rows)
    }
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
        marks = level_with_best([samples[i] for i in where], [rows[i]["pixel_miou"] for i in where])
        for i, mark in zip(where, marks, strict=True):
            rows[i]["level_with_best"] = mark
    return rows


def _read(path: Path) -> Any:
    return json.loads(_there(path).read_text(encoding="utf-8"))


def _there(path: Path) -> Path:
    if not path.is_file():
        raise DataError(
            f"{path}: this configured cell is missing; run `dvc repro`, or `git checkout metrics` "
            "to bring the committed numbers back"
        )
    return path
