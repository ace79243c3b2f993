"""Interactive commands: pictures, pages, plans and comparisons."""

import json
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Annotated

import typer

from patchlens import paths
from patchlens.cli.application import (
    AsJson,
    DatasetArgument,
    ModelArgument,
    OfModel,
    cell_of,
    command,
    guarded,
    pictures,
    settings,
)
from patchlens.errors import SettingsError
from patchlens.names import ModelName
from patchlens.settings.models import role


@command
def demo(
    degrade: Annotated[
        bool, typer.Option("--degrade", help="Measure on ever noisier images, too.")
    ] = False,
    out: Annotated[Path, typer.Option(help="The page to write.")] = Path("patchlens-demo.html"),
) -> None:
    """Measure two mini ViTs and a floor on images rendered here: no download, under a minute."""
    from patchlens.demo import run

    run.run(out, degrade=degrade, say=typer.echo)


@command
def serve(
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="The port; 0 for any free port.")
    ] = 8000,
    folder: Annotated[Path, typer.Option(help="The folder of the site.")] = paths.SITE,
) -> None:
    """Serve the report site on localhost until Ctrl-C.

    The overview also shows how fast extraction was in this folder.
    """
    from patchlens.site import serve

    serve.run(folder, port, typer.echo)


@command
def why(
    model: ModelArgument,
    dataset: DatasetArgument,
    floor: Annotated[
        str | None,
        typer.Option(
            metavar="MODEL",
            help="The untrained model to compare with; by default, the first in params.yaml.",
        ),
    ] = None,
) -> None:
    """Say how the variance of a model's features spreads, and how it affects its scores."""
    cell = cell_of(dataset, model)
    s = cell.settings
    untrained = None if floor is None else ModelName(floor)
    if untrained is not None:
        s.model(untrained)
    drawn = (
        n for n, m in s.models.items() if role(m) == "floor" and m.source not in ("pixels", "place")
    )
    from patchlens.tasks.variance import why

    typer.echo(why.text(cell, untrained or next(drawn, None)))
    typer.echo(f"\nFigures and maps: {paths.SITE / 'variance.html'} (`dvc repro report`)")


@pictures.command("identification")
@guarded
def show_identification(dataset: DatasetArgument, model: OfModel) -> None:
    """Draw a patch in all degraded copies of its image, with the match in each."""
    _show("identification", dataset, model)


@pictures.command("retrieval")
@guarded
def show_retrieval(dataset: DatasetArgument, model: OfModel) -> None:
    """Draw a few objects with their ten nearest neighbours, marked as right or wrong."""
    _show("retrieval", dataset, model)


@pictures.command("tracking")
@guarded
def show_tracking(
    dataset: DatasetArgument,
    model: OfModel,
    sequence: Annotated[
        str | None, typer.Option(help="A sequence of the query; by default, the first.")
    ] = None,
) -> None:
    """Draw a sequence with the ids that the model linked, as a GIF."""
    _show("tracking", dataset, model, sequence)


def _show(task: str, dataset: DatasetArgument, model: OfModel, part: str | None = None) -> None:
    cell = cell_of(dataset, model)
    module = import_module(f"patchlens.tasks.{task}.show")
    path = paths.shown(task, dataset=dataset, model=model).with_suffix(f".{module.SUFFIX}")
    if part is not None:
        path = path.with_stem(f"{path.stem}-{part.replace('/', '_')}")
    module.run(path, cell, *([part] if part is not None else []))
    typer.echo(path)


@command
def plan(
    params: Annotated[
        Path, typer.Option(help="The settings file, for example presets/paper.yaml.")
    ] = (paths.PARAMS),
    drop_features: Annotated[
        bool, typer.Option(help="Ask for the disk of `repro --jobs 1 --drop-features` only.")
    ] = False,
    measure: Annotated[
        bool, typer.Option(help="Measure first, for some seconds, how fast this machine is.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Estimate downloads, disk space and time of a run; fail if it would fill the disk."""
    chosen = settings(params)
    from patchlens.plan import show
    from patchlens.plan.make import make

    found = make(chosen, Path("dvc.yaml"))
    if measure:
        from patchlens.plan.measure import measured

        sized = [cell for cell in found.cells if cell.grid is not None]
        if not sized:
            raise SettingsError(f"{params}: no model of known size to measure with; run without it")
        largest = max(sized, key=lambda cell: cell.extract or 0.0)
        found = replace(found, rates=measured(*largest.view, chosen.device))
    text = json.dumps(show.as_json(found), indent=1) if as_json else show.show(found, str(params))
    typer.echo(text)
    found.check_disk(params, drop_features=drop_features)


@command
def compare(
    before: Annotated[Path, typer.Argument(help="The metrics folder of the reference.")],
    after: Annotated[Path, typer.Argument(help="The metrics folder of the reproduction.")],
    tolerance: Annotated[
        float | None,
        typer.Option(
            help="The largest allowed difference; by default 0 if machine.json is the same on both "
            "sides, otherwise 0.002."
        ),
    ] = None,
) -> None:
    """Compare two metrics folders; exit code 1 if they differ by more than the tolerance.

    machine.json, in each folder or in the folder above it, names the machine that made it.
    """
    from patchlens.report.compare import compare

    problems, summary = compare(before, after, tolerance)
    for line in [*problems, summary]:
        typer.echo(line)
    if problems:
        raise typer.Exit(1)


@command
def clean_metrics() -> None:
    """Remove metrics of models and datasets that params.yaml no longer lists."""
    s = settings()
    from patchlens.report import tables

    tables.remove_orphans(s)
