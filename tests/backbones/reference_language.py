"""References of CLIP and AIMv2.

From the published descriptions (Radford et al. 2021; Fini et al. 2024) and the facts named below,
in float64; imports neither timm nor patchlens.
"""

import torch
from torch import Tensor

from backbones.reference import (
    Weights,
    attention,
    depth_of,
    doubled,
    grid_of,
    layer_norm,
    linear,
    patchify,
    position,
    quick_gelu,
    rms_norm,
    silu,
)


def clip(
    pixels: Tensor, weights: Weights, *, heads: int, mode: str, norm: bool = True
) -> list[Tensor]:
    """OpenAI's names: patches without bias, a norm before the blocks, QuickGELU, eps 1e-5."""
    weights = doubled(weights)
    grid = grid_of(pixels, weights["conv1.weight"])
    x = patchify(pixels, weights, "conv1")
    x = torch.cat([weights["class_embedding"].expand(len(x), 1, -1), x], 1)
    x = x + position(weights["positional_embedding"][None], 1, grid, mode)
    x = layer_norm(x, weights, "ln_pre", 1e-5)
    start = "transformer.resblocks."
    found = []
    for i in range(depth_of(weights, start)):
        name = f"{start}{i}"
        parts = {
            "attn.qkv.weight": weights[f"{name}.attn.in_proj_weight"],
            "attn.qkv.bias": weights[f"{name}.attn.in_proj_bias"],
            "attn.proj.weight": weights[f"{name}.attn.out_proj.weight"],
            "attn.proj.bias": weights[f"{name}.attn.out_proj.bias"],
        }
        x = x + attention(layer_norm(x, weights, f"{name}.ln_1", 1e-5), parts, "attn", heads)
        y = linear(layer_norm(x, weights, f"{name}.ln_2", 1e-5), weights, f"{name}.mlp.c_fc")
        x = x + linear(quick_gelu(y), weights, f"{name}.mlp.c_proj")
        y = layer_norm(x, weights, "ln_post", 1e-5) if norm else x
        found.append(y[:, 1:].reshape(len(x), *grid, -1))
    return found


def aimv2(
    pixels: Tensor, weights: Weights, *, heads: int, mode: str, norm: bool = True
) -> list[Tensor]:
    """Apple's names: no class token, RMS norms (also on the patches), SwiGLU, no biases, 1e-5."""
    weights = doubled(weights)
    grid = grid_of(pixels, weights["preprocessor.patchifier.proj.weight"])
    x = patchify(pixels, weights, "preprocessor.patchifier.proj")
    x = rms_norm(x, weights, "preprocessor.patchifier.norm", 1e-5)
    x = x + position(weights["preprocessor.pos_embed"], 0, grid, mode)
    start = "trunk.blocks."
    found = []
    for i in range(depth_of(weights, start)):
        name = f"{start}{i}"
        y = rms_norm(x, weights, f"{name}.norm_1", 1e-5)
        x = x + attention(y, weights, f"{name}.attn", heads)
        y = rms_norm(x, weights, f"{name}.norm_2", 1e-5)
        y = silu(linear(y, weights, f"{name}.mlp.fc1")) * linear(y, weights, f"{name}.mlp.fc3")
        x = x + linear(y, weights, f"{name}.mlp.fc2")
        y = rms_norm(x, weights, "trunk.post_trunk_norm", 1e-5) if norm else x
        found.append(y.reshape(len(x), *grid, -1))
    return found
