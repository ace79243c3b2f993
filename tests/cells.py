"""The stages of a cell, run as their commands do."""

from importlib import import_module

from patchlens.features.cell import Cell
from patchlens.names import DatasetName, ModelName
from patchlens.plan import stages
from patchlens.settings.load import Settings


def compute(task: str, *, dataset: DatasetName, model: ModelName, settings: Settings) -> None:
    """Run a stage of one model on one dataset, and write what it returns."""
    if model not in settings.models:  # what its weights stage wrote says what it is
        some = next(iter(settings.models.values()))
        settings = settings.model_copy(update={"models": settings.models | {model: some}})
    cell = Cell(dataset=dataset, model=model, settings=settings)
    result = import_module(stages.module(task)).run(cell)
    if result is not None:
        result.write(task, cell.folder)
