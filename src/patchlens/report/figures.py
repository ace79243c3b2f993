"""Stage figures: one example of each task that has one, for Git.

It covers only datasets that the pipeline makes: we may not publish images of other datasets. For
private use, `patchlens show` draws examples of any dataset.
"""

from importlib import import_module
from typing import TYPE_CHECKING

from patchlens import paths
from patchlens.features.cell import Cell
from patchlens.files import whole_folder, write_text
from patchlens.names import DatasetName
from patchlens.progress import log
from patchlens.settings.datasets import Minicity
from patchlens.settings.models import role
from patchlens.tasks.entries import ENTRIES, cells

if TYPE_CHECKING:
    from patchlens.settings.load import Settings


def run(settings: "Settings") -> None:
    """Write reports/figures/: one figure per task, and README.md, which lists them.

    The model is the first rival in `models`. The dataset is the first one of the task that the
    pipeline makes; without such a dataset, the task has no figure.
    """
    models, lines = settings.models, []
    model = next((n for n, m in models.items() if role(m) == "rival"), next(iter(models)))
    with whole_folder(paths.FIGURES) as out:
        for task in sorted((task for task in ENTRIES if task.shows), key=lambda task: task.name):
            if dataset := _made(cells(settings)[task.name], settings):
                module = import_module(f"patchlens.tasks.{task.name}.show")
                name = f"{task.name}-{dataset}-{model}.{module.SUFFIX}"
                module.run(out / name, Cell(dataset=dataset, model=model, settings=settings))
                lines.append(f"{module.CAPTION} ({dataset}-{model}).\n\n![]({name})\n")
        empty = "No task runs on a dataset that the pipeline makes.\n"
        write_text("# Examples\n\n" + ("\n".join(lines) or empty), out / "README.md")
    log.info("figures: %d", len(lines))


def _made(names: list[DatasetName], settings: "Settings") -> DatasetName | None:
    return next((name for name in names if isinstance(settings.datasets[name], Minicity)), None)
