"""The commands for a workspace as a whole: reproduce it, and say what is wrong with it."""

import sys
from pathlib import Path
from typing import Annotated, Literal

import typer

from patchlens.cli.application import BY_HAND, app, command, guarded
from patchlens.errors import PatchlensError, SettingsError

MODELS = "dinov2_vits14,dino_vits16,mae_vitb16"  # that `try` compares by default


@command
def repro(
    targets: Annotated[
        list[str] | None,
        typer.Argument(
            help="Stages such as segmentation@dino-minicity, or segmentation for all of its cells; "
            "they run with all that they need. By default, all stages."
        ),
    ] = None,
    jobs: Annotated[
        int, typer.Option("-j", "--jobs", min=1, help="How many stages run at once, on each host.")
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
    engine: Annotated[
        Literal["local", "ray"],
        typer.Option(
            help="Who runs the stages: this machine, or the Ray cluster at RAY_ADDRESS, by default "
            "one of this machine. See docs/cluster.md."
        ),
    ] = "local",
) -> None:
    """Bring all results up to date; after Ctrl-C, a kill or a power cut, go on where it was."""
    from patchlens.own import create
    from patchlens.pipeline import repro

    create.check()
    repro.run(targets or [], jobs, force, drop_features, engine)


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


@command
def init(
    folder: Annotated[
        Path | None, typer.Argument(metavar="DIR", help="The new folder.", show_default=False)
    ] = None,
    subdir: Annotated[
        bool, typer.Option("--subdir", help="Make it a part of the Git repository around it.")
    ] = False,
    upgrade: Annotated[
        bool, typer.Option("--upgrade", help="Bring an existing workspace to this version.")
    ] = False,
) -> None:
    """Make a workspace: a folder with settings, in which the pipeline of this package runs."""
    from patchlens.own import create

    if upgrade:
        here = folder or Path()
        done = "is now that of this version" if create.upgrade(here) else "is that of this version"
        typer.echo(f"{here / create.GRAPH}: {done}")
        return
    if folder is None:
        raise PatchlensError("init: the folder is missing; run `patchlens init DIR`")
    create.make(folder, subdir=ask_subdir(folder, subdir))
    typer.echo(
        f"{folder}: a workspace with rendered images and two small models.\n"
        f"Next: edit {folder}/params.yaml, or at once `cd {folder} && patchlens repro`. "
        "For your own images, `patchlens try PHOTOS`."
    )


def ask_subdir(folder: Path, given: bool) -> bool:
    """Whether a new folder becomes part of the Git repository around it; asks where one can."""
    from patchlens.own import create

    around = None if given else create.repository_around(folder)
    if around and sys.stdin.isatty():
        return typer.confirm(
            f"{folder} is inside the Git repository {around}. Make it a part of that?", abort=True
        )
    return given


@app.command("try", rich_help_panel=BY_HAND)
@guarded
def attempt(
    photos: Annotated[
        Path,
        typer.Argument(
            metavar="PHOTOS", help="A folder of photographs, a video, or an archive of either."
        ),
    ],
    masks: Annotated[
        Path | None, typer.Option(help="A folder of class masks, or its archive.")
    ] = None,
    annotations: Annotated[
        Path | None,
        typer.Option(help="A file, folder or archive of annotations: COCO, LabelMe, CVAT, VOC, …"),
    ] = None,
    models: Annotated[
        str,
        typer.Option(
            help="Comma-separated: names that `patchlens models` lists, weight files, "
            "own.py:function, untrained, pixels."
        ),
    ] = MODELS,
    out: Annotated[
        Path | None, typer.Option(help="The workspace; by default patchlens-<name of PHOTOS>.")
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Run without asking.")] = False,
    trust_code: Annotated[
        bool, typer.Option("--trust-code", help="Run the code of own.py without asking.")
    ] = False,
    patch_size: Annotated[
        int, typer.Option(min=1, max=256, help="Of a model of own code, in pixels.")
    ] = 16,
    every: Annotated[int, typer.Option(min=1, help="Of videos, take every n-th frame.")] = 1,
    frames: Annotated[
        bool, typer.Option("--frames", help="Each folder of pictures is a video.")
    ] = False,
    subdir: Annotated[
        bool, typer.Option("--subdir", help="Make OUT a part of the Git repository around it.")
    ] = False,
) -> None:
    """Answer which model is best on your photographs; the same command again continues."""
    from patchlens.own import answer
    from patchlens.own import attempt as own

    if masks is not None and annotations is not None:
        raise SettingsError("--masks and --annotations are both labels: give one")
    labels = masks or annotations
    folder = out or Path(f"patchlens-{photos.resolve().name.partition('.')[0]}")

    def approve(path: Path) -> bool:
        question = f"{path}: its code will run on this machine. Have you read it?"
        return trust_code or (sys.stdin.isatty() and typer.confirm(question))

    def go_on(plan: str) -> bool:
        typer.echo(plan)
        if not yes and not sys.stdin.isatty():
            raise PatchlensError("give --yes to run this without being asked")
        return yes or typer.confirm("Run?", default=True)

    known = None if labels is None else str(labels.resolve())
    asked = own.Asked(str(photos.resolve()), known, models, patch_size, every, frames)
    inside = ask_subdir(folder, subdir) if not folder.exists() else subdir
    for line in own.begin(folder, asked, subdir=inside, approve=approve):
        typer.echo(line)
    if own.run(folder, go_on=go_on):
        typer.echo(answer.text())
    else:
        typer.echo(f"Not run: `cd {folder} && patchlens repro`, or the same command again.")
