"""Stage tables: the configured cells of each task as CSV, Markdown and LaTeX."""

import re
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from patchlens import paths
from patchlens.backbones.registry.read import find
from patchlens.display import grid
from patchlens.files import whole_folder, write_csv, write_json, write_text
from patchlens.progress import log
from patchlens.report import headlines, results
from patchlens.report.headlines import Headline
from patchlens.report.paired import LEVEL
from patchlens.report.rows import table_of
from patchlens.settings.models import Model, PixelsModel, UntrainedModel, role
from patchlens.stored import read_json, reading
from patchlens.tasks.table import TABLE, Task, cells

if TYPE_CHECKING:
    from patchlens.settings.load import Settings


def run(settings: "Settings") -> None:
    """Write metrics/tables/: <task>.{csv,md,tex,json} for every task, those of studies, results.md.

    The CSV file is long: every row has its protocol. The JSON file has the words: captions by
    dataset, and role and training objective of each model. Cells of models, tasks or datasets that
    are no longer configured are skipped with a warning.

    Raises:
        DataError: a configured cell is missing.
    """
    with whole_folder(paths.TABLES) as out:
        for task in TABLE:
            if not task.study:
                table = table_of(task, settings)
                _publish(out / task.name, table, markdown(task, table), latex(task, table))
                write_json(_about(task, table, settings), out / f"{task.name}.json")
                if len(table):
                    log.info("tables: %s, %d rows", task.name, len(table))
            elif task.tabled:
                module = import_module(f"patchlens.tasks.{task.name}.table")
                for name, found in module.tables(cells(settings)[task.name], settings).items():
                    _publish(out / name, *found)
        write_text(results.page(out), out / "results.md")
    if orphans := _orphans(settings):
        names = ", ".join(path.as_posix() for path in orphans)
        log.warning("skipped, not configured: %s (`make clean-metrics` removes them)", names)


def _publish(out: Path, table: pd.DataFrame, *texts: str) -> None:
    """Write a table as CSV, and its texts as Markdown and LaTeX."""
    write_csv(table, out.with_suffix(".csv"))
    for text, suffix in zip(texts, (".md", ".tex"), strict=False):
        write_text(text, out.with_suffix(suffix))


def _caption(task: Task, rows: pd.DataFrame) -> str:
    return task.words.caption(rows) + grid.unofficial(rows)


def _about(task: Task, table: pd.DataFrame, settings: "Settings") -> dict[str, Any]:
    return {
        "captions": {
            str(dataset): _caption(task, rows)
            for dataset, rows in table.groupby("dataset", sort=False)
        },
        "roles": {name: role(model) for name, model in settings.models.items()},
        "objectives": {name: objective(model) for name, model in settings.models.items()},
    }


def objective(model: Model) -> str:
    """The training objective of a model in a word, as far as it is known.

    The registry states it for its models, and the card beside a weight file (`<name>.json`) for
    those that this repository trained. Models without trained weights have `none`.
    """
    if model.source == "registry":
        return find(model.model, "patchlens models").objective
    if model.source == "file":
        card = Path(model.file).with_suffix(".json")
        if card.is_file():
            with reading(card, f"restore it with `git checkout {card}`, or remove it"):
                return str(read_json(card).get("objective", "unknown"))
        return "unknown"
    return "none" if isinstance(model, UntrainedModel | PixelsModel) else "unknown"


def markdown(task: Task, rows: pd.DataFrame) -> str:
    """One section per dataset, one table per head and metric; bold: level with the best."""
    words = task.words
    parts = [] if len(rows) else [f"{task.name}.datasets lists no datasets."]
    for dataset, of_dataset in rows.groupby("dataset", sort=False):
        parts.append(f"### {dataset}: {words.about}")
        for one in headlines.of(task, of_dataset):
            parts.append(f"**{one.title}**")
            parts.append(grid.markdown(*_grid(one, of_dataset)))
        parts.append(grid.plain(_caption(task, of_dataset)))
    return "\n\n".join(parts) + "\n"


def latex(task: Task, rows: pd.DataFrame) -> str:
    """The same as LaTeX tables."""
    parts = []
    for dataset, of_dataset in rows.groupby("dataset", sort=False):
        caption = _caption(task, of_dataset)
        for one in headlines.of(task, of_dataset):
            text = f"{dataset}, {task.words.about}, {one.title}. {caption}"
            parts.append(grid.latex(*_grid(one, of_dataset), text))
    return "\n\n".join(parts) + "\n"


def _grid(one: Headline, of_dataset: pd.DataFrame) -> tuple[list[str], list[list[str]]]:
    """One row per model and one column per variant, then the cost; the floor comes last."""
    words = one.task.words
    variants = list(dict.fromkeys(one.rows["variant"]))
    cost = grid.COST | dict(words.cost)
    body = []
    for model, rows in one.rows.groupby("model", sort=False):
        by_variant = rows.set_index("variant")
        shown = {v: by_variant.loc[v] for v in variants if v in by_variant.index}
        entries = [
            headlines.entry(shown[v], one.metric, LEVEL, words.spread, words.mark(shown[v]))
            if v in shown
            else ""
            for v in variants
        ]
        body.append([str(model), *entries, *(grid.number(rows.iloc[0][key]) for key in cost)])
    if words.floor and (floor := of_dataset[of_dataset["head"] == words.floor]).size:
        text = headlines.entry(floor.iloc[0], one.metric, "", words.spread)
        body.append([words.floor, text] + [""] * (len(variants) - 1 + len(cost)))
    return ["model", *variants, *cost.values()], body


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
        for stage, datasets in cells(settings).items()
        for dataset in datasets
        for model in settings.models
    }
    files = paths.CELLS.glob("*/*/*")
    # A file begins with its stage: segmentation.json, segmentation_k.csv.
    return sorted(p for p in files if (p.parent, re.split("[._]", p.name)[0]) not in wanted)
