"""The `plots:` entries of dvc.yaml, and the rows of their CSV files in all configured cells."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from pandas.api.types import is_numeric_dtype

from patchlens import paths
from patchlens.names import DatasetName, ModelName
from patchlens.plan.graph import matrix_names, read_graph
from patchlens.stored import read_csv

PIPELINE = Path("dvc.yaml")
CELL = "metrics/cells/${item.dataset}/${item.model}/"


@dataclass(frozen=True)
class Panels:
    """What distinguishes the lines of a plot in DVC, which dashes those of other revisions.

    Attributes:
        colour: the column with one colour per value.
        row, column: the columns with one row or one column of panels per value, or "".
        free: the axis with a scale of its own in each panel, "x" or "y"; "" for none.
        only: the rows that are drawn, as an expression of Vega; "" for all.
        size: width and height of a panel in pixels.
    """

    colour: str
    row: str = ""
    column: str = ""
    free: str = ""
    only: str = ""
    size: tuple[int, int] = (420, 300)


TEMPLATES = {  # template of dvc.yaml -> how it draws
    "by_degradation": Panels(
        "variant", "head", "degradation", "x", "datum.size == 'all'", size=(160, 140)
    ),
    "by_head": Panels("head"),
    "by_variant": Panels("variant"),
    "over_m": Panels("variant", "head", free="y", size=(420, 220)),
    "spectrum": Panels("layer"),
}


@dataclass(frozen=True)
class Plot:
    """A plot that a stage makes for each of its cells.

    Attributes:
        stage: the stage.
        file: name of the CSV file in the folder of a cell.
        x, y: its columns.
        template: its template in DVC, which says how it is drawn, or None.
        group_by: the column that distinguishes lines in the template, or None.
        datasets: the datasets that the stage runs on.
    """

    stage: str
    file: str
    x: str
    y: str
    template: str | None
    group_by: str | None
    datasets: tuple[str, ...]

    @property
    def key(self) -> str:
        """The key of its figure."""
        return f"{self.stage}-{Path(self.file).stem}"

    def names(self, data: pd.DataFrame) -> list[str]:
        """The columns that distinguish rows: text columns, and the one of the template."""
        return [
            str(name)
            for name in data.columns
            if name not in (self.x, self.y)
            and (name == self.group_by or not is_numeric_dtype(data[name]))
        ]

    def bars(self, data: pd.DataFrame) -> bool:
        """Whether y is categorical, so that x is the score."""
        return not is_numeric_dtype(data[self.y])

    def rows(self, models: Mapping[str, Any]) -> pd.DataFrame:
        """Its rows in all configured cells, with columns dataset and model before the others.

        A cell may have none: DAVIS has no curve over Δ.

        Raises:
            DataError: the file of a configured cell is missing or lacks a column.
        """
        parts = []
        for dataset in self.datasets:
            for model in models:
                cell = paths.cell(dataset=DatasetName(dataset), model=ModelName(model))
                table = read_csv(cell / self.file, self.x, self.y)
                if len(table):  # else its columns have no types, and would take them from others
                    parts.append(table.assign(dataset=dataset, model=model))
        if not parts:
            return pd.DataFrame(columns=["dataset", "model", self.x, self.y])
        whole = pd.concat(parts, ignore_index=True)
        return whole[["dataset", "model", *whole.columns.drop(["dataset", "model"])]]


def read(params: Mapping[str, Any]) -> list[Plot]:
    """The plots of all stages that run per dataset and model, in the order of dvc.yaml.

    Args:
        params: the content of params.yaml.
    """
    return [
        plot
        for name, stage in read_graph(PIPELINE).items()
        for plot in _of_stage(name, stage, params)
    ]


def keep_records() -> frozenset[str]:
    """The stages of dvc.yaml that write `<stage>.records.parquet` into their cells."""
    return frozenset(
        name
        for name, stage in read_graph(PIPELINE).items()
        if f"{CELL}{name}.records.parquet" in stage.get("outs", [])
    )


def _of_stage(name: str, stage: Mapping[str, Any], params: Mapping[str, Any]) -> Iterator[Plot]:
    for entry in stage.get("plots", []):
        (path, options) = next(iter(entry.items())) if isinstance(entry, dict) else (entry, {})
        if not path.startswith(CELL) or not {"x", "y"} <= options.keys():
            continue
        if datasets := tuple(matrix_names(name, stage["matrix"]["dataset"], params)):
            template, file = options.get("template"), path.removeprefix(CELL)
            group_by = TEMPLATES[template].colour if template in TEMPLATES else None
            yield Plot(name, file, options["x"], options["y"], template, group_by, datasets)
