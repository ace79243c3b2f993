"""The commands for a workspace as a whole: reproduce it, and say what is wrong with it."""

from typing import Annotated

import typer

from patchlens.cli.application import command


@command
def repro(
    targets: Annotated[
        list[str] | None,
        typer.Argument(
            help="Stages such as segmentation@dino-minicity, or segmentation for all of its cells; "
            "they run with all that they need, one at a time. By default, all stages."
        ),
    ] = None,
    jobs: Annotated[
        int, typer.Option("-j", "--jobs", min=1, help="How many DVC processes work at once.")
    ] = 2,
    force: Annotated[
        bool, typer.Option("--force", help="Execute every stage, whether or not it changed.")
    ] = False,
    drop_features: Annotated[
        bool,
        typer.Option(
            "--drop-features",
            help="Delete the features of a model after its tasks: they need most of the disk. What "
            "changes later extracts them again.",
        ),
    ] = False,
) -> None:
    """Bring all results up to date; after Ctrl-C, a kill or a power cut, go on where it was."""
    from patchlens.pipeline import repro

    repro.run(targets or [], jobs, force, drop_features)


@command
def doctor() -> None:
    """Say what is wrong with this workspace and what to do; exit code 1 if anything is.

    It looks at settings, DVC's files and cache, partial work, disk, packages, GPU and threads, and
    changes nothing.
    """
    from patchlens.pipeline import doctor

    findings = doctor.examine()
    typer.echo(doctor.show(findings))
    if any(finding.wrong for finding in findings):
        raise typer.Exit(1)
