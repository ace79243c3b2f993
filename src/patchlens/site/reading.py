"""The results of a run: its tables, verdicts and records of weights."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd
import yaml

from patchlens import paths
from patchlens.errors import DataError
from patchlens.files import existing, read_json, shown
from patchlens.names import ModelName
from patchlens.settings.load import Settings
from patchlens.settings.models import Role, role
from patchlens.site.plots import REMEDY, Plot, keep_records
from patchlens.site.plots import read as read_plots

OF_A_TASK = ["dataset", "model", "head", "variant"]  # the first columns in the table of a task


@dataclass(frozen=True)
class Run:
    """The data of the pages.

    Attributes:
        settings: the settings of the run.
        tables: task -> its table in long form; empty for a task without datasets.
        claims: one row per claim.
        plots: the plots of all stages.
        records: the stages that keep records.
        weights: model -> the record of its file.
    """

    settings: Settings
    tables: Mapping[str, pd.DataFrame]
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
    tables = {}
    for path in sorted(paths.TABLES.glob("*.csv")):
        table = pd.read_csv(path, keep_default_na=False, na_values=[""], low_memory=False)
        if list(table.columns[: len(OF_A_TASK)]) == OF_A_TASK:
            strangers = sorted(set(table["model"]) - set(settings.models))
            if strangers:
                raise DataError(
                    f"{path}: has models that params.yaml does not list: {', '.join(strangers)}; "
                    "run `dvc repro tables`"
                )
            tables[path.stem] = table
    known = list(settings.tasks())
    order = sorted(
        tables, key=lambda task: (known.index(task) if task in known else len(known), task)
    )
    params = yaml.safe_load(paths.PARAMS.read_text(encoding="utf-8"))
    claims = pd.read_csv(
        existing(paths.TABLES / "claims.csv", REMEDY), keep_default_na=False, na_values=[""]
    ).map(shown)
    return Run(
        settings,
        {task: tables[task] for task in order},
        claims,
        tuple(read_plots(params)),
        keep_records(),
        {model: read_json(paths.weights_record(model), REMEDY) for model in settings.models},
    )
