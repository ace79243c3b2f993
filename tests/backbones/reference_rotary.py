"""References with rotary positions: EVA-02 and DINOv3.

From the published descriptions (Su et al. 2021; Fang et al. 2023; Siméoni et al. 2025) and the
facts named below, in float64; imports neither timm nor patchlens. A rotation is written as
a product of complex numbers.
"""

import math

import torch
from torch import Tensor

from backbones.reference import (
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
    position,
    silu,
)


def angles(rows: Tensor, columns: Tensor, speeds: Tensor) -> Tensor:
    """[h·w, d/2]: place in rows times each speed, then place in columns times each speed."""
    y, x = torch.meshgrid(rows, columns, indexing="ij")
    return torch.cat([y.reshape(-1, 1) * speeds, x.reshape(-1, 1) * speeds], -1)


def turned(x: Tensor, angle: Tensor, prefix: int, neighbours: bool) -> Tensor:
    """Rotate pairs of channels of the tokens behind the prefix.

    A pair is two neighbours (2k, 2k + 1), or k and k + d/2.
    """
    kept, x = x[:, :, :prefix], x[:, :, prefix:]
    half = x.shape[-1] // 2
    a, b = (x[..., ::2], x[..., 1::2]) if neighbours else (x[..., :half], x[..., half:])
    turn = torch.complex(a, b) * torch.polar(torch.ones_like(angle), angle)
    parts = (turn.real, turn.imag)
    y = torch.stack(parts, -1).flatten(-2) if neighbours else torch.cat(parts, -1)
    return torch.cat([kept, y], 2)


def eva02(
    pixels: Tensor, weights: Weights, *, heads: int, mode: str, norm: bool = True
) -> list[Tensor]:
    """Class token, absolute and rotary positions, SwiGLU (with a norm inside: B and L).

    RoPE: speeds 10000^(−4k/d), places 0 … 16 on any grid; pairs are neighbours. eps is 1e-6.
    """
    weights = doubled(weights)
    grid = grid_of(pixels, weights["patch_embed.proj.weight"])
    x = patchify(pixels, weights, "patch_embed.proj")
    x = torch.cat([weights["cls_token"].expand(len(x), -1, -1), x], 1)
    x = x + position(weights["pos_embed"], 1, grid, mode)
    quarter = x.shape[-1] // heads // 4
    speeds = 10000.0 ** (-torch.arange(quarter, dtype=torch.float64) / quarter)
    places = [torch.arange(n, dtype=torch.float64) / n * 16 for n in grid]
    angle = angles(*places, speeds)
    found = []
    for i in range(depth_of(weights, "blocks.")):
        name = f"blocks.{i}"
        y = layer_norm(x, weights, f"{name}.norm1", 1e-6)
        if f"{name}.attn.qkv.weight" in weights:
            q, k, v = (y @ weights[f"{name}.attn.qkv.weight"].T).chunk(3, -1)
        else:
            q, k, v = (y @ weights[f"{name}.attn.{part}_proj.weight"].T for part in "qkv")
        q, v = q + weights[f"{name}.attn.q_bias"], v + weights[f"{name}.attn.v_bias"]
        q, k, v = (heads_of(part, heads) for part in (q, k, v))
        q, k = (turned(part, angle, 1, True) for part in (q, k))
        x = x + linear(attend(q, k, v), weights, f"{name}.attn.proj")
        x = x + gated(layer_norm(x, weights, f"{name}.norm2", 1e-6), weights, f"{name}.mlp")
        y = layer_norm(x, weights, "norm", 1e-6) if norm else x
        found.append(y[:, 1:].reshape(len(x), *grid, -1))
    return found


def gated(x: Tensor, weights: Weights, name: str) -> Tensor:
    """SwiGLU under xformers' names (`w12` in one) or with `w1`, `w2` and a norm before `w3`."""
    if f"{name}.w12.weight" in weights:
        gate, value = linear(x, weights, f"{name}.w12").chunk(2, -1)
    else:
        gate, value = linear(x, weights, f"{name}.w1"), linear(x, weights, f"{name}.w2")
    y = silu(gate) * value
    if f"{name}.ffn_ln.weight" in weights:
        y = layer_norm(y, weights, f"{name}.ffn_ln", 1e-6)
    return linear(y, weights, f"{name}.w3")


def dinov3(pixels: Tensor, weights: Weights, *, heads: int, norm: bool = True) -> list[Tensor]:
    """Class token, four storage tokens, rotary positions only, layer scale, eps 1e-5.

    RoPE: places (i + ½) / n from −1 to 1, angles 2π · place / period with the file's periods; the
    pairs are k and k + d/2. The bias of `qkv` is multiplied by its mask.
    """
    weights = doubled(weights)
    grid = grid_of(pixels, weights["patch_embed.proj.weight"])
    x = patchify(pixels, weights, "patch_embed.proj")
    first = torch.cat([weights["cls_token"], weights["storage_tokens"]], 1)
    x = torch.cat([first.expand(len(x), -1, -1), x], 1)
    places = [2 * (torch.arange(n, dtype=torch.float64) + 0.5) / n - 1 for n in grid]
    angle = angles(*places, 2 * math.pi / weights["rope_embed.periods"])
    found = []
    for i in range(depth_of(weights, "blocks.")):
        name = f"blocks.{i}"
        y = layer_norm(x, weights, f"{name}.norm1", 1e-5) @ weights[f"{name}.attn.qkv.weight"].T
        mask = weights[f"{name}.attn.qkv.bias_mask"]
        y = y + torch.where(mask == 0, 0.0, weights[f"{name}.attn.qkv.bias"] * mask)
        q, k, v = (heads_of(part, heads) for part in y.chunk(3, -1))
        q, k = (turned(part, angle, 5, False) for part in (q, k))
        y = linear(attend(q, k, v), weights, f"{name}.attn.proj")
        x = x + weights[f"{name}.ls1.gamma"] * y
        y = layer_norm(x, weights, f"{name}.norm2", 1e-5)
        feed_forward = gated if f"{name}.mlp.w1.weight" in weights else mlp
        x = x + weights[f"{name}.ls2.gamma"] * feed_forward(y, weights, f"{name}.mlp")
        y = layer_norm(x, weights, "norm", 1e-5) if norm else x
        found.append(y[:, 5:].reshape(len(x), *grid, -1))
    return found
