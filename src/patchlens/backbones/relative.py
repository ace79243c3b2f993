"""Resampling a table of relative position biases to another grid, as BEiT's own code does.

A table of an h × w grid has a value for each distance in rows (2h − 1) and in columns (2w − 1),
row-major, and three more at the end: class token to patch, patch to class token, class token to
itself. Distances near 0 keep their meaning on a larger grid, far ones are stretched: the stored
values are placed at distances that grow by a constant factor, and a cubic spline through them is
read at whole distances (unilm, beit/run_class_finetuning.py; SimMIM and data2vec do the same).
timm reads the same positions linearly instead. Published for square grids; here each side has its
own factor, and a side that keeps its length keeps its values.
"""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from patchlens.backbones.position import Grid

EXTRA = 3  # values of the class token
SMALLEST, LARGEST, CLOSE = 1.01, 1.5, 1e-6  # bounds and accuracy of the factor, as published


def resize_table(table: Tensor, stored: Grid, target: Grid) -> Tensor:
    """The table [(2h − 1)(2w − 1) + 3, heads] of the grid `stored` for the grid `target`."""
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
