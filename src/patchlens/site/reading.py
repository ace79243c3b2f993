"""What a run left: its tables, verdicts and records of weights."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd
import yaml

from patchlens import paths
from patchlens.errors import DataError
from patchlens.files import existing, read_json
from patchlens.names import ModelName
from patchlens.settings.load import Settings
from patchlens.settings.models import Role, role
from patchlens.site.plots import REMEDY, Plot, keep_records
from patchlens.site.plots import read as read_plots

OF_A_TASK = ["dataset", "model", "head", "variant"]  # how the table of a task begins


@dataclass(frozen=True)
class Run:
    """What the pages are made of.

    Attributes:
        settings: of the run.
        tables: task -> its table, long; empty for a task without datasets.
        claims: a row a claim.
        plots: of all stages.
        records: the stages that keep records.
        weights: model -> which file it was.
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
        """What a model is in a comparison."""
        return role(self.settings.models[ModelName(model)])

    def is_floor(self, model: str) -> bool:
        """Whether a model is there to be beaten."""
        return self.role(model) == "floor"


def read(settings: Settings) -> Run:
    """Read metrics/ of the folder that the command runs in.

    Raises:
        DataError: a file is missing, or a table holds other models than are configured.
    """
    tables = {}
    for path in sorted(paths.TABLES.glob("*.csv")):
        table = pd.read_csv(path, keep_default_na=False, na_values=[""], low_memory=False)
        if list(table.columns[: len(OF_A_TASK)]) == OF_A_TASK:
            strangers = sorted(set(table["model"]) - set(settings.models))
            if strangers:
                raise DataError(
                    f"{path}: models that params.yaml does not list: {', '.join(strangers)}; "
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
    )
    return Run(
        settings,
        {task: tables[task] for task in order},
        claims,
        tuple(read_plots(params)),
        keep_records(),
        {model: read_json(paths.weights_record(model), REMEDY) for model in settings.models},
    )
