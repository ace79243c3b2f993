"""The tasks with their metrics, words and costs, each imported when it is asked for.

What only needs their names uses `entries`, and so does not depend on any word.
"""

from dataclasses import dataclass
from importlib import import_module
from typing import Any

from patchlens.tasks.cost import Cost, Planned
from patchlens.tasks.entries import ENTRIES, Entry, cells
from patchlens.tasks.metric import Metric
from patchlens.tasks.words import Words

__all__ = ["TABLE", "TASKS", "Task", "cells"]


@dataclass(frozen=True)
class Task(Entry):
    """A task with its parts."""

    @property
    def metrics(self) -> tuple[Metric, ...]:
        """What it measures."""
        metrics: tuple[Metric, ...] = self.measures.METRICS
        return metrics

    @property
    def measures(self) -> Any:
        """Its module `metrics`: `METRICS`, and `weighted`, from records to scores."""
        return import_module(f"patchlens.tasks.{self.name}.metrics")

    def cost(self, cell: Planned) -> Cost:
        """What it costs in a cell."""
        if not self.costs:
            return Cost(memory=cell.chunk)
        cost: Cost = import_module(f"patchlens.tasks.{self.name}.cost").cost(cell)
        return cost

    @property
    def words(self) -> Words:
        """What is said of it."""
        words: Words = import_module(f"patchlens.tasks.{self.name}.words").WORDS
        return words


TABLE = tuple(Task(**vars(entry)) for entry in ENTRIES)
TASKS = {task.name: task for task in TABLE}
