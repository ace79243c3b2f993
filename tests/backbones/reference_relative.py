"""Reference of BEiT and its kin, with a table of relative positions.

From the published description (Bao et al. 2022) and the facts named below, in float64; imports
neither timm nor patchlens.
"""

import torch
from torch import Tensor

from backbones.reference import (
    Grid,
    Weights,
    block,
    depth_of,
    doubled,
    grid_of,
    layer_norm,
    patchify,
)


def beit(
    pixels: Tensor, weights: Weights, *, heads: int, mode: str, norm: bool = True
) -> list[Tensor]:
    """Patch tokens after each block: class token, no absolute positions, one table for all blocks.

    `qkv` has no bias for k; the branches are scaled by `gamma_1` and `gamma_2`; eps is 1e-6.
    """
    weights = doubled({n: w for n, w in weights.items() if w.is_floating_point()})
    grid = grid_of(pixels, weights["patch_embed.proj.weight"])
    x = patchify(pixels, weights, "patch_embed.proj")
    x = torch.cat([weights["cls_token"].expand(len(x), -1, -1), x], 1)
    bias = pair_bias(weights["rel_pos_bias.relative_position_bias_table"], grid, mode)
    found = []
    for i in range(depth_of(weights, "blocks.")):
        q, v = (weights[f"blocks.{i}.attn.{part}_bias"] for part in "qv")
        weights[f"blocks.{i}.attn.qkv.bias"] = torch.cat([q, torch.zeros_like(q), v])
        scales = ("gamma_1", "gamma_2")
        x = block(x, weights, f"blocks.{i}", heads=heads, bias=bias, scales=scales)
        y = layer_norm(x, weights, "norm", 1e-6) if norm else x
        found.append(y[:, 1:].reshape(len(x), *grid, -1))
    return found


def pair_bias(table: Tensor, grid: Grid, mode: str) -> Tensor:
    """[heads, 1 + h·w, 1 + h·w]: what the table adds to the score of each pair of tokens."""
    rows, columns = grid
    side = round((len(table) - 3) ** 0.5)
    values = table_at(table[:-3].reshape(side, side, -1), grid, mode)
    to_patch, to_class, itself = table[-3], table[-2], table[-1]
    places = [(y, x) for y in range(rows) for x in range(columns)]
    bias = torch.zeros(1 + len(places), 1 + len(places), table.shape[1], dtype=torch.float64)
    bias[0, 1:], bias[1:, 0], bias[0, 0] = to_patch, to_class, itself
    for i, (y, x) in enumerate(places):
        for j, (v, u) in enumerate(places):
            bias[1 + i, 1 + j] = values[y - v + rows - 1, x - u + columns - 1]
    return bias.permute(2, 0, 1)


def table_at(values: Tensor, grid: Grid, mode: str) -> Tensor:
    """A [2s − 1, 2s − 1, heads] table for another grid.

    The stored values lie at distances 0, 1, 1 + q, 1 + q + q², … with q such that the last is the
    largest distance of the new grid, within 1.01 … 1.5. `beit`: a cubic spline through them, and a
    side of the stored length is left alone. Else linear, as timm reads them, both sides alike.
    """
    stored = (len(values) + 1) // 2
    if (stored, stored) == tuple(grid):
        return values
    spline = mode == "beit"
    along = []
    for target in grid:
        if spline and target == stored:
            along.append(torch.eye(len(values), dtype=torch.float64))
            continue
        known = distances(stored - 1, target - 1)
        wanted = torch.arange(-(target - 1), target, dtype=torch.float64)
        wanted = wanted.clamp(known[0], known[-1])
        along.append(spline_weights(known, wanted) if spline else line_weights(known, wanted))
    return torch.einsum("iy,jx,yxh->ijh", along[0], along[1], values)


def distances(count: int, farthest: int) -> Tensor:
    """q by bisection to 1e-6, the last one tried, as published."""
    low, high = 1.01, 1.5
    while high - low > 1e-6:
        q = (low + high) / 2
        reach = sum(q**k for k in range(count))
        low, high = (low, q) if reach > farthest else (q, high)
    steps = torch.tensor([q**k for k in range(count)], dtype=torch.float64).cumsum(0)
    return torch.cat([-steps.flip(0), torch.zeros(1, dtype=torch.float64), steps])


def spline_weights(known: Tensor, wanted: Tensor) -> Tensor:
    """[wanted, known] weights of the cubic spline whose second and last but one point is no knot.

    In the basis 1, x, x², x³ and (x − t)³ right of each knot t.
    """
    knots = known[2:-2]

    def basis(x: Tensor) -> Tensor:
        powers = [x**k for k in range(4)] + [(x - t).clamp(min=0) ** 3 for t in knots]
        return torch.stack(powers, -1)

    return basis(wanted) @ torch.linalg.inv(basis(known))


def line_weights(known: Tensor, wanted: Tensor) -> Tensor:
    weights = torch.zeros(len(wanted), len(known), dtype=torch.float64)
    for i, x in enumerate(wanted):
        right = int((known < x).sum().clamp(1, len(known) - 1))
        share = (x - known[right - 1]) / (known[right] - known[right - 1])
        weights[i, right - 1], weights[i, right] = 1 - share, share
    return weights
