"""The Typer application, and what its commands share."""

import functools
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from patchlens import paths, progress
from patchlens.datasets.catalogue import kinds
from patchlens.errors import PatchlensError
from patchlens.settings.load import Settings, load

BY_HAND = "By hand"
app = typer.Typer(
    help="How good are the frozen patch features of Vision Transformers?",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
catalogue = typer.Typer(help="The kinds of datasets, and what an indexed one holds.")
app.add_typer(catalogue, name="datasets", rich_help_panel=BY_HAND)
registry = typer.Typer(help="The models of the registry, and all that is known of one.")
app.add_typer(registry, name="models", rich_help_panel=BY_HAND)
pictures = typer.Typer(help="Pictures of what a model finds, written to reports/.")
app.add_typer(pictures, name="show", rich_help_panel=BY_HAND)
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


def guarded(function: Callable[..., None]) -> Callable[..., None]:
    """A command whose mendable errors are one message and an exit code."""

    @functools.wraps(function)
    def run(*args: Any, **kwargs: Any) -> None:
        try:
            function(*args, **kwargs)
        except PatchlensError as error:
            typer.echo(f"Error: {error}", err=True)
            if "DVC_STAGE" in os.environ:
                typer.echo(DVC_NOTE, err=True)
            sys.exit(error.exit_code)

    return run


def stage(function: Callable[..., None]) -> Callable[..., None]:
    """Register the command of a stage, under the name of its function."""
    return app.command(rich_help_panel="Stages: what dvc repro runs")(guarded(function))


def command(function: Callable[..., None]) -> Callable[..., None]:
    """Register a command that is asked for by hand, under the name of its function."""
    return app.command(rich_help_panel=BY_HAND)(guarded(function))


def settings(path: Path = paths.PARAMS) -> Settings:
    """The validated settings of the folder that the command runs in, or those of another file."""
    return load(path, kinds())
