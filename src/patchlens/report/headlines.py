"""The headline metrics in the table of a task, and how a table writes a score."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from patchlens.report.paired import LEVEL
from patchlens.tasks.metric import Metric, headline
from patchlens.tasks.table import Task
from patchlens.tasks.words import Spread


@dataclass(frozen=True)
class Headline:
    """A metric of a head on a dataset, with one row per model and variant.

    Attributes:
        task, dataset, head: where it was measured.
        metric: the metric.
        rows: its rows of the table.
    """

    task: Task
    dataset: str
    head: str
    metric: Metric
    rows: pd.DataFrame

    @property
    def key(self) -> str:
        """A unique key for files and anchors."""
        return f"{self.task.name}-{self.dataset}-{self.head}-{self.metric.key}"

    @property
    def title(self) -> str:
        """The head and the metric in words."""
        return f"{self.task.words.head(self.head)}: {self.metric.name}"

    @property
    def level(self) -> str:
        """The column that marks rows level with the best."""
        return self.metric.key + LEVEL


def of(task: Task, table: pd.DataFrame) -> Iterator[Headline]:
    """The headlines of a task, in the order of its table.

    Args:
        task: the task.
        table: its rows; the floor that uses no features is excluded.
    """
    scores = table[table["head"] != task.words.floor]
    for (dataset, head), rows in scores.groupby(["dataset", "head"], sort=False):
        there = [str(key) for key in rows.columns[rows.notna().any()]]
        for metric in headline(task.metrics, str(head), there):
            yield Headline(task, str(dataset), str(head), metric, rows)


def entry(
    row: "pd.Series[Any]", metric: Metric, mark: str, spread: Spread = "interval", sign: str = ""
) -> str:
    """A score with its interval or its deviation over support seeds; empty if it was not measured.

    A single unit, such as one video, has no interval.


    Args:
        row: of the table.
        metric: the score.
        mark: the suffix of the column that is true where the score is bold; "" for never.
        spread: what follows the score.
        sign: what follows that.
    """
    value = float(row[metric.key])
    if np.isnan(value):
        return ""
    if spread == "deviation" and pd.isna(row.get(f"{metric.key}_std")):
        spread = "interval"  # one seed, as with folds
    ends: tuple[str, ...] = ("_std",) if spread == "deviation" else ("_ci_low", "_ci_high")
    if spread == "interval" and row.get(f"{metric.key}_units") == 1:
        ends = ()
    text = score(metric, value, [float(row[metric.key + end]) for end in ends]) + sign
    return f"**{text}**" if mark and row[metric.key + mark] else text


def score(metric: Metric, value: float, spread: Sequence[float]) -> str:
    """A score in the unit of the tables, with a deviation (one number), interval (two) or none."""
    if metric.is_share:
        value, spread, form = 100 * value, [100 * number for number in spread], "{:.1f}"
        text = form.format(value)
    else:
        form = "{:.0f}"
        text = f"{round(value, 1):g}"
    if not spread:
        return text
    if len(spread) == 1:
        return f"{text} ± {form.format(*spread)}"
    return f"{text} [{form.format(spread[0])}, {form.format(spread[1])}]"
