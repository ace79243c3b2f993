"""One page on the results of all models and tasks: the best model, and what a variant changes."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from patchlens.display import grid
from patchlens.report import headlines
from patchlens.report.headlines import Headline, entry
from patchlens.report.paired import RAW
from patchlens.report.rows import NAMES
from patchlens.stored import read_csv
from patchlens.tasks.metric import Metric
from patchlens.tasks.table import TABLE

BEST_MODEL = "_level_with_best_model"
MODELS = (
    "Unmodified features (`raw`). Bold: the best model, and every model whose paired 95 % interval "
    "against it includes 0. In brackets: 95 % bootstrap interval. The intervals do not cover the "
    "variation between training runs."
)
GAINS = (
    "Gain over `raw` of the same model in percentage points, with the paired 95 % interval; bold "
    "if the interval excludes 0. These intervals are not adjusted for the number of comparisons; "
    "the verdicts on claims are."
)


def page(tables: Path) -> str:
    """The page in Markdown.

    Args:
        tables: the folder with <task>.csv of every task that is no study.
    """
    found = [
        line
        for task in TABLE
        if not task.study
        for line in headlines.of(task, read_csv(tables / f"{task.name}.csv", *NAMES))
    ]
    parts = ["## Which model for which task", models(found), "## What a variant changes", GAINS]
    return "\n\n".join([*parts, *map(gains, first_of_each_task(found))]) + "\n"


def models(found: list[Headline]) -> str:
    """The table of all tasks × models for `raw`."""
    names = list(dict.fromkeys(model for line in found for model in line.rows["model"]))
    body = []
    for line in found:
        raw = line.rows[line.rows["variant"] == RAW].set_index("model")
        cells = [entry(raw.loc[name], line.metric, BEST_MODEL) for name in names]
        body.append([line.dataset, name_of(line), *cells])
    marks = grid.unofficial(pd.concat(line.rows for line in found)) if found else ""
    return f"{MODELS}{marks}\n\n{grid.markdown(['dataset', 'task', *names], body)}"


def gains(line: Headline) -> str:
    """The table of models × variants: the gain of each variant over `raw`."""
    variants = [name for name in dict.fromkeys(line.rows["variant"]) if name != RAW]
    by_cell = line.rows.set_index(["model", "variant"])
    body = []
    for model in dict.fromkeys(line.rows["model"]):
        cells = [_gain(by_cell.loc[(model, variant)], line.metric) for variant in variants]
        body.append([str(model), *cells])
    return f"**{line.dataset}: {name_of(line)}**\n\n{grid.markdown(['model', *variants], body)}"


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
    """A difference with its interval, in points for shares; bold if that excludes 0.

    Ends that are NaN are of a single unit, which has no interval.
    """
    if np.isnan(value):
        return ""
    factor = 100 if metric.is_share else 1
    if np.isnan(low):
        return f"{factor * value:+.1f}"
    text = f"{factor * value:+.1f} [{factor * low:+.1f}, {factor * high:+.1f}]"
    return f"**{text}**" if low > 0 or high < 0 else text


def _gain(row: "pd.Series[Any]", metric: Metric) -> str:
    gain, low, high = (float(row[f"{metric.key}_gain{end}"]) for end in ("", "_ci_low", "_ci_high"))
    if row.get(f"{metric.key}_units") == 1:
        low = high = np.nan
    return points(gain, low, high, metric)
