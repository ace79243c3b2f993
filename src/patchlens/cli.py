"""The command line: one command a DVC stage. Each reads settings and calls one stage."""

import functools
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from patchlens import paths, progress
from patchlens.errors import PatchlensError
from patchlens.settings.load import Settings, load

app = typer.Typer(
    help="How good are the frozen patch features of Vision Transformers?",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
DVC_NOTE = (
    "DVC removes the outputs of a stage before it runs: `git checkout metrics` brings the "
    "committed numbers back."
)
DatasetName = Annotated[str, typer.Argument(metavar="DATASET", help="A name in params.yaml.")]
ModelName = Annotated[str, typer.Argument(metavar="MODEL", help="A name in params.yaml.")]


@app.callback()
def main(
    quiet: Annotated[bool, typer.Option("-q", "--quiet", help="Warnings and errors only.")] = False,
) -> None:
    """How good are the frozen patch features of Vision Transformers?"""
    progress.set_up(quiet)


def stage(command: Callable[..., None]) -> Callable[..., None]:
    """Register a command whose mendable errors are one message and an exit code."""

    @functools.wraps(command)
    def guarded(*args: Any, **kwargs: Any) -> None:
        try:
            command(*args, **kwargs)
        except PatchlensError as error:
            typer.echo(f"Error: {error}", err=True)
            if "DVC_STAGE" in os.environ:
                typer.echo(DVC_NOTE, err=True)
            sys.exit(error.exit_code)

    return app.command()(guarded)


def settings() -> Settings:
    """The validated settings of the folder that the command runs in."""
    return load(paths.PARAMS)


@stage
def fetch(dataset: DatasetName) -> None:
    """Render a dataset that the pipeline makes."""
    chosen = settings().made(dataset)
    from patchlens.stages import fetch

    fetch.run(dataset, chosen)


@stage
def manifest(dataset: DatasetName) -> None:
    """List the files of a dataset that you placed."""
    root = settings().placed(dataset).root
    from patchlens.stages import manifest

    manifest.run(dataset, Path(root))


@stage
def index(dataset: DatasetName) -> None:
    """Check a dataset, index it, choose support and query images."""
    chosen = settings().dataset(dataset)
    from patchlens.stages import index

    index.run(dataset, chosen)


@stage
def weights(model: ModelName) -> None:
    """Bring a model's weights into one checked file."""
    chosen = settings().model(model)
    from patchlens.stages import weights

    weights.run(model, chosen)


@stage
def extract(model: ModelName, dataset: DatasetName) -> None:
    """Extract the patch features of the selected images."""
    s = settings()
    s.model(model)
    chosen = s.dataset(dataset)
    from patchlens.stages import extract

    extract.run(dataset, model, chosen, s.features, s.device)


@stage
def prune(model: ModelName, dataset: DatasetName) -> None:
    """Rank the feature dimensions by variance, once a support seed."""
    s = settings()
    s.model(model), s.dataset(dataset)
    from patchlens.stages import prune

    prune.run(dataset, model, s.prune.fit_on, s.segmentation.shots)


@stage
def variance(model: ModelName, dataset: DatasetName) -> None:
    """Study how the variance spreads over the dimensions and what the top ones encode."""
    s = settings()
    s.model(model)
    chosen = s.dataset(dataset)
    from patchlens.stages import variance

    variance.run(dataset, model, chosen, s.prune.m)


@stage
def segmentation(model: ModelName, dataset: DatasetName) -> None:
    """Evaluate few-shot semantic segmentation (T1)."""
    s = settings()
    s.model(model)
    chosen = s.dataset(dataset)
    from patchlens.stages import segmentation

    segmentation.run(dataset, model, chosen, s.prune, s.segmentation, s.uncertainty, s.device)


@stage
def sweep(model: ModelName, dataset: DatasetName) -> None:
    """Score every m of prune.choices beside the rivals of pruning."""
    s = settings()
    s.model(model)
    chosen = s.dataset(dataset)
    from patchlens.stages import sweep

    sweep.run(dataset, model, chosen, s.prune, s.segmentation, s.sweep, s.device)


@stage
def tables() -> None:
    """Aggregate all configured cells into tables."""
    s = settings()
    from patchlens.stages import tables

    tables.run(list(s.models), s.segmentation, s.uncertainty, s.prune.m)


@stage
def claims() -> None:
    """Judge every finding in claims.yaml."""
    s = settings()
    from patchlens.report.configured import Configured
    from patchlens.settings.claims import load as load_claims
    from patchlens.stages import claims

    # The first word of a metric, and the datasets that its stage runs on.
    tasks = {"segmentation": s.segmentation.datasets, "variance": s.segmentation.datasets}
    kinds = {name: dataset.kind for name, dataset in s.datasets.items()}
    claims.run(
        load_claims(paths.CLAIMS),
        Configured(list(s.models), tasks, kinds),
        s.uncertainty.claim_resamples,
        s.uncertainty.seed,
    )


@stage
def why(model: ModelName, dataset: DatasetName) -> None:
    """Tell on one page what the variance of a model's features does to its scores."""
    s = settings()
    s.model(model)
    chosen = s.dataset(dataset)
    floors = [name for name, other in s.models.items() if other.source == "untrained"]
    from patchlens.report import why

    typer.echo(why.write(dataset, model, chosen, next(iter(floors), None)))


@stage
def clean_metrics() -> None:
    """Remove metrics of models and datasets that params.yaml no longer lists."""
    s = settings()
    from patchlens.stages import tables

    tables.remove_orphans(list(s.models), s.segmentation.datasets)


@stage
def compare(
    before: Annotated[Path, typer.Argument(help="A folder of cells: the reference.")],
    after: Annotated[Path, typer.Argument(help="A folder of cells: the reproduction.")],
    tolerance: Annotated[float | None, typer.Option(help="Largest allowed difference.")] = None,
) -> None:
    """Compare two folders of metrics; exit code 1 if they differ by more than is allowed."""
    from patchlens.report.compare import compare

    problems, summary = compare(before, after, tolerance)
    for line in [*problems, summary]:
        typer.echo(line)
    if problems:
        raise typer.Exit(1)
