"""The metrics that claims can be about, each resampled from the records of one cell."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import pandas as pd

from patchlens import paths
from patchlens.arrays import Floats
from patchlens.features.variants import WITH_M
from patchlens.names import DatasetName, ModelName
from patchlens.report.rows import index_of
from patchlens.stored import read_json, read_parquet, reading
from patchlens.tasks.metric import Metric, find, matches_any
from patchlens.tasks.resample import Draws, SharedResampler
from patchlens.tasks.table import TASKS, Task


class NotRun(Exception):
    """A claim cannot be judged in this run; the message says why."""


@dataclass(frozen=True)
class Score:
    """A metric of one cell, as it is and resampled over units.

    Attributes:
        seeds: support seeds; [0] if the metric has none.
        units: names of the bootstrap units.
        point: the metric of each seed [S].
        samples: the metric of each resample of units and each seed [B, S].
        draws: the resamples, the same for all scores of a dataset with the same units.
        grid: the patch grid if only scores of the same grid can be compared, otherwise "".
    """

    seeds: list[int]
    units: list[str]
    point: Floats
    samples: Floats
    draws: Draws
    grid: str = ""


@dataclass(frozen=True)
class Measure:
    """A metric as a claim names it: task.head.metric, or task.metric of a study without heads."""

    task: Task
    head: str | None
    metric: Metric

    def score(
        self, resampler: SharedResampler, dataset: DatasetName, model: ModelName, variant: str
    ) -> Score:
        """Resample the metric in a cell.

        Raises:
            NotRun: the cell has no such score, or it is undefined in some resamples.
            DataError: the records contradict the index.
        """
        name, where = self.metric.key, f"{model} on {dataset}"
        if self.head is None and variant != "raw":
            what = f"{self.task.name}.{name}"
            raise NotRun(f"{what} is only measured on variant raw, not on {variant}")
        records, protocol = self._read(dataset, model, variant)
        weighted = self.task.measures.weighted(records, index_of(dataset))
        # Tasks with support seeds share a stream: their claims on a dataset are paired.
        stream = dataset if len(weighted.seeds) > 1 else f"{dataset} {self.task.name}"
        draws = resampler.draws(stream, seeds=len(weighted.seeds), units=len(weighted.units))
        point = weighted.point([name]).get(name, np.array(np.nan))
        if np.isnan(point).any():  # a Δ that the settings do not list, or without pairs
            raise NotRun(f"{where}: {name} of {self.head} was not scored")
        samples = np.concatenate([weighted.metrics(w, [name])[name] for w in draws.chunks()])
        if not np.isfinite(samples).all():
            of_head = f" of {self.head}" if self.head else ""
            raise NotRun(
                f"{where}: {name}{of_head} is undefined in some resamples of the "
                f"{len(weighted.units)} units"
            )
        bound = matches_any(self.metric.patchwise, self.head or "")
        grid = protocol["grid"] if bound else ""
        return Score(weighted.seeds, weighted.units, point, samples, draws, grid)

    def _read(
        self, dataset: DatasetName, model: ModelName, variant: str
    ) -> tuple[pd.DataFrame, dict[str, Any]]:
        """The records of one head and variant of a cell, and the protocol of the cell."""
        folder, where = paths.cell(dataset=dataset, model=model), f"{model} on {dataset}"
        path, cell = (folder / f"{self.task.name}.{end}" for end in ("records.parquet", "json"))
        for file in (path, cell):
            if not file.is_file():
                raise NotRun(f"{where}: {file.name} is missing")
        with reading(cell):
            protocol: dict[str, Any] = read_json(cell)["protocol"]
        if self.head is None:
            return read_parquet(path), protocol
        if variant in WITH_M and protocol["prune_m_used"] == 0:
            raise NotRun(f"{where}: no dimension is pruned, so {variant} has no effect")
        records = read_parquet(path, head=[self.head], variant=[variant])
        if not len(records):
            raise NotRun(f"{where}: head {self.head} with variant {variant} was not scored")
        return records, protocol


@cache
def measure(name: str) -> Measure | None:
    """The metric that a claim names; None if there is none."""
    task_name, *parts = name.split(".")
    task = TASKS.get(task_name)
    if task is None or len(parts) not in (1, 2):
        return None
    *head, key = parts
    of_head = head[0] if head else None
    metric = find(task.metrics, of_head, key)
    return Measure(task, of_head, metric) if metric else None


@cache
def names() -> list[str]:
    """Every metric of a claim; a family such as d1, d5 by its pattern d{}."""
    return [
        ".".join([task.name, *([head] if head else []), metric.key])
        for task in TASKS.values()
        for metric in task.metrics
        for head in metric.heads or ("",)
    ]


class _Known(Collection[str]):
    """All metrics that a claim can be about; a family is listed by its pattern."""

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and measure(name) is not None

    def __iter__(self) -> Iterator[str]:
        return iter(names())

    def __len__(self) -> int:
        return len(names())


KNOWN = _Known()
