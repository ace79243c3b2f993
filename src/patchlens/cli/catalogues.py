"""Commands that list datasets and models."""

import json
from typing import Annotated

import typer

from patchlens import paths
from patchlens.cli.application import (
    AsJson,
    DatasetArgument,
    ModelArgument,
    catalogue,
    guarded,
    registry,
    settings,
)
from patchlens.errors import SourceError


@catalogue.callback(invoke_without_command=True)
@guarded
def datasets(context: typer.Context, as_json: AsJson = False) -> None:
    """List the kinds of datasets, how to obtain them, and which of them params.yaml uses."""
    if context.invoked_subcommand is not None:
        return
    from patchlens.datasets import check
    from patchlens.datasets.catalogue import entries as known

    configured: dict[str, list[str]] = {}
    if paths.PARAMS.is_file():
        for name, dataset in settings().datasets.items():
            configured.setdefault(dataset.kind, []).append(name)
    entries = check.listing(known(), configured)
    typer.echo(json.dumps(entries, indent=1) if as_json else check.show_listing(entries))


@catalogue.command("check")
@guarded
def check_dataset(
    dataset: DatasetArgument,
    as_json: AsJson = False,
    twins: Annotated[
        bool, typer.Option("--twins", help="Also look for re-encoded copies in support and query.")
    ] = False,
) -> None:
    """Count the contents of an indexed dataset, compare with published numbers, draw a sheet."""
    chosen = settings().dataset(dataset)
    from patchlens.datasets import check

    content = check.run(dataset, chosen, twins=twins)
    typer.echo(json.dumps(content, indent=1) if as_json else check.show_report(content))


@registry.callback(invoke_without_command=True)
@guarded
def models(context: typer.Context, as_json: AsJson = False) -> None:
    """List the models of the registry, and which ones params.yaml uses."""
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


@registry.command("check")
@guarded
def check_model(name: ModelArgument, as_json: AsJson = False) -> None:
    """Examine a model of params.yaml on small images; exit code 1 if anything is wrong.

    For `source: python` this runs its code; for others, the stage weights must have run.
    """
    chosen = settings()
    model = chosen.model(name)
    path = paths.weights(name)
    if model.source != "python" and not path.is_file():
        raise SourceError(f"{path}: no such file; run `dvc repro weights@{name}` first")
    from patchlens.backbones.conformance import examine
    from patchlens.backbones.load import load, open_own

    layer = chosen.features.layer
    opened = open_own(model, name) if model.source == "python" else load(path, layer=layer)
    findings = examine(opened, chosen.features.norm)
    shown = [vars(finding) for finding in findings]
    typer.echo(json.dumps(shown, indent=1) if as_json else "\n".join(map(str, findings)))
    if any(finding.fault for finding in findings):
        raise typer.Exit(1)


@registry.command("show")
@guarded
def show_model(
    name: Annotated[str, typer.Argument(metavar="NAME", help="A name in the registry.")],
    as_json: AsJson = False,
) -> None:
    """Print one model: its description, its licence and its download."""
    from patchlens.backbones.registry import show
    from patchlens.backbones.registry.read import find

    entry = find(name, "patchlens models show")
    shown = json.dumps({"name": name, **entry.model_dump()}, indent=1)
    typer.echo(shown if as_json else show.show(name, entry))
