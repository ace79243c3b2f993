"""Resampling an absolute position embedding to another grid, in a named mode.

The modes differ at every non-native size, by up to 0.1 on normed tokens, so the mode is a setting:

- `timm`: bicubic with antialias to the exact size (timm's own; DINOv2 with registers).
- `dino`: bicubic without antialias, scale factor (target + 0.1) / stored (DINO, iBOT, DINOv2).
- `mae`: bicubic without antialias to the exact size (MAE's own code).
- `beit`: as `mae`; and tables of relative positions as BEiT's code does, see `resize_table`.
- `gsd`: nothing is resampled; sines and cosines of the place on the ground (Scale-MAE).
"""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from patchlens.errors import DataError
from patchlens.settings.models import PositionMode

Grid = tuple[int, int]

EXTRA = 3  # values of the class token in a table of relative positions
SMALLEST, LARGEST, CLOSE = 1.01, 1.5, 1e-6  # bounds and accuracy of the factor, as published
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


def resize_table(table: Tensor, stored: Grid, target: Grid) -> Tensor:
    """The table [(2h − 1)(2w − 1) + 3, heads] of relative positions for another grid, as in BEiT.

    A table of an h × w grid has a value for each distance in rows (2h − 1) and in columns (2w −
    1), row-major, and three more at the end: class token to patch, patch to class token, class
    token to itself. Distances near 0 keep their meaning on a larger grid, far ones are
    stretched: the stored values are placed at distances that grow by a constant factor, and a
    cubic spline through them is read at whole distances (unilm, beit/run_class_finetuning.py;
    SimMIM and data2vec do the same). timm reads the same positions linearly instead. Published
    for square grids; here each side has its own factor, and a side that keeps its length keeps
    its values.
    """
    if stored == target:
        return table
    from scipy.interpolate import RectBivariateSpline  # slow to import, and few models need it

    sides = [2 * side - 1 for side in stored]
    rows, columns = (positions(*pair) for pair in zip(stored, target, strict=True))
    y, x = (read_at(*pair) for pair in zip((rows, columns), target, strict=True))
    values = table[:-EXTRA].detach().cpu().double().numpy().reshape(*sides, -1)
    heads = [
        RectBivariateSpline(
            rows, columns, values[..., head], kx=min(3, len(rows) - 1), ky=min(3, len(columns) - 1)
        )(y, x)
        for head in range(values.shape[-1])
    ]
    moved = torch.from_numpy(np.stack(heads, axis=-1).reshape(-1, len(heads)))
    return torch.cat([moved.to(table), table[-EXTRA:]])


def positions(stored: int, target: int) -> NDArray[np.float64]:
    """Where the 2·stored − 1 values of one side lie, in patches of the target grid."""
    reach, wanted = stored - 1, target - 1
    if stored == target:
        return np.arange(-reach, reach + 1, dtype=np.float64)
    low, high = SMALLEST, LARGEST
    while high - low > CLOSE:
        factor = (low + high) / 2
        farthest = (1 - factor**reach) / (1 - factor)
        low, high = (low, factor) if farthest > wanted else (factor, high)
    half = np.cumsum(factor ** np.arange(reach, dtype=np.float64))
    return np.concatenate([-half[::-1], [0.0], half])


def read_at(known: NDArray[np.float64], target: int) -> NDArray[np.float64]:
    """The whole distances of the target grid, none beyond the outermost stored value."""
    wanted = np.arange(-(target - 1), target, dtype=np.float64)
    return np.clip(wanted, known[0], known[-1])
