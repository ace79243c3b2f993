"""The results of a run: its tables, verdicts and records of weights."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from patchlens import paths
from patchlens.errors import DataError
from patchlens.files import shown
from patchlens.names import ModelName
from patchlens.settings.load import Settings
from patchlens.settings.models import Role, role
from patchlens.settings.validated import loaded
from patchlens.site.plots import Plot, keep_records
from patchlens.site.plots import read as read_plots
from patchlens.stored import read_csv, read_json, reading
from patchlens.tasks.table import TABLE, TASKS

AS_WRITTEN: Any = {"keep_default_na": False, "na_values": [""]}  # only an empty cell is none


@dataclass(frozen=True)
class Run:
    """The data of the pages.

    Attributes:
        settings: the settings of the run.
        tables: task -> its table in long form; empty for a task without datasets.
        studies: study -> its table.
        captions: task -> dataset -> the protocol of its table in words.
        objectives: model -> how it was trained.
        claims: one row per claim.
        plots: the plots of all stages.
        records: the stages that keep records.
        weights: model -> the record of its file.
    """

    settings: Settings
    tables: Mapping[str, pd.DataFrame]
    studies: Mapping[str, pd.DataFrame]
    captions: Mapping[str, Mapping[str, str]]
    objectives: Mapping[str, str]
    claims: pd.DataFrame
    plots: tuple[Plot, ...]
    records: frozenset[str]
    weights: Mapping[str, Mapping[str, Any]]

    @property
    def models(self) -> list[ModelName]:
        """The configured models, in the order of params.yaml."""
        return list(self.settings.models)

    def role(self, model: str) -> Role:
        """The role of a model in a comparison."""
        return role(self.settings.models[ModelName(model)])

    def is_floor(self, model: str) -> bool:
        """Whether a model is a floor."""
        return self.role(model) == "floor"


def read(settings: Settings) -> Run:
    """Read metrics/ of the working folder.

    Raises:
        DataError: a file is missing, or a table has models that are not configured.
    """
    tables, captions = dict[str, pd.DataFrame](), dict[str, Mapping[str, str]]()
    for task in TABLE:
        path = paths.TABLES / f"{task.name}.csv"
        if task.study and not task.tabled:
            continue
        table = read_csv(path, **AS_WRITTEN, low_memory=False)
        unknown = sorted(set(table.get("model", ())) - set(settings.models))
        if unknown:
            raise DataError(
                f"{path}: has models that params.yaml does not list: {', '.join(unknown)}; "
                "run `dvc repro tables`"
            )
        tables[task.name] = table
        if not task.study:
            with reading(path.with_suffix(".json")) as words:
                about = read_json(words)
                captions[task.name], objectives = dict(about["captions"]), dict(about["objectives"])
    params = loaded(paths.PARAMS, missing="run this in the folder that contains it")
    claims = read_csv(paths.CLAIMS_TABLE.with_suffix(".csv"), **AS_WRITTEN).map(shown)
    return Run(
        settings,
        {name: table for name, table in tables.items() if not TASKS[name].study},
        {name: table for name, table in tables.items() if TASKS[name].study},
        captions,
        objectives,
        claims,
        tuple(read_plots(params)),
        keep_records(),
        {model: read_json(paths.weights_record(model)) for model in settings.models},
    )
