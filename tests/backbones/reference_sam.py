"""Reference of SAM's image encoder: windows, decomposed relative positions, and the neck.

From the published descriptions (Li et al. 2022, MViTv2 and ViTDet; Kirillov et al. 2023), in
float64; imports neither timm nor patchlens.
"""

import torch
from torch import Tensor

from backbones.reference import (
    Grid,
    Weights,
    attend,
    depth_of,
    doubled,
    grid_of,
    heads_of,
    layer_norm,
    linear,
    mlp,
    patchify,
    resized,
)


def sam(
    pixels: Tensor, weights: Weights, *, heads: int, window: int, everywhere: list[int], mode: str
) -> tuple[list[Tensor], list[Tensor]]:
    """Tokens [B, h, w, D] after each block, and the neck's output of each; eps is 1e-6."""
    weights = doubled(weights)
    grid = grid_of(pixels, weights["patch_embed.proj.weight"])
    x = patchify(pixels, weights, "patch_embed.proj").reshape(len(pixels), *grid, -1)
    x = x + resized(weights["pos_embed"][0], grid, mode)
    tokens, necks = [], []
    for i in range(depth_of(weights, "blocks.")):
        name = f"blocks.{i}"
        normed = layer_norm(x, weights, f"{name}.norm1", 1e-6)
        size = grid if i in everywhere else (window, window)
        x = x + windows(normed, weights, f"{name}.attn", heads, size)
        x = x + mlp(layer_norm(x, weights, f"{name}.norm2", 1e-6), renamed(weights), f"{name}.mlp")
        tokens.append(x)
        necks.append(neck(x, weights))
    return tokens, necks


def renamed(weights: Weights) -> Weights:
    return {name.replace("mlp.lin", "mlp.fc"): weight for name, weight in weights.items()}


def windows(x: Tensor, weights: Weights, name: str, heads: int, size: Grid) -> Tensor:
    """Attention in windows of this size; zeros fill up the last ones and attend like tokens."""
    batch, rows, columns, width = x.shape
    out = torch.zeros_like(x)
    for top in range(0, rows, size[0]):
        for left in range(0, columns, size[1]):
            here = x[:, top : top + size[0], left : left + size[1]]
            full = torch.zeros(batch, *size, width, dtype=x.dtype)
            full[:, : here.shape[1], : here.shape[2]] = here
            q, k, v = (
                heads_of(part, heads)
                for part in linear(full.flatten(1, 2), weights, f"{name}.qkv").chunk(3, -1)
            )
            bias = query_bias(q, weights, name, size)
            y = linear(attend(q, k, v, bias), weights, f"{name}.proj").reshape(batch, *size, width)
            out[:, top : top + size[0], left : left + size[1]] = y[
                :, : here.shape[1], : here.shape[2]
            ]
    return out


def query_bias(q: Tensor, weights: Weights, name: str, size: Grid) -> Tensor:
    """q · (term of the distance in rows + term of that in columns), q not scaled."""
    rows, columns = size
    along_y, along_x = (
        stretched(weights[f"{name}.rel_pos_{axis}"], 2 * length - 1)
        for axis, length in (("h", rows), ("w", columns))
    )
    places = torch.tensor([(y, x) for y in range(rows) for x in range(columns)])
    apart = places[:, None] - places[None]
    terms = along_y[apart[..., 0] + rows - 1] + along_x[apart[..., 1] + columns - 1]
    return torch.einsum("bhqd,qkd->bhqk", q, terms)


def stretched(table: Tensor, length: int) -> Tensor:
    """Linear interpolation of a table [L, d] to another length, half-pixel centres."""
    centres = (torch.arange(length, dtype=torch.float64) + 0.5) * len(table) / length - 0.5
    centres = centres.clamp(0, len(table) - 1)
    first = centres.floor().long().clamp(max=max(len(table) - 2, 0))
    share = (centres - first)[:, None]
    return table[first] * (1 - share) + table[(first + 1).clamp(max=len(table) - 1)] * share


def neck(x: Tensor, weights: Weights) -> Tensor:
    """1 × 1 convolution, norm over channels, 3 × 3 convolution with a rim of zeros, norm."""
    x = x @ weights["neck.0.weight"][..., 0, 0].T
    x = layer_norm(x, weights, "neck.1", 1e-6)
    batch, rows, columns, width = x.shape
    rim = torch.zeros(batch, rows + 2, columns + 2, width, dtype=x.dtype)
    rim[:, 1:-1, 1:-1] = x
    y = sum(
        rim[:, i : i + rows, j : j + columns] @ weights["neck.2.weight"][..., i, j].T
        for i in range(3)
        for j in range(3)
    )
    return layer_norm(y, weights, "neck.3", 1e-6)
