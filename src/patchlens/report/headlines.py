"""The headline metrics in the table of a task."""

from collections.abc import Iterator
from dataclasses import dataclass

import pandas as pd

from patchlens.report.paired import LEVEL
from patchlens.tasks.metric import Metric, headline
from patchlens.tasks.table import Task


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
