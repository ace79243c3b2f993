"""The table of stages: the module of each, whose function `run` its command calls."""

from dataclasses import dataclass

from patchlens.tasks.entries import ENTRIES


@dataclass(frozen=True)
class Stage:
    """A stage of dvc.yaml.

    Attributes:
        module: below `patchlens`.
        help: the text of its command, for stages of one shape.
    """

    module: str
    help: str = ""


OF_CELL = {  # one model on one dataset: run(cell)
    "extract": Stage("features.extraction", "Extract the patch features of the selected images."),
    "prune": Stage("features.prune", "Rank the feature dimensions by variance, per support seed."),
    "degrade": Stage(
        "tasks.identification.degrade",
        "Extract the patch features of degraded copies of query images.",
    ),
} | {task.name: Stage(f"tasks.{task.name}.run", task.help) for task in ENTRIES}
OF_ALL = {  # everything in params.yaml: run(settings)
    "tables": Stage("report.tables", "Aggregate all configured cells into tables."),
    "explorer": Stage(
        "report.explorer",
        "Precompute the report's pages with pictures, of rendered datasets and of the user's own.",
    ),
}
OTHERS = {
    "render": Stage("datasets.render"),
    "fetch": Stage("datasets.fetch"),
    "manifest": Stage("datasets.manifest"),
    "index": Stage("datasets.indexing"),
    "weights": Stage("backbones.weights"),
    "claims": Stage("report.claims"),
    "report": Stage("site.report"),
}
STAGES = OF_CELL | OF_ALL | OTHERS


def module(stage: str) -> str:
    """The dotted name of the module of a stage."""
    return f"patchlens.{STAGES[stage].module}"
