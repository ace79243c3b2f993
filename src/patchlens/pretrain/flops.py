"""Floating-point operations of training, counted rather than estimated."""

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from minicity.spec import CLASSES
from patchlens.pretrain.objectives import create
from patchlens.pretrain.objectives.base import Batch, Objective
from patchlens.pretrain.objectives.ibot import Ibot
from patchlens.pretrain.settings import Recipe

WINDOWS = 8  # of the counted batch
SEED = 0  # of pixels and masks; no count depends on it


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
