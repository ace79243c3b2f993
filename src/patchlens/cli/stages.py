"""One command per DVC stage: each reads the settings and calls `run` of the stage's module."""

from importlib import import_module
from pathlib import Path
from typing import Annotated, Any

import typer

from patchlens import paths
from patchlens.cli.application import DatasetArgument, ModelArgument, cell_of, settings, stage
from patchlens.plan.stages import OF_ALL, OF_CELL, STAGES


def _run(name: str, *arguments: Any, **options: Any) -> Any:
    return import_module(f"patchlens.{STAGES[name].module}").run(*arguments, **options)


@stage()
def code(
    graph: Annotated[Path, typer.Option(help="A dvc.yaml, with its params.yaml beside it.")] = (
        Path("dvc.yaml")
    ),
    module: Annotated[
        str | None,
        typer.Option(help="The module of every stage; by default, as this package knows them."),
    ] = None,
) -> None:
    """Check the names in params.yaml, and list the code of each stage for DVC."""
    from patchlens.own import create
    from patchlens.plan import code

    create.check()
    code.run(graph, module)


@stage()
def render(dataset: DatasetArgument) -> None:
    """Render a dataset that the pipeline makes."""
    _run("render", dataset, settings().made(dataset))


@stage()
def fetch(dataset: DatasetArgument) -> None:
    """Download a dataset, or unpack the archives that you downloaded."""
    found = settings()
    _run("fetch", dataset, found.downloaded(dataset), found.sources)


@stage()
def manifest(dataset: DatasetArgument) -> None:
    """List the files of a dataset that you placed."""
    chosen = settings().placed(dataset)
    assert chosen.root is not None
    _run("manifest", dataset, Path(chosen.root), follow_links=chosen.follow_links)


@stage()
def index(dataset: DatasetArgument) -> None:
    """Check and index a dataset, and choose its support and query images."""
    _run("index", dataset, settings().dataset(dataset))


@stage()
def weights(model: ModelArgument) -> None:
    """Convert the weights of a model to one checked file."""
    found = settings()
    _run("weights", model, found.model(model), found.features.norm, found.sources)


def _of_cell(name: str) -> None:
    @stage(name, help=STAGES[name].help)
    def run(model: ModelArgument, dataset: DatasetArgument) -> None:
        cell = cell_of(dataset, model)
        result = _run(name, cell)
        if result is not None:
            result.write(name, cell.folder)


def _of_all(name: str) -> None:
    @stage(name, help=STAGES[name].help)
    def run() -> None:
        _run(name, settings())


for _name in OF_CELL:
    _of_cell(_name)
for _name in OF_ALL:
    _of_all(_name)


@stage()
def claims() -> None:
    """Judge every finding in claims.yaml."""
    chosen = settings()
    from patchlens.features.variants import VARIANTS
    from patchlens.report.measures import KNOWN
    from patchlens.settings.claims import load

    _run("claims", load(paths.CLAIMS, KNOWN, VARIANTS), chosen)


@stage()
def report(
    compare: Annotated[
        str | None,
        typer.Option(metavar="REV", help="Show only the changes since REV, or in REV..REV."),
    ] = None,
) -> None:
    """Write the report site; with --compare, the page on the changes since a Git revision."""
    if compare is not None:
        from patchlens.site import compare as comparison

        return comparison.run(compare)
    _run("report", settings())
