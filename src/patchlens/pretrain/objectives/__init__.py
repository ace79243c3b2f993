"""The objectives by name; each is imported only where it is trained."""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from patchlens.pretrain.objectives.base import Objective
    from patchlens.pretrain.settings import Recipe

OBJECTIVES = {
    "dino": "Dino",
    "mae": "Mae",
    "ibot": "Ibot",
    "simmim": "Simmim",
    "supervised": "Supervised",
}
RANDOM = "random"  # no objective: the untrained model from which all of them start


def create(recipe: "Recipe") -> "Objective":
    """The untrained objective of a recipe, on the CPU; the seed decides every weight."""
    import torch

    from patchlens.pretrain.model import build

    module = import_module(f"patchlens.pretrain.objectives.{recipe.objective}")
    kind: type[Objective] = getattr(module, OBJECTIVES[recipe.objective])
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(recipe.seed)
        return kind(build(recipe.shared, recipe.seed), recipe)
