"""The Typer application, and the parts that its commands share."""

import functools
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn, TypeAlias

import typer

from patchlens import paths, progress
from patchlens.errors import PatchlensError, of_machine
from patchlens.names import DatasetName, ModelName
from patchlens.pipeline.locks import held
from patchlens.processes import Interrupted, end_with_dvc, interruptible
from patchlens.settings.load import Settings, load
from patchlens.tasks.known import known

BY_HAND = "Interactive commands"
app = typer.Typer(
    help="How good are the frozen patch features of vision backbones?",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
catalogue = typer.Typer(help="The kinds of datasets, and checks of an indexed dataset.")
app.add_typer(catalogue, name="datasets", rich_help_panel=BY_HAND)
registry = typer.Typer(help="The models of the registry, and the details of each.")
app.add_typer(registry, name="models", rich_help_panel=BY_HAND)
pictures = typer.Typer(help="Pictures of the results of a model, written to reports/.")
app.add_typer(pictures, name="show", rich_help_panel=BY_HAND)
DVC_NOTE = (
    "DVC removes the outputs of a stage before it runs: run `git checkout metrics` to restore the "
    "committed metrics."
)
WRITTEN = (Path("data"), Path("metrics"), Path("reports"), paths.WORK)  # each may be a disk
LEAST = 8_000_000  # bytes: what any stage may write to one of them without further checks
AsJson = Annotated[bool, typer.Option("--json", help="Print as JSON.")]
if TYPE_CHECKING:
    from patchlens.features.cell import Cell

    DatasetArgument: TypeAlias = DatasetName
    ModelArgument: TypeAlias = ModelName
    OfModel: TypeAlias = ModelName
else:  # a string when it runs, which help then shows as <str>
    HELP = "A name in params.yaml."
    DatasetArgument = Annotated[str, typer.Argument(metavar="DATASET", help=HELP)]
    ModelArgument = Annotated[str, typer.Argument(metavar="MODEL", help=HELP)]
    OfModel = Annotated[str, typer.Option("--model", metavar="MODEL", help=HELP)]


@app.callback()
def main(
    quiet: Annotated[
        bool, typer.Option("-q", "--quiet", help="Show warnings and errors only.")
    ] = False,
) -> None:
    """How good are the frozen patch features of vision backbones?"""
    progress.set_up(quiet)


def guarded(function: Callable[..., None]) -> Callable[..., None]:
    """A command that reports errors of the user, and signals, in one message and an exit code."""

    @functools.wraps(function)
    def run(*args: Any, **kwargs: Any) -> None:
        try:
            with interruptible():
                if "DVC_STAGE" in os.environ:
                    end_with_dvc()
                function(*args, **kwargs)
                sys.stdout.flush()  # the disk below it may be full
        except Interrupted as stop:
            stop.say()
            sys.exit(stop.exit_code)
        except PatchlensError as error:
            _end(error)
        except (typer.Exit, typer.Abort, BrokenPipeError):
            raise  # typer has an answer to these
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException as error:  # a panic of Rust is no Exception
            found: PatchlensError | None
            found = of_machine(error, " ".join(["patchlens", *sys.argv[1:3]]))
            if found is None:
                from patchlens.stored import blame

                found = blame(error)
            if found is None:  # a mistake of ours, which a traceback helps to find
                raise
            _end(found)

    return run


def _end(error: PatchlensError) -> NoReturn:
    typer.echo(f"{progress.clean()}Error: {error}", err=True)
    if "DVC_STAGE" in os.environ:
        typer.echo(DVC_NOTE, err=True)
    try:
        sys.stdout.flush()
    except OSError:  # which Python would print when it flushes it once more
        sys.stdout = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115
    sys.exit(error.exit_code)


def stage(
    name: str | None = None, *, help: str | None = None
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Register the command of a stage, by default under its function's name and docstring."""
    register = app.command(name, help=help, rich_help_panel="Stages that dvc repro runs")
    return lambda function: register(guarded(alone(function, name)))


def alone(function: Callable[..., None], name: str | None = None) -> Callable[..., None]:
    """A command that runs once at a time in a workspace with the same arguments."""

    @functools.wraps(function)
    def run(**kwargs: Any) -> None:
        given = [str(value) for value in kwargs.values() if value is not None]
        from patchlens.files import check_space

        with held(" ".join(["patchlens", name or function.__name__, *given])):
            check_space("any results", [(place, LEAST) for place in WRITTEN])
            function(**kwargs)

    return run


def command(function: Callable[..., None]) -> Callable[..., None]:
    """Register an interactive command under the name of its function."""
    return app.command(rich_help_panel=BY_HAND)(guarded(function))


def settings(path: Path = paths.PARAMS) -> Settings:
    """The validated settings of the working folder, or those of another file."""
    return load(path, known())


def cell_of(dataset: DatasetArgument, model: ModelArgument) -> "Cell":
    """A cell of the working folder, whose dataset and model exist."""
    chosen = settings()
    chosen.cell(dataset=dataset, model=model)
    from patchlens.features.cell import Cell

    return Cell(dataset=dataset, model=model, settings=chosen)
