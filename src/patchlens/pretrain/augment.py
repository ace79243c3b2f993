"""Views of a batch of windows, made on their device; every draw comes from a CPU generator.

lightly's transforms work image by image on the CPU and draw from global state; these work on the
whole batch on its device, and their generator can be saved in a checkpoint.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor

from patchlens.backbones.contract import IMAGENET_MEAN, IMAGENET_STD
from patchlens.pretrain.shared import Augment

ASPECT = (3 / 4, 4 / 3)
GREY = (0.299, 0.587, 0.114)


@contextmanager
def seeded(generator: torch.Generator) -> Iterator[None]:
    """Inside, draws from torch's global CPU generator come from `generator` instead."""
    seed = int(torch.randint(1 << 62, (1,), generator=generator))
    with torch.random.fork_rng(devices=[]):
        # Not torch.manual_seed: it would seed the GPUs too.
        torch.default_generator.manual_seed(seed)
        yield


def view(
    crops: Tensor,
    size: int,
    augment: Augment,
    scale: Sequence[float],
    generator: torch.Generator,
) -> tuple[Tensor, Tensor | None]:
    """One random crop of each window, flipped and coloured.

    Args:
        crops: windows, uint8 [n, 3, H, W], or [n, 4, H, W] with class ids as fourth channel.
        size: pixels per side of the result.
        augment: flip, jitter and grey.
        scale: least and largest share of the window's area.
        generator: on the CPU.

    Returns:
        Normalised pixels, float [n, 3, size, size], and the class of each pixel, uint8
        [n, size, size], where there is a fourth channel.
    """
    top, left, height, width = _boxes(len(crops), scale, generator)
    flipped = _draw(len(crops), generator) < augment.flip
    start = torch.where(flipped, left + width, left)
    step = torch.where(flipped, -width, width)
    rows = _centres(top, height, size) * crops.shape[-2]
    columns = _centres(start, step, size) * crops.shape[-1]
    device = crops.device
    rows, columns, height, width = (t.to(device) for t in (rows, columns, height, width))
    down = _weights(rows, height * crops.shape[-2] / size, crops.shape[-2])
    across = _weights(columns, width * crops.shape[-1] / size, crops.shape[-1])
    pixels = down[:, None] @ crops[:, :3].float() @ across[:, None].transpose(-1, -2)
    pixels = _colour(pixels, augment, generator)
    mean = torch.tensor(IMAGENET_MEAN, device=device).view(1, 3, 1, 1)
    std = torch.tensor(IMAGENET_STD, device=device).view(1, 3, 1, 1)
    pixels = (pixels / 255 - mean) / std
    if crops.shape[1] == 3:
        return pixels, None
    at = torch.arange(len(crops), device=device)[:, None, None]
    row, column = rows.long(), columns.long()
    return pixels, crops[:, 3][at, row[:, :, None], column[:, None, :]]


def _boxes(n: int, scale: Sequence[float], generator: torch.Generator) -> tuple[Tensor, ...]:
    """Top, left, height and width of random boxes, each [n] in shares of the window."""
    low, high = scale
    area = low + (high - low) * _draw(n, generator)
    ratio = torch.log(torch.tensor(ASPECT))
    aspect = torch.exp(ratio[0] + (ratio[1] - ratio[0]) * _draw(n, generator))
    width, height = (area * aspect).sqrt().clamp(max=1), (area / aspect).sqrt().clamp(max=1)
    top, left = _draw(n, generator) * (1 - height), _draw(n, generator) * (1 - width)
    return top, left, height, width


def _draw(n: int, generator: torch.Generator) -> Tensor:
    return torch.rand(n, generator=generator)


def _centres(start: Tensor, extent: Tensor, size: int) -> Tensor:
    """Centres of `size` pixels from `start` over `extent` [n] -> [n, size]."""
    return start[:, None] + extent[:, None] * (torch.arange(size) + 0.5) / size


def _weights(centres: Tensor, step: Tensor, length: int) -> Tensor:
    """Triangle filters [n, size, length] around `centres`, as wide as a step, where these are."""
    reach = step.clamp(min=1)[:, None, None]
    distance = (torch.arange(length, device=centres.device) + 0.5) - centres[:, :, None]
    weights = (1 - distance.abs() / reach).clamp(min=0)
    normalised: Tensor = weights / weights.sum(dim=-1, keepdim=True)
    return normalised


def _colour(pixels: Tensor, augment: Augment, generator: torch.Generator) -> Tensor:
    """Brightness, contrast and saturation, then grey for some; pixels in 0..255."""
    n = len(pixels)
    factors = 1 + augment.jitter * (2 * torch.rand(3, n, generator=generator) - 1)
    is_grey = _draw(n, generator) < augment.grey
    factors[2] = torch.where(is_grey, torch.zeros(n), factors[2])
    brightness, contrast, saturation = factors.to(pixels.device)[..., None, None, None]
    weights = torch.tensor(GREY, device=pixels.device).view(1, 3, 1, 1)
    pixels = (pixels * brightness).clamp(0, 255)
    mean = (pixels * weights).sum(dim=1, keepdim=True).mean(dim=(2, 3), keepdim=True)
    pixels = (mean + (pixels - mean) * contrast).clamp(0, 255)
    grey = (pixels * weights).sum(dim=1, keepdim=True)
    pixels = grey + (pixels - grey) * saturation
    return pixels.clamp(0, 255)
