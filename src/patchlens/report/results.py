"""Stage results: one page on the results of all models and tasks, with figures, for Git."""

from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from patchlens import paths
from patchlens.display import grid
from patchlens.files import existing, whole_folder, write_text
from patchlens.report import headlines
from patchlens.report.headlines import Headline
from patchlens.report.paired import RAW
from patchlens.report.tables import entry
from patchlens.tasks.metric import Metric
from patchlens.tasks.table import TABLE, Task, cells

if TYPE_CHECKING:
    from patchlens.settings.load import Settings

REMEDY = "run `dvc repro`"
BEST_MODEL = "_level_with_best_model"
MODELS = (
    "Unmodified features (`raw`). Bold: the best model, and every model whose paired 95 % interval "
    "against it includes 0. In brackets: 95 % bootstrap interval. The intervals do not cover the "
    "variation between training runs."
)
GAINS = (
    "Gain over `raw` of the same model in percentage points, with the paired 95 % interval; bold "
    "if the interval excludes 0. These intervals are not adjusted for the number of comparisons; "
    "the verdicts below are."
)


def run(settings: "Settings") -> None:
    """Write reports/results/: README.md, and the figures of studies for each dataset.

    Raises:
        DataError: a table or a cell is missing.
    """
    found = [h for task in TABLE if not task.study for h in headlines.of(task, _table(task))]
    with whole_folder(paths.RESULTS) as out:
        parts = ["## Which model for which task", models(found)]
        parts += ["## What a variant changes", GAINS]
        parts += [gains(line) for line in first_of_each_task(found)]
        for task in TABLE:
            if task.study:
                parts += _study(task, settings, out)
        parts += ["## The verdicts", _text(paths.CLAIMS_TABLE)]
        write_text("\n\n".join(parts) + "\n", out / "README.md")


def _study(task: Task, settings: "Settings", out: Path) -> Iterator[str]:
    """The heading of a study, its figure for each dataset, and its table."""
    if task.words.heading:
        yield f"## {task.words.heading}"
    drawing = import_module(f"patchlens.tasks.{task.name}.figures")
    for dataset in cells(settings)[task.name]:
        folders = {m: paths.cell(dataset=dataset, model=m) for m in settings.models}
        tables = {m: pd.read_csv(existing(f / drawing.FILE, REMEDY)) for m, f in folders.items()}
        name = f"{drawing.NAME}-{dataset}.png"
        drawing.draw(tables, out / name)
        yield f"![{drawing.ALT.format(dataset=dataset)}]({name})"
    if task.tabled:
        yield _text(paths.TABLES / task.name)


def _table(task: Task) -> pd.DataFrame:
    return pd.read_csv(existing(paths.TABLES / f"{task.name}.csv", REMEDY))


def _text(table: Path) -> str:
    return existing(table.with_suffix(".md"), REMEDY).read_text(encoding="utf-8").strip()


def models(found: list[Headline]) -> str:
    """The table of all tasks × models for `raw`."""
    names = list(dict.fromkeys(model for line in found for model in line.rows["model"]))
    body = []
    for line in found:
        raw = line.rows[line.rows["variant"] == RAW].set_index("model")
        cells = [entry(raw.loc[name], line.metric, BEST_MODEL) for name in names]
        body.append([line.dataset, name_of(line), *cells])
    return f"{MODELS}\n\n{grid.markdown(['dataset', 'task', *names], body)}"


def gains(line: Headline) -> str:
    """The table of models × variants: the gain of each variant over `raw`."""
    variants = [name for name in dict.fromkeys(line.rows["variant"]) if name != RAW]
    by_cell = line.rows.set_index(["model", "variant"])
    body = []
    for model in dict.fromkeys(line.rows["model"]):
        cells = [_gain(by_cell.loc[(model, variant)], line.metric) for variant in variants]
        body.append([str(model), *cells])
    return f"**{name_of(line)}**\n\n{grid.markdown(['model', *variants], body)}"


def first_of_each_task(found: list[Headline]) -> list[Headline]:
    """The first metric of every task on each dataset, or of each head where its words say so."""
    seen, out = set(), []
    for line in found:
        key = (line.dataset, line.task.name, line.head if line.task.words.results else "")
        if key not in seen:
            seen.add(key)
            out.append(line)
    return out


def name_of(line: Headline) -> str:
    """The task, head and metric in words."""
    return f"{line.task.name}, {line.title}"


def points(value: float, low: float, high: float, metric: Metric) -> str:
    """A difference with its interval, in points for shares; bold if the interval excludes 0."""
    if np.isnan(value):
        return ""
    factor = 100 if metric.is_share else 1
    text = f"{factor * value:+.1f} [{factor * low:+.1f}, {factor * high:+.1f}]"
    return f"**{text}**" if low > 0 or high < 0 else text


def _gain(row: "pd.Series[Any]", metric: Metric) -> str:
    gain, low, high = (float(row[f"{metric.key}_gain{end}"]) for end in ("", "_ci_low", "_ci_high"))
    return points(gain, low, high, metric)
