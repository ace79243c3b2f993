"""The floor without a network: features of colour and position only."""

import torch
from torch import Tensor
from torch.nn import functional

from patchlens.backbones.contract import Backbone, PatchTokens, check_input


class PixelsBackbone(Backbone):
    """Patch feature = mean red, green, blue in 0..1, row / rows, column / columns."""

    name = "pixels"
    width = 5
    depth = 0
    parameters = 0
    interpolation = "bilinear"

    def __init__(self, patch_size: int) -> None:
        self.mean, self.std = [0.0] * 3, [1.0] * 3
        self.layers: list[int] = []
        self.patch_size = patch_size

    def to(self, device: torch.device) -> "PixelsBackbone":
        """Return itself; it has no weights, and images determine the device."""
        del device
        return self

    @torch.inference_mode()
    def __call__(self, images: Tensor, *, layers: list[int], norm: bool) -> list[PatchTokens]:
        """The same tokens for every requested layer; `norm` has no effect."""
        del norm
        rows, columns = check_input(images, self.patch_size)
        colour = functional.avg_pool2d(images.float() / 255, self.patch_size).permute(0, 2, 3, 1)
        row = torch.arange(rows, device=images.device).view(1, rows, 1, 1) / rows
        column = torch.arange(columns, device=images.device).view(1, 1, columns, 1) / columns
        ones = torch.ones_like(colour[..., :1])
        patches = torch.cat([colour, ones * row, ones * column], dim=-1)
        return [PatchTokens(patches, None, None) for _ in layers]
