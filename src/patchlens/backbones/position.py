"""Resampling an absolute position embedding to another grid, in a named mode.

The modes differ at every non-native size, by up to 0.1 on normed tokens, so the mode is a setting:

- `timm`: bicubic with antialias to the exact size (timm's own; DINOv2 with registers).
- `dino`: bicubic without antialias, scale factor (target + 0.1) / stored (DINO, iBOT, DINOv2).
- `mae`: bicubic without antialias to the exact size (MAE's own code).
- `beit`: as `mae`; and tables of relative positions as BEiT's code does, see relative.py.
- `gsd`: nothing is resampled; sines and cosines of the place on the ground (Scale-MAE).
"""

import torch
from torch import Tensor
from torch.nn import functional

from patchlens.errors import DataError
from patchlens.settings.models import PositionMode

Grid = tuple[int, int]

SINES = 1e-3  # above the rounding of a half-precision file, far below any learned embedding


def resample(
    embedding: Tensor,
    stored: Grid,
    target: Grid,
    mode: PositionMode,
    ratio: tuple[float, float] = (1.0, 1.0),
) -> Tensor:
    """Resample [1, P + h·w, D] to another grid; the P prefix entries are unchanged.

    Args:
        embedding: the stored embedding; P is its length − stored rows × columns.
        stored: rows and columns of the stored grid.
        target: rows and columns of the new grid.
        mode: see the module docstring.
        ratio: for `gsd`, see `on_the_ground`.
    """
    prefix = embedding.shape[1] - stored[0] * stored[1]
    kept, grid = embedding[:, :prefix], embedding[:, prefix:]
    if mode == "gsd":
        return torch.cat([kept, on_the_ground(target, embedding.shape[2], ratio).to(kept)], dim=1)
    if stored == target:
        return embedding
    grid = grid.float().reshape(1, *stored, -1).permute(0, 3, 1, 2)
    if mode == "dino":
        # DINO's 0.1 guards against a rounding error of old torch; the sampling points move with it.
        factor = ((target[0] + 0.1) / stored[0], (target[1] + 0.1) / stored[1])
        grid = functional.interpolate(grid, scale_factor=factor, mode="bicubic")
    else:
        grid = functional.interpolate(grid, size=target, mode="bicubic", antialias=mode == "timm")
    grid = grid.permute(0, 2, 3, 1).reshape(1, target[0] * target[1], -1)
    return torch.cat([kept, grid.to(kept.dtype)], dim=1)


def on_the_ground(grid: Grid, width: int, ratio: tuple[float, float]) -> Tensor:
    """Scale-MAE's position encoding (arXiv 2212.14532; its mae/util/pos_embed.py), [1, h·w, D].

    With d = D / 4 and ω_k = 10000^(−k/d), k = 0…d−1, the patch in column x and row y (from 0) gets
    [sin(g·x·ω), cos(g·x·ω), sin(g·y·ω), cos(g·y·ω)]. Upstream has square inputs and one g; one g
    per side is the same formula for stretched input.

    Args:
        grid: rows and columns.
        width: D, a multiple of 4.
        ratio: g along the rows and along the columns: metres per pixel of the model input, relative
            to the 1 m of the reference.
    """
    count = width // 4
    omega = 10000 ** (-torch.arange(count, dtype=torch.float64) / count)
    row, column = (
        g * torch.arange(side, dtype=torch.float64)[:, None] * omega
        for side, g in zip(grid, ratio, strict=True)
    )
    parts = [
        angle.expand(*grid, count)
        for angle in (column.sin(), column.cos(), row.sin()[:, None], row.cos()[:, None])
    ]
    return torch.cat(parts, dim=-1).reshape(1, grid[0] * grid[1], width).float()


def check_sines(embedding: Tensor | None, stored: Grid, name: str) -> None:
    """Refuse mode `gsd` if it would silently discard learned positions.

    Args:
        embedding: the embedding stored in the model, or None.
        stored: rows and columns of its grid.
        name: the model, for the message.

    Raises:
        DataError: the positions are not those of Scale-MAE and MAE at g = 1.
    """
    # SAM's are learned, and a map [1, h, w, D].
    if embedding is not None and embedding.ndim == 3 and embedding.shape[2] % 4 == 0:
        sines = resample(torch.zeros_like(embedding), stored, stored, "gsd")
        if (embedding - sines).abs().max() < SINES:
            return
    raise DataError(
        f"{name}: position: gsd replaces the sines and cosines of Scale-MAE and MAE, but this "
        "model stores other positions; set another position mode"
    )
