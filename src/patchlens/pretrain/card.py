"""The model card: what a committed model was made from, as JSON."""

from typing import Any

from patchlens.pretrain.flops import training_flops
from patchlens.pretrain.model import ARCH, arch_args, build
from patchlens.pretrain.objectives import RANDOM
from patchlens.pretrain.settings import Recipe
from patchlens.pretrain.shared import Shared

# Fields of a result: first the counts, which are 0 for the untrained model.
KEPT = (
    "steps",
    "images",
    "crops",
    "teacher_forwards",
    "visible_tokens",
    "seconds",
    "commit",
    "device",
    "precision",
    "deterministic",
    "probe",
    "versions",
)
COUNTS = 6
# Fields of a tried run: enough to repeat it and to see why another one was chosen.
TRIED = (
    "size",
    "seed",
    "recipe",
    "commit",
    "dirty",
    "finished",
    "stopped",
    "steps",
    "crops",
    "seconds",
    "device",
    "loss",
    "probe",
)


def card_of(result: dict[str, Any], recipe: Recipe, tried: list[dict[str, Any]]) -> dict[str, Any]:
    """The card of a finished run.

    Args:
        result: its `result.json`.
        recipe: its recipe.
        tried: the results of all runs of the objective, including this one.

    Returns:
        Counts are totals of the run: `images` (windows of frames), `crops` seen by the student,
        `teacher_forwards` (crops seen by the teacher), `visible_tokens` (unmasked patches seen by
        the student) and `flops` of training. `probe` is patch mIoU by step; step 0 is untrained.
    """
    made = {key: result[key] for key in KEPT}
    return (
        _architecture(recipe.shared, recipe.seed)
        | made
        | {
            "objective": recipe.objective,
            "size": recipe.size,
            "seed": recipe.seed,
            "recipe": recipe.model_dump(mode="json"),
            "flops": training_flops(recipe) * result["images"],
            "final_losses": result["loss"],
            "tried": [{key: run[key] for key in TRIED if key in run} for run in tried],
        }
    )


def card_of_random(shared: Shared, size: str, seed: int) -> dict[str, Any]:
    """The card of the untrained ViT from which every objective of this size and seed starts."""
    return (
        _architecture(shared, seed)
        | dict.fromkeys(KEPT[:COUNTS], 0)
        | {
            "objective": RANDOM,
            "size": size,
            "seed": seed,
            "commit": "",
            "device": "none",
            "flops": 0,
            "final_losses": {},
            "probe": {},
            "tried": [],
        }
    )


def _architecture(shared: Shared, seed: int) -> dict[str, Any]:
    model = build(shared, seed)
    return {
        "arch": ARCH,
        "arch_args": arch_args(shared),
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
    }
