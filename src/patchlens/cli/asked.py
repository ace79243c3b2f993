"""Commands that are asked for by hand: pictures, pages, plans, comparisons."""

import json
from pathlib import Path
from typing import Annotated

import typer

from patchlens import paths
from patchlens.cli.app import (
    AsJson,
    DatasetName,
    ModelName,
    OfModel,
    command,
    guarded,
    pictures,
    settings,
)
from patchlens.settings.models import role


@command
def serve(
    port: Annotated[int, typer.Option(min=0, max=65535, help="0: any that is free.")] = 8000,
    folder: Annotated[Path, typer.Option(help="The site.")] = paths.SITE,
) -> None:
    """Show the report site on this machine's loopback, until Ctrl-C."""
    from patchlens.site import serve

    serve.run(folder, port, typer.echo)


@command
def why(
    model: ModelName,
    dataset: DatasetName,
    floor: Annotated[
        str | None, typer.Option(help="The untrained model beside it; by default the first.")
    ] = None,
) -> None:
    """Tell on one page what the variance of a model's features does to its scores."""
    s = settings()
    chosen = s.cell(model, dataset)
    if floor is not None:
        s.model(floor)
    drawn = (n for n, m in s.models.items() if role(m) == "floor" and m.source != "pixels")
    from patchlens.stages import why

    typer.echo(why.write(dataset, model, chosen, floor or next(drawn, None)))


@pictures.command("identification")
@guarded
def show_identification(dataset: DatasetName, model: OfModel) -> None:
    """One patch in all degraded copies of its image, and what it finds."""
    s = settings()
    chosen, path = s.cell(model, dataset), paths.shown("identification", dataset, model)
    from patchlens.stages import show_identification

    show_identification.run(dataset, model, chosen, s.identification, s.device, path)
    typer.echo(path)


@pictures.command("retrieval")
@guarded
def show_retrieval(dataset: DatasetName, model: OfModel) -> None:
    """A few objects with their ten nearest, right and wrong ones framed."""
    s = settings()
    chosen, path = s.cell(model, dataset), paths.shown("retrieval", dataset, model)
    from patchlens.stages import show_retrieval

    show_retrieval.run(dataset, model, chosen, s.retrieval, path)
    typer.echo(path)


@pictures.command("tracking")
@guarded
def show_tracking(
    dataset: DatasetName,
    model: OfModel,
    sequence: Annotated[
        str | None, typer.Option(help="Of the query; the first by default.")
    ] = None,
) -> None:
    """A sequence with the ids that the model linked, as a GIF."""
    s = settings()
    s.model(model)
    file = model if sequence is None else f"{model}-{sequence.replace('/', '_')}"
    chosen, path = s.dataset(dataset), paths.shown("tracking", dataset, file).with_suffix(".gif")
    from patchlens.stages import show_tracking

    show_tracking.run(dataset, model, chosen, sequence, path)
    typer.echo(path)


@command
def plan(
    params: Annotated[Path, typer.Option(help="The settings, such as presets/paper.yaml.")] = (
        paths.PARAMS
    ),
    as_json: AsJson = False,
) -> None:
    """Say what a run downloads, stores and takes; refuse one that would fill the disk."""
    chosen = settings(params)
    from patchlens.plan import show
    from patchlens.plan.make import make

    found = make(chosen, Path("dvc.yaml"))
    text = json.dumps(show.as_json(found), indent=1) if as_json else show.show(found, str(params))
    typer.echo(text)
    found.check_disk(params)


@command
def compare(
    before: Annotated[Path, typer.Argument(help="A folder of metrics: the reference.")],
    after: Annotated[Path, typer.Argument(help="A folder of metrics: the reproduction.")],
    tolerance: Annotated[float | None, typer.Option(help="Largest allowed difference.")] = None,
) -> None:
    """Compare two folders of metrics; exit code 1 if they differ by more than is allowed."""
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
    from patchlens.stages import tables

    tables.remove_orphans(list(s.models), s.cells())
