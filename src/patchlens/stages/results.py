"""Stage results: one page on the results of all models and tasks, with figures, for Git."""

from typing import TYPE_CHECKING

import pandas as pd

from patchlens import paths
from patchlens.files import existing, whole_folder, write_text
from patchlens.names import DatasetName, ModelName
from patchlens.report import headlines, results, results_figures
from patchlens.report.of_task import OF_TASK
from patchlens.report.task_tables import T1

if TYPE_CHECKING:
    from patchlens.settings.load import Settings

REMEDY = "run `dvc repro`"


def run(settings: "Settings") -> None:
    """Write reports/results/: README.md, and figures of spectra and pruning for each dataset.

    Raises:
        DataError: a table or a cell is missing.
    """
    found = [h for task in (T1, *OF_TASK) for h in headlines.of(task, _table(task))]
    with whole_folder(paths.RESULTS) as out:
        parts = ["## Which model for which task", results.models(found)]
        parts += ["## What a variant changes", results.GAINS]
        parts += [results.gains(line) for line in results.first_of_each_task(found)]
        for dataset in settings.sweep.datasets:
            swept = {m: _cell("sweep", dataset=dataset, model=m) for m in settings.models}
            results_figures.pruning(swept, out / f"pruning-{dataset}.png")
            parts.append(f"![Scores over m on {dataset} for every model](pruning-{dataset}.png)")
        parts.append("## How the variance spreads")
        for dataset in settings.cells()["variance"]:
            spectra = {m: _spectrum(dataset=dataset, model=m) for m in settings.models}
            results_figures.spectra(spectra, out / f"spectra-{dataset}.png")
            parts.append(f"![Spectra on {dataset} for every model](spectra-{dataset}.png)")
        parts += [_text("variance"), "## The verdicts", _text("claims")]
        write_text("\n\n".join(parts) + "\n", out / "README.md")


def _table(task: str) -> pd.DataFrame:
    return pd.read_csv(existing(paths.TABLES / f"{task}.csv", REMEDY))


def _text(name: str) -> str:
    path = existing(paths.TABLES / f"{name}.md", REMEDY)
    return path.read_text(encoding="utf-8").strip()


def _cell(file: str, *, dataset: DatasetName, model: ModelName) -> pd.DataFrame:
    return pd.read_csv(existing(paths.cell(dataset=dataset, model=model) / f"{file}.csv", REMEDY))


def _spectrum(*, dataset: DatasetName, model: ModelName) -> pd.DataFrame:
    """The spectrum of the last layer."""
    table = _cell("variance_spectrum", dataset=dataset, model=model)
    last: pd.DataFrame = table[table["layer"] == table["layer"].max()]
    return last
