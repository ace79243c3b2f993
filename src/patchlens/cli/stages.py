"""One command per DVC stage: each reads the settings and calls `run` of the stage's module."""

from importlib import import_module
from pathlib import Path
from typing import Annotated

import typer

from patchlens import paths
from patchlens.cli.app import DatasetArgument, ModelArgument, settings, stage

OF_CELL = {  # one model on one dataset
    "extract": "Extract the patch features of the selected images.",
    "prune": "Rank the feature dimensions by variance, per support seed.",
    "variance": "Study how the variance spreads over the dimensions and what the top ones encode.",
    "segmentation": "Evaluate few-shot semantic segmentation (T1).",
    "sweep": "Score every m in prune.choices, beside the rivals of pruning.",
    "degrade": "Extract the patch features of degraded copies of query images.",
    "identification": "Evaluate instance identification under degradations (T2).",
    "retrieval": "Evaluate object retrieval (T3).",
    "tracking": "Evaluate association, linking and label propagation (T4).",
}
OF_ALL = {  # everything in params.yaml
    "tables": "Aggregate all configured cells into tables.",
    "figures": "Draw an example of T2, T3 and T4 on a dataset that the pipeline makes.",
    "explorer": "Precompute the report's interactive pages for datasets that the pipeline makes.",
    "results": "Write one page on the results of all models and tasks.",
}


@stage()
def code(
    graph: Annotated[Path, typer.Option(help="A dvc.yaml, with its params.yaml beside it.")] = (
        Path("dvc.yaml")
    ),
    module: Annotated[str, typer.Option(help="The module of a stage.")] = (
        "patchlens.stages.{stage}"
    ),
) -> None:
    """Check the names in params.yaml, and list the code of each stage for DVC."""
    from patchlens.stages import code

    code.run(graph, module)


@stage()
def render(dataset: DatasetArgument) -> None:
    """Render a dataset that the pipeline makes."""
    chosen = settings().made(dataset)
    from patchlens.stages import render

    render.run(dataset, chosen)


@stage()
def fetch(dataset: DatasetArgument) -> None:
    """Download a dataset, or unpack the archives that you downloaded."""
    chosen = settings().downloaded(dataset)
    from patchlens.stages import fetch

    fetch.run(dataset, chosen)


@stage()
def manifest(dataset: DatasetArgument) -> None:
    """List the files of a dataset that you placed."""
    chosen = settings().placed(dataset)
    assert chosen.root is not None
    from patchlens.stages import manifest

    manifest.run(dataset, Path(chosen.root), follow_links=chosen.follow_links)


@stage()
def index(dataset: DatasetArgument) -> None:
    """Check and index a dataset, and choose its support and query images."""
    chosen = settings().dataset(dataset)
    from patchlens.stages import index

    index.run(dataset, chosen)


@stage()
def weights(model: ModelArgument) -> None:
    """Convert the weights of a model to one checked file."""
    chosen = settings().model(model)
    from patchlens.stages import weights

    weights.run(model, chosen)


def _of_cell(name: str, text: str) -> None:
    @stage(name, help=text)
    def run(model: ModelArgument, dataset: DatasetArgument) -> None:
        chosen = settings()
        chosen.cell(dataset=dataset, model=model)
        module = import_module(f"patchlens.stages.{name}")
        module.run(dataset=dataset, model=model, settings=chosen)


def _of_all(name: str, text: str) -> None:
    @stage(name, help=text)
    def run() -> None:
        chosen = settings()
        import_module(f"patchlens.stages.{name}").run(chosen)


for _name, _text in OF_CELL.items():
    _of_cell(_name, _text)
for _name, _text in OF_ALL.items():
    _of_all(_name, _text)


@stage()
def claims() -> None:
    """Judge every finding in claims.yaml."""
    chosen = settings()
    from patchlens.report.measures import METRICS
    from patchlens.settings.claims import load
    from patchlens.stages import claims

    claims.run(load(paths.CLAIMS, METRICS), chosen)


@stage()
def report(
    compare: Annotated[
        str | None,
        typer.Option(metavar="REV", help="Show only the changes since REV, or in REV..REV."),
    ] = None,
) -> None:
    """Write the report site; with --compare, the page on the changes since a Git revision."""
    if compare is not None:
        from patchlens.stages import report_compare

        return report_compare.run(compare)
    chosen = settings()
    from patchlens.stages import report

    report.run(chosen)
