"""Floating-point operations of training, counted and not estimated."""

import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from patchlens.datasets.minicity.spec import CLASSES
from patchlens.pretrain.objectives import create
from patchlens.pretrain.settings import Recipe

WINDOWS = 8  # of the counted batch
SEED = 0  # of pixels and masks: only how many tokens iBOT masks depends on it


def training_flops(recipe: Recipe) -> float:
    """FLOPs a window of a frame: its views, forward and backward, with teacher and heads.

    torch's counter: matrix products and convolutions, a multiplication and an addition are two.
    Norms, softmax, augmentation and the optimizer are not counted. Counted on one small batch on
    the CPU, on a fresh model: no run is touched.
    """
    objective = create(recipe)
    generator = torch.Generator().manual_seed(SEED)
    windows = _windows(recipe, generator, labels=objective.labels)
    counter = FlopCounterMode(display=False)
    batch = objective.views(windows, generator)
    # The counter has no formula for the CPU's fused attention: the plain one has the same products.
    with sdpa_kernel(SDPBackend.MATH), counter:
        loss, _ = objective.loss(batch, 0.0)
        loss.backward()  # type: ignore[no-untyped-call]
    return counter.get_total_flops() / WINDOWS


def _windows(recipe: Recipe, generator: torch.Generator, *, labels: bool) -> Tensor:
    """Noise, uint8 [n, 3, H, W], with random classes as fourth channel if `labels`."""
    size = (WINDOWS, 1, recipe.shared.augment.window, recipe.shared.augment.window)
    channels = [torch.randint(256, size, generator=generator) for _ in range(3)]
    if labels:
        channels.append(torch.randint(len(CLASSES), size, generator=generator))
    return torch.cat(channels, dim=1).to(torch.uint8)
