"""Resampling an absolute position embedding to another grid, in a named mode.

The modes differ at every non-native size, by up to 0.1 on normed tokens, so the mode is a setting:

- `timm`: bicubic with antialias to the exact size (timm's own; DINOv2 with registers).
- `dino`: bicubic without antialias, scale factor (target + 0.1) / stored (DINO, iBOT, DINOv2).
- `mae`: bicubic without antialias to the exact size (MAE's own code).
"""

import torch
from torch import Tensor
from torch.nn import functional

from patchlens.settings.models import PositionMode

Grid = tuple[int, int]


def resample(embedding: Tensor, stored: Grid, target: Grid, mode: PositionMode) -> Tensor:
    """Resample [1, P + h·w, D] to another grid; the P prefix entries are kept as they are.

    Args:
        embedding: the stored embedding; P = its length − stored rows × columns.
        stored: rows and columns of the stored grid.
        target: rows and columns that are wanted.
        mode: see the module.
    """
    if stored == target:
        return embedding
    prefix = embedding.shape[1] - stored[0] * stored[1]
    kept, grid = embedding[:, :prefix], embedding[:, prefix:]
    grid = grid.float().reshape(1, *stored, -1).permute(0, 3, 1, 2)
    if mode == "dino":
        # DINO's 0.1 guards against a rounding error of old torch; the sampling points move with it.
        factor = ((target[0] + 0.1) / stored[0], (target[1] + 0.1) / stored[1])
        grid = functional.interpolate(grid, scale_factor=factor, mode="bicubic")
    else:
        grid = functional.interpolate(grid, size=target, mode="bicubic", antialias=mode == "timm")
    grid = grid.permute(0, 2, 3, 1).reshape(1, target[0] * target[1], -1)
    return torch.cat([kept, grid.to(kept.dtype)], dim=1)
