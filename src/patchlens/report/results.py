"""One page on all results: which model for which task, what the variants change, the verdicts.

It reads only the tables, so every task with a table is on the page.
"""

from typing import Any

import numpy as np
import pandas as pd

from patchlens.report import grid, task_tables
from patchlens.report.headlines import Headline
from patchlens.report.paired import RAW
from patchlens.report.task_tables import T1

LEVEL = "_level_with_best_model"
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


def models(found: list[Headline]) -> str:
    """The table of all tasks × models for `raw`."""
    names = list(dict.fromkeys(model for line in found for model in line.rows["model"]))
    body = []
    for line in found:
        raw = line.rows[line.rows["variant"] == RAW].set_index("model")
        cells = [task_tables.entry(raw.loc[name], line.shown, LEVEL) for name in names]
        body.append([line.dataset, name_of(line), *cells])
    return f"{MODELS}\n\n{grid.markdown(['dataset', 'task', *names], body)}"


def gains(line: Headline) -> str:
    """The table of models × variants: the gain of each variant over `raw`."""
    variants = [name for name in dict.fromkeys(line.rows["variant"]) if name != RAW]
    by_cell = line.rows.set_index(["model", "variant"])
    body = []
    for model in dict.fromkeys(line.rows["model"]):
        cells = [_gain(by_cell.loc[(model, variant)], line.shown) for variant in variants]
        body.append([str(model), *cells])
    return f"**{name_of(line)}**\n\n{grid.markdown(['model', *variants], body)}"


def first_of_each_task(found: list[Headline]) -> list[Headline]:
    """Both heads of T1 and the first metric of every other task, of each dataset."""
    seen, out = set(), []
    for line in found:
        key = (line.dataset, line.task, line.head if line.task == T1 else "")
        if key not in seen:
            seen.add(key)
            out.append(line)
    return out


def name_of(line: Headline) -> str:
    """The task, head and metric in words."""
    return f"{line.task}, {line.title}"


def points(value: float, low: float, high: float, shown: task_tables.Shown) -> str:
    """A difference with its interval, in points for shares; bold if the interval excludes 0."""
    if np.isnan(value):
        return ""
    factor = 100 if shown.share else 1
    text = f"{factor * value:+.1f} [{factor * low:+.1f}, {factor * high:+.1f}]"
    return f"**{text}**" if low > 0 or high < 0 else text


def _gain(row: "pd.Series[Any]", shown: task_tables.Shown) -> str:
    gain, low, high = (float(row[f"{shown.key}_gain{end}"]) for end in ("", "_ci_low", "_ci_high"))
    return points(gain, low, high, shown)
