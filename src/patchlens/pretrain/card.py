"""The model card: what a committed model was made from, as JSON."""

from typing import Any

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from minicity.spec import CLASSES
from patchlens.pretrain.model import ARCH, arch_args, build
from patchlens.pretrain.objectives import RANDOM, create
from patchlens.pretrain.objectives.base import Batch, Objective
from patchlens.pretrain.objectives.ibot import Ibot
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
WINDOWS = 8  # of the counted batch
SEED = 0  # of pixels and masks; no count depends on it


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


def training_flops(recipe: Recipe) -> float:
    """Expected FLOPs per window: its views, forward and backward, with teacher and heads.

    torch's counter counts matrix products and convolutions; a multiply-add counts as two. Norms,
    softmax, augmentation and the optimizer are not counted. It runs on one small batch on the CPU
    with a fresh model, so that no run is affected.

    iBOT masks a random number of patches, and the cost of its heads is linear in that number: the
    mean over its masks is interpolated from two counts.
    """
    objective = create(recipe)
    if not isinstance(objective, Ibot):
        return _counted(objective, _batch(objective))
    side, mean = objective.pool.shape[-1], objective.hidden(WINDOWS)
    points = []
    for masked in (1, side**2):
        objective.pool = torch.arange(side**2).view(1, side, side) < masked
        batch = _batch(objective)
        points.append((int(batch["mask"].sum()), _counted(objective, batch)))
    (few, low), (many, high) = points
    return low + (high - low) * (mean - few) / (many - few)


def _counted(objective: Objective, batch: Batch) -> float:
    """FLOPs per window of one batch."""
    counter = FlopCounterMode(display=False)
    # The counter has no formula for the CPU's fused attention: the plain one has the same products.
    with sdpa_kernel(SDPBackend.MATH), counter:
        loss, _ = objective.loss(batch)
        loss.backward()  # type: ignore[no-untyped-call]
    return counter.get_total_flops() / WINDOWS


def _batch(objective: Objective) -> Batch:
    """Views of noise, with random classes for an objective that needs labels."""
    generator = torch.Generator().manual_seed(SEED)
    window = objective.recipe.shared.augment.window
    size = (WINDOWS, 1, window, window)
    channels = [torch.randint(256, size, generator=generator) for _ in range(3)]
    if objective.labels:
        channels.append(torch.randint(len(CLASSES), size, generator=generator))
    return objective.views(torch.cat(channels, dim=1).to(torch.uint8), generator)
