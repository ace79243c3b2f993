"""What a task found in a cell, and the files that hold it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from patchlens.files import write_csv, write_json, write_parquet


@dataclass(frozen=True)
class Result:
    """What a task found in a cell.

    Attributes:
        metrics: head -> variant -> metric -> value; of a study, any nesting of numbers.
        protocol: the facts that a reader needs to compare the numbers.
        curves: end of the file's name -> table: `k` is <task>_k.csv, and "" is <task>.csv.
        records: counts or scores of single images, queries or videos, which tables and claims
            resample; None for a study without claims.
    """

    metrics: Mapping[str, Any]
    protocol: Mapping[str, Any]
    curves: Mapping[str, pd.DataFrame] = field(default_factory=dict)
    records: pd.DataFrame | None = None

    def write(self, task: str, folder: Path) -> None:
        """Write <task>.json, its curves and its records to the folder of the cell."""
        for end, table in self.curves.items():
            write_csv(table, folder / (f"{task}_{end}.csv" if end else f"{task}.csv"))
        if self.records is not None:
            write_parquet(self.records, folder / f"{task}.records.parquet")
        write_json({**self.metrics, "protocol": self.protocol}, folder / f"{task}.json")
