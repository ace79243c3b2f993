"""The commands for pre-training."""

from typing import Annotated

import typer

from patchlens.cli.application import alone, command


@command
@alone
def pretrain(
    objective: Annotated[
        str, typer.Argument(help="A recipe of pretrain/: dino, mae, ibot, simmim or supervised.")
    ],
    size: Annotated[
        str | None, typer.Option(help="cpu or gpu; saved as a separate result.")
    ] = None,
    seed: Annotated[
        int | None, typer.Option(help="Another seed; saved as a separate result.")
    ] = None,
    seconds: Annotated[
        float | None, typer.Option(help="Only measure the speed for so many seconds; save nothing.")
    ] = None,
) -> None:
    """Pre-train a mini model with an objective, on frames that are not used for evaluation."""
    from patchlens.pretrain.settings import check_extra
    from patchlens.pretrain.settings import load as load_recipes

    recipe = load_recipes().recipe(objective, size, seed)
    check_extra()
    from patchlens.pretrain import run

    if seconds is not None:
        typer.echo(run.timing(recipe, seconds))
    else:
        run.run(recipe, run.result(objective, size, seed))


@command
@alone
def promote(
    objective: Annotated[
        str, typer.Argument(help="A finished run of `patchlens pretrain`, or random.")
    ],
    seed: Annotated[
        int | None, typer.Option(help="The seed of the run, if not the default.")
    ] = None,
) -> None:
    """Copy a pre-trained model and its card to weights/, to be committed."""
    from patchlens.pretrain.settings import check_extra
    from patchlens.pretrain.settings import load as load_recipes

    recipes = load_recipes()
    check_extra()
    from patchlens.pretrain import promote

    typer.echo(promote.run(objective, recipes, seed))
