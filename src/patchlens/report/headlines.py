"""The headline metrics in the table of a task."""

from collections.abc import Iterator
from dataclasses import dataclass

import pandas as pd

from patchlens.report import tables, task_captions, task_tables
from patchlens.report.task_tables import LEVEL, T1, Shown


@dataclass(frozen=True)
class Headline:
    """A metric of a head on a dataset, with one row per model and variant.

    Attributes:
        task, dataset, head: where it was measured.
        shown: the metric.
        rows: its rows of the table.
        level: the column that marks rows level with the best.
    """

    task: str
    dataset: str
    head: str
    shown: Shown
    rows: pd.DataFrame
    level: str

    @property
    def key(self) -> str:
        """A unique key for files and anchors."""
        return f"{self.task}-{self.dataset}-{self.head}-{self.shown.key}"

    @property
    def title(self) -> str:
        """The head and the metric in words."""
        return f"{head_title(self.head)}: {self.shown.name}"


def head_title(head: str) -> str:
    """A head by its name in the tables."""
    return tables.HEADS.get(head) or task_captions.title(head)


def of(task: str, table: pd.DataFrame) -> Iterator[Headline]:
    """The headlines of a task, in the order of its table.

    Args:
        task: its name.
        table: its rows; the floor that uses no features is excluded.
    """
    scores = table[table["head"] != tables.FLOOR]
    for (dataset, head), rows in scores.groupby(["dataset", "head"], sort=False):
        there = [str(key) for key in rows.columns[rows.notna().any()]]
        for shown, level in _metrics(task, str(head), there, rows):
            yield Headline(task, str(dataset), str(head), shown, rows, level)


def _metrics(
    task: str, head: str, there: list[str], rows: pd.DataFrame
) -> Iterator[tuple[Shown, str]]:
    is_known = task == T1 or task in task_tables.TITLES
    known = task_tables.headline(task, head, there) if is_known else []
    for shown in known or _marked(there, rows):
        yield shown, shown.key + LEVEL


def _marked(there: list[str], rows: pd.DataFrame) -> Iterator[Shown]:
    """The metrics of a task unknown here: those that its table compares with the best."""
    for key in (name.removesuffix(LEVEL) for name in there if name.endswith(LEVEL)):
        if key in there:
            share = bool(rows[key].between(0, 1).all())
            name = key.replace("_", " ") + (" (%)" if share else "")
            yield Shown(key, name, share=share)
