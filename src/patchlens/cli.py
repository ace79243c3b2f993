"""The command line: a command for each DVC stage, and those that are asked for by hand."""

import functools
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from patchlens import paths, progress
from patchlens.errors import PatchlensError
from patchlens.settings.load import Settings, load
from patchlens.settings.models import role

app = typer.Typer(
    help="How good are the frozen patch features of Vision Transformers?",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
catalogue = typer.Typer(help="The kinds of datasets, and what an indexed one holds.")
app.add_typer(catalogue, name="datasets")
registry = typer.Typer(help="The models of the registry, and all that is known of one.")
app.add_typer(registry, name="models")
pictures = typer.Typer(help="Pictures of what a model finds, written to reports/.")
app.add_typer(pictures, name="show")
DVC_NOTE = (
    "DVC removes the outputs of a stage before it runs: `git checkout metrics` brings the "
    "committed numbers back."
)
DatasetName = Annotated[str, typer.Argument(metavar="DATASET", help="A name in params.yaml.")]
AsJson = Annotated[bool, typer.Option("--json", help="As JSON.")]
ModelName = Annotated[str, typer.Argument(metavar="MODEL", help="A name in params.yaml.")]
OfModel = Annotated[str, typer.Option("--model", metavar="MODEL", help="A name in params.yaml.")]


@app.callback()
def main(
    quiet: Annotated[bool, typer.Option("-q", "--quiet", help="Warnings and errors only.")] = False,
) -> None:
    """How good are the frozen patch features of Vision Transformers?"""
    progress.set_up(quiet)


def guarded(command: Callable[..., None]) -> Callable[..., None]:
    """A command whose mendable errors are one message and an exit code."""

    @functools.wraps(command)
    def run(*args: Any, **kwargs: Any) -> None:
        try:
            command(*args, **kwargs)
        except PatchlensError as error:
            typer.echo(f"Error: {error}", err=True)
            if "DVC_STAGE" in os.environ:
                typer.echo(DVC_NOTE, err=True)
            sys.exit(error.exit_code)

    return run


def stage(command: Callable[..., None]) -> Callable[..., None]:
    """Register a command of a stage."""
    return app.command()(guarded(command))


def settings() -> Settings:
    """The validated settings of the folder that the command runs in."""
    return load(paths.PARAMS)


@stage
def code() -> None:
    """List the package files that each stage uses, so that DVC sees a change of one."""
    from patchlens.stages import code

    code.run()


@stage
def render(dataset: DatasetName) -> None:
    """Render a dataset that the pipeline makes."""
    chosen = settings().made(dataset)
    from patchlens.stages import render

    render.run(dataset, chosen)


@stage
def fetch(dataset: DatasetName) -> None:
    """Download a dataset, or unpack the archives that you downloaded."""
    chosen = settings().downloaded(dataset)
    from patchlens.stages import fetch

    fetch.run(dataset, chosen)


@stage
def manifest(dataset: DatasetName) -> None:
    """List the files of a dataset that you placed."""
    root = settings().placed(dataset).root
    assert root is not None
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
    chosen = s.cell(model, dataset)
    from patchlens.stages import extract

    extract.run(dataset, model, chosen, s.features, s.device)


@stage
def prune(model: ModelName, dataset: DatasetName) -> None:
    """Rank the feature dimensions by variance, once a support seed."""
    s = settings()
    s.cell(model, dataset)
    from patchlens.stages import prune

    prune.run(dataset, model, s.prune.fit_on, s.segmentation.shots)


@stage
def variance(model: ModelName, dataset: DatasetName) -> None:
    """Study how the variance spreads over the dimensions and what the top ones encode."""
    s = settings()
    chosen = s.cell(model, dataset)
    from patchlens.stages import variance

    variance.run(dataset, model, chosen, s.prune.m, s.segmentation.shots)


@stage
def segmentation(model: ModelName, dataset: DatasetName) -> None:
    """Evaluate few-shot semantic segmentation (T1)."""
    s = settings()
    chosen = s.cell(model, dataset)
    from patchlens.stages import segmentation

    segmentation.run(dataset, model, chosen, s.prune, s.segmentation, s.uncertainty, s.device)


@stage
def sweep(model: ModelName, dataset: DatasetName) -> None:
    """Score every m of prune.choices beside the rivals of pruning."""
    s = settings()
    chosen = s.cell(model, dataset)
    from patchlens.stages import sweep

    sweep.run(dataset, model, chosen, s.prune, s.segmentation, s.sweep, s.device)


@stage
def degrade(model: ModelName, dataset: DatasetName) -> None:
    """Extract the patch features of degraded copies of query images."""
    s = settings()
    chosen = s.cell(model, dataset)
    from patchlens.stages import degrade

    degrade.run(dataset, model, chosen, s.features, s.identification, s.device)


@stage
def identification(model: ModelName, dataset: DatasetName) -> None:
    """Evaluate instance identification under degradations (T2)."""
    s = settings()
    chosen, variants = s.cell(model, dataset), s.segmentation.variants
    from patchlens.stages import identification

    identification.run(
        dataset, model, chosen, variants, s.prune, s.identification, s.uncertainty, s.device
    )


@stage
def retrieval(model: ModelName, dataset: DatasetName) -> None:
    """Evaluate object retrieval (T3)."""
    s = settings()
    chosen, variants = s.cell(model, dataset), s.segmentation.variants
    from patchlens.stages import retrieval

    retrieval.run(dataset, model, chosen, variants, s.prune, s.retrieval, s.uncertainty)


@stage
def tracking(model: ModelName, dataset: DatasetName) -> None:
    """Evaluate association, linking and label propagation (T4)."""
    s = settings()
    chosen, variants = s.cell(model, dataset), s.segmentation.variants
    from patchlens.stages import tracking

    tracking.run(dataset, model, chosen, variants, s.prune, s.tracking, s.uncertainty, s.device)


@stage
def tables() -> None:
    """Aggregate all configured cells into tables."""
    s = settings()
    from patchlens.stages import tables

    tables.run(
        {n: role(m) for n, m in s.models.items()},
        s.cells(),
        s.segmentation.variants,
        s.uncertainty,
        s.prune.m,
    )


@stage
def figures() -> None:
    """Draw an example of T2, T3 and T4 on a dataset that the pipeline makes."""
    s = settings()
    from patchlens.stages import figures

    figures.run(s.models, s.datasets, s.identification, s.retrieval, s.tracking, s.device)


@stage
def explorer() -> None:
    """Precompute what the report's pages look into, on datasets that the pipeline makes."""
    s = settings()
    from patchlens.stages import explorer

    explorer.run(
        list(s.models),
        s.datasets,
        s.prune,
        s.segmentation,
        s.identification,
        s.retrieval,
        s.tracking,
        s.device,
    )


@stage
def report(
    compare: Annotated[
        str | None,
        typer.Option(metavar="REV", help="Only show what changed since REV, or between REV..REV."),
    ] = None,
) -> None:
    """Write the report site; with --compare, the page of what changed since a Git revision."""
    if compare is not None:
        from patchlens.stages import report_compare

        return report_compare.run(compare)
    s = settings()
    from patchlens.stages import report

    report.run(s)


@stage
def serve(
    port: Annotated[int, typer.Option(min=0, max=65535, help="0: any that is free.")] = 8000,
    folder: Annotated[Path, typer.Option(help="The site.")] = paths.SITE,
) -> None:
    """Show the report site on this machine's loopback, until Ctrl-C."""
    from patchlens.site import serve

    serve.run(folder, port, typer.echo)


@stage
def claims() -> None:
    """Judge every finding in claims.yaml."""
    s = settings()
    from patchlens.report.configured import Configured
    from patchlens.settings.claims import load as load_claims
    from patchlens.stages import claims

    kinds = {name: dataset.kind for name, dataset in s.datasets.items()}
    claims.run(
        load_claims(paths.CLAIMS),
        Configured(list(s.models), s.cells(), kinds),
        s.uncertainty.claim_resamples,
        s.uncertainty.seed,
    )


@stage
def results() -> None:
    """Write one page on what all models and tasks gave."""
    s = settings()
    from patchlens.stages import results

    results.run(list(s.models), s.segmentation.datasets, s.sweep.datasets)


@stage
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


@stage
def clean_metrics() -> None:
    """Remove metrics of models and datasets that params.yaml no longer lists."""
    s = settings()
    from patchlens.stages import tables

    tables.remove_orphans(list(s.models), s.cells())


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


@catalogue.callback(invoke_without_command=True)
@guarded
def datasets(context: typer.Context, as_json: AsJson = False) -> None:
    """List the kinds of datasets, how they are had, and which params.yaml uses."""
    if context.invoked_subcommand is not None:
        return
    from patchlens.datasets import check
    from patchlens.datasets.kinds import CARDS

    configured: dict[str, list[str]] = {}
    if paths.PARAMS.is_file():
        for name, dataset in settings().datasets.items():
            configured.setdefault(dataset.kind, []).append(name)
    entries = check.listing(CARDS.values(), configured)
    typer.echo(json.dumps(entries, indent=1) if as_json else check.show_listing(entries))


@catalogue.command("check")
@guarded
def check_dataset(dataset: DatasetName, as_json: AsJson = False) -> None:
    """Count what an indexed dataset holds, compare with the published numbers, draw a sheet."""
    chosen = settings().dataset(dataset)
    from patchlens.datasets import check

    content = check.run(dataset, chosen)
    typer.echo(json.dumps(content, indent=1) if as_json else check.show_report(content))


@registry.callback(invoke_without_command=True)
@guarded
def models(context: typer.Context, as_json: AsJson = False) -> None:
    """List the models of the registry, and which params.yaml uses."""
    if context.invoked_subcommand is not None:
        return
    from patchlens.backbones.registry import show
    from patchlens.backbones.registry.read import entries

    configured: dict[str, list[str]] = {}
    if paths.PARAMS.is_file():
        for slot, model in settings().models.items():
            if model.source == "registry":
                configured.setdefault(model.model, []).append(slot)
    if as_json:
        typer.echo(json.dumps(show.listing(entries(), configured), indent=1))
    else:
        typer.echo(show.show_listing(entries(), configured))


@registry.command("show")
@guarded
def show_model(
    name: Annotated[str, typer.Argument(metavar="NAME", help="A name in the registry.")],
    as_json: AsJson = False,
) -> None:
    """Print one model: what it is, its licence, what will be downloaded."""
    from patchlens.backbones.registry import show
    from patchlens.backbones.registry.read import find

    entry = find(name, "patchlens models show")
    shown = json.dumps({"name": name, **entry.model_dump()}, indent=1)
    typer.echo(shown if as_json else show.show(name, entry))


@stage
def plan(
    params: Annotated[Path, typer.Option(help="The settings, such as presets/paper.yaml.")] = (
        paths.PARAMS
    ),
    as_json: AsJson = False,
) -> None:
    """Say what a run downloads, stores and takes; refuse one that would fill the disk."""
    chosen = load(params)
    from patchlens.plan import show
    from patchlens.plan.make import make

    found = make(chosen, Path("dvc.yaml"))
    text = json.dumps(show.as_json(found), indent=1) if as_json else show.show(found, str(params))
    typer.echo(text)
    found.check_disk(params)


@stage
def pretrain(
    objective: Annotated[
        str, typer.Argument(help="dino, mae, ibot, simmim or supervised: a recipe of pretrain/.")
    ],
    size: Annotated[str | None, typer.Option(help="cpu or gpu; a result of its own.")] = None,
    seed: Annotated[int | None, typer.Option(help="Another seed; a result of its own.")] = None,
    seconds: Annotated[
        float | None, typer.Option(help="Only time so many seconds, and keep nothing.")
    ] = None,
) -> None:
    """Pre-train a mini model with an objective, on frames that no evaluation uses."""
    from patchlens.pretrain.errors import check_extra
    from patchlens.pretrain.settings import load as load_recipes

    recipe = load_recipes().recipe(objective, size, seed)
    check_extra()
    from patchlens.pretrain import run

    if seconds is not None:
        typer.echo(run.timing(recipe, seconds))
    else:
        run.run(recipe, run.result(objective, size, seed))


@stage
def promote(
    objective: Annotated[
        str, typer.Argument(help="A finished run of `patchlens pretrain`, or random.")
    ],
    seed: Annotated[int | None, typer.Option(help="Of a run with another seed.")] = None,
) -> None:
    """Copy a pre-trained model and its card to weights/, for Git."""
    from patchlens.pretrain.errors import check_extra
    from patchlens.pretrain.settings import load as load_recipes

    recipes = load_recipes()
    check_extra()
    from patchlens.pretrain import promote

    typer.echo(promote.run(objective, recipes, seed))


@stage
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
