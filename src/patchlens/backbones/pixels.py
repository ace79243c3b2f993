"""The floors without a network: features of colour and place, or of place alone."""

from math import pi

import torch
from torch import Tensor
from torch.nn import functional

from patchlens.backbones.contract import Backbone, PatchTokens, check_input


class PixelsBackbone(Backbone):
    """What can be told of a patch without a network.

    With `colour`, a patch has its mean red, green, blue in 0..1, row / rows and column / columns.
    Without, it has the cosine and sine of its row and of its column, where the longer side of the
    image is half a circle: the cosine of two patches falls with their distance.
    """

    depth = 0
    parameters = 0
    interpolation = "bilinear"

    def __init__(self, patch_size: int, colour: bool = True) -> None:
        self.name, self.width = ("pixels", 5) if colour else ("place", 4)
        self.mean, self.std = [0.0] * 3, [1.0] * 3
        self.layers: list[int] = []
        self.patch_size = patch_size
        self._colour = colour

    def to(self, device: torch.device) -> "PixelsBackbone":
        """Return itself; it has no weights, and images determine the device."""
        del device
        return self

    @torch.inference_mode()
    def __call__(self, images: Tensor, *, layers: list[int], norm: bool) -> list[PatchTokens]:
        """The same tokens for every requested layer; `norm` has no effect."""
        del norm
        rows, columns = check_input(images, self.patch_size)
        row = torch.arange(rows, device=images.device).view(1, rows, 1, 1)
        column = torch.arange(columns, device=images.device).view(1, 1, columns, 1)
        if self._colour:
            mean = functional.avg_pool2d(images.float() / 255, self.patch_size)
            parts = [mean.permute(0, 2, 3, 1), row / rows, column / columns]
        else:
            angles = [pi * (at + 0.5) / max(rows, columns) for at in (row, column)]
            parts = [part for angle in angles for part in (angle.cos(), angle.sin())]
        of_all = (len(images), rows, columns, -1)
        patches = torch.cat([part.expand(of_all) for part in parts], dim=-1)
        return [PatchTokens(patches, None, None) for _ in layers]
