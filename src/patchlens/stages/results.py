"""Stage results: one page on what all models and tasks gave, with its figures, for Git."""

from collections.abc import Sequence

import pandas as pd

from patchlens import paths
from patchlens.files import existing, whole_folder, write_text
from patchlens.report import headlines, results, results_figures
from patchlens.report.of_task import OF_TASK
from patchlens.report.task_tables import T1

REMEDY = "run `dvc repro`"


def run(models: Sequence[str], of_variance: Sequence[str], of_sweep: Sequence[str]) -> None:
    """Write reports/results/: README.md, and figures of each dataset's spectra and pruning.

    Args:
        models: the configured models.
        of_variance: the datasets whose variance was studied.
        of_sweep: those with a sweep over m.

    Raises:
        DataError: a table or a cell is missing.
    """
    found = [h for task in (T1, *OF_TASK) for h in headlines.of(task, _table(task))]
    with whole_folder(paths.RESULTS) as out:
        parts = ["## Which model for which task", results.models(found)]
        parts += ["## What a variant changes", results.GAINS]
        parts += [results.gains(line) for line in results.first_of_each_task(found)]
        for name in of_sweep:
            swept = {model: _cell(name, model, "sweep") for model in models}
            results_figures.pruning(swept, out / f"pruning-{name}.png")
            parts.append(f"![Scores over m on {name}, every model](pruning-{name}.png)")
        parts.append("## How the variance spreads")
        for name in of_variance:
            spectra = {model: _spectrum(name, model) for model in models}
            results_figures.spectra(spectra, out / f"spectra-{name}.png")
            parts.append(f"![Spectra on {name}, every model](spectra-{name}.png)")
        parts += [_text("variance"), "## The verdicts", _text("claims")]
        write_text("\n\n".join(parts) + "\n", out / "README.md")


def _table(task: str) -> pd.DataFrame:
    return pd.read_csv(existing(paths.TABLES / f"{task}.csv", REMEDY))


def _text(name: str) -> str:
    path = existing(paths.TABLES / f"{name}.md", REMEDY)
    return path.read_text(encoding="utf-8").strip()


def _cell(dataset: str, model: str, file: str) -> pd.DataFrame:
    return pd.read_csv(existing(paths.cell(dataset, model) / f"{file}.csv", REMEDY))


def _spectrum(dataset: str, model: str) -> pd.DataFrame:
    """The spectrum of the last layer."""
    table = _cell(dataset, model, "variance_spectrum")
    last: pd.DataFrame = table[table["layer"] == table["layer"].max()]
    return last
