"""A Vision Transformer from its published description, in plain tensor arithmetic and float64.

Written to compare with: it imports neither timm nor patchlens. Sources: Dosovitskiy et al. 2021
(patches, pre-norm blocks), Touvron et al. 2021 (layer scale), Shazeer 2020 (SwiGLU), Keys 1981
(cubic convolution), and the facts on each family in its own test.

Weights are a dict under the names of the official file; `name` is a module's place in it.
"""

import math
from collections.abc import Callable, Mapping

import torch
from torch import Tensor

Weights = Mapping[str, Tensor]
Grid = tuple[int, int]
Act = Callable[[Tensor], Tensor]
FeedForward = Callable[[Tensor, Weights, str], Tensor]
OF_STAGES = ("dinov3_convnext", "simmim_swin", "dino_resnet")  # entries without blocks of a ViT


def doubled(weights: Weights) -> dict[str, Tensor]:
    """The same weights in float64, for a reference without rounding of its own."""
    return {name: tensor.double() for name, tensor in weights.items()}


def standardised(images: Tensor, mean: list[float], std: list[float]) -> Tensor:
    """(x / 255 − mean) / std of uint8 [B, 3, H, W]."""
    m, s = (torch.tensor(v, dtype=torch.float64).view(1, 3, 1, 1) for v in (mean, std))
    return (images.double() / 255 - m) / s


def linear(x: Tensor, weights: Weights, name: str) -> Tensor:
    y = x @ weights[f"{name}.weight"].T
    return y + weights[f"{name}.bias"] if f"{name}.bias" in weights else y


def layer_norm(x: Tensor, weights: Weights, name: str, eps: float) -> Tensor:
    centred = x - x.mean(-1, keepdim=True)
    variance = (centred**2).mean(-1, keepdim=True)
    return centred / (variance + eps).sqrt() * weights[f"{name}.weight"] + weights[f"{name}.bias"]


def rms_norm(x: Tensor, weights: Weights, name: str, eps: float) -> Tensor:
    return x / ((x**2).mean(-1, keepdim=True) + eps).sqrt() * weights[f"{name}.weight"]


def gelu(x: Tensor) -> Tensor:
    return x * (1 + torch.erf(x / math.sqrt(2))) / 2


def quick_gelu(x: Tensor) -> Tensor:
    return x / (1 + torch.exp(-1.702 * x))


def silu(x: Tensor) -> Tensor:
    return x / (1 + torch.exp(-x))


def heads_of(x: Tensor, heads: int) -> Tensor:
    """[B, N, D] as [B, heads, N, D / heads]."""
    batch, count, width = x.shape
    return x.reshape(batch, count, heads, width // heads).transpose(1, 2)


def attend(q: Tensor, k: Tensor, v: Tensor, bias: Tensor | float = 0.0) -> Tensor:
    """softmax(q kᵀ / √d + bias) v of [B, heads, N, d], as [B, N, heads · d]."""
    scores = q @ k.transpose(-2, -1) / math.sqrt(q.shape[-1]) + bias
    weight = torch.exp(scores - scores.amax(-1, keepdim=True))
    out = weight / weight.sum(-1, keepdim=True) @ v
    return out.transpose(1, 2).flatten(2)


def attention(
    x: Tensor, weights: Weights, name: str, heads: int, bias: Tensor | float = 0.0
) -> Tensor:
    """Self-attention with `qkv` in one matrix (rows: all of q, of k, of v) and `proj`."""
    q, k, v = (heads_of(part, heads) for part in linear(x, weights, f"{name}.qkv").chunk(3, -1))
    return linear(attend(q, k, v, bias), weights, f"{name}.proj")


def mlp(x: Tensor, weights: Weights, name: str, act: Act = gelu) -> Tensor:
    return linear(act(linear(x, weights, f"{name}.fc1")), weights, f"{name}.fc2")


def swiglu(x: Tensor, weights: Weights, name: str) -> Tensor:
    """silu(first half) · second half of `w12`, then `w3`."""
    gate, value = linear(x, weights, f"{name}.w12").chunk(2, -1)
    return linear(silu(gate) * value, weights, f"{name}.w3")


def block(
    x: Tensor,
    weights: Weights,
    name: str,
    *,
    heads: int,
    eps: float = 1e-6,
    feed_forward: FeedForward = mlp,
    bias: Tensor | float = 0.0,
    scales: tuple[str, str] = ("ls1.gamma", "ls2.gamma"),
) -> Tensor:
    """A pre-norm block; layer scales are applied where the file has them."""
    gamma1, gamma2 = (weights.get(f"{name}.{scale}", torch.ones(())) for scale in scales)
    normed = layer_norm(x, weights, f"{name}.norm1", eps)
    x = x + gamma1 * attention(normed, weights, f"{name}.attn", heads, bias)
    normed = layer_norm(x, weights, f"{name}.norm2", eps)
    return x + gamma2 * feed_forward(normed, weights, f"{name}.mlp")


def patchify(pixels: Tensor, weights: Weights, name: str) -> Tensor:
    """A p × p convolution of stride p as one matrix product: [B, 3, H, W] to [B, h · w, D]."""
    weight = weights[f"{name}.weight"]
    side = weight.shape[-1]
    batch, channels, height, width = pixels.shape
    cut = pixels.reshape(batch, channels, height // side, side, width // side, side)
    flat = cut.permute(0, 2, 4, 1, 3, 5).reshape(batch, -1, channels * side * side)
    y = flat @ weight.reshape(len(weight), -1).T
    return y + weights[f"{name}.bias"] if f"{name}.bias" in weights else y


def grid_of(pixels: Tensor, weight: Tensor) -> Grid:
    """Rows and columns of patches as large as the kernel `weight`."""
    side = weight.shape[-1]
    return pixels.shape[-2] // side, pixels.shape[-1] // side


def cubic(x: float, a: float) -> float:
    """Keys' cubic convolution kernel."""
    x = abs(x)
    if x < 1:
        return (a + 2) * x**3 - (a + 3) * x**2 + 1
    return a * (x**3 - 5 * x**2 + 8 * x - 4) if x < 2 else 0.0


def sampling(stored: int, target: int, step: float, antialias: bool) -> Tensor:
    """[target, stored] weights of a bicubic resize along one side.

    `step` is the distance of two sampling points in stored pixels. Without antialias: four taps,
    a = −0.75, indices held at the border. With: a = −0.5, the kernel as wide as the step, taps
    outside left out and the rest scaled to sum 1 (as in Pillow).
    """
    rows = torch.zeros(target, stored, dtype=torch.float64)
    wide = max(step, 1.0)
    for i in range(target):
        centre = (i + 0.5) * step - 0.5
        if antialias:
            for j in range(stored):
                rows[i, j] = cubic((j - centre) / wide, -0.5)
            rows[i] /= rows[i].sum()
        else:
            first = math.floor(centre) - 1
            for j in range(first, first + 4):
                rows[i, min(max(j, 0), stored - 1)] += cubic(j - centre, -0.75)
    return rows


def resized(grid: Tensor, target: Grid, mode: str) -> Tensor:
    """A position grid [h, w, D] at another size, in a mode of `patchlens.settings.models`.

    `timm`: antialias, exact size. `mae`: no antialias, exact size. `dino`: no antialias, sampling
    points by the scale factor (target + 0.1) / stored.
    """
    if tuple(grid.shape[:2]) == target:
        return grid
    extra = 0.1 if mode == "dino" else 0.0
    along = [
        sampling(stored, wanted, stored / (wanted + extra), mode == "timm")
        for stored, wanted in zip(grid.shape[:2], target, strict=True)
    ]
    return torch.einsum("ih,jw,hwd->ijd", along[0], along[1], grid.double())


def position(embedding: Tensor, prefix: int, target: Grid, mode: str) -> Tensor:
    """A stored [1, prefix + side², D] embedding for a grid, the prefix rows unchanged."""
    side = math.isqrt(embedding.shape[1] - prefix)
    grid = embedding[0, prefix:].reshape(side, side, -1)
    moved = resized(grid, target, mode).flatten(0, 1)[None]
    return torch.cat([embedding[:, :prefix].double(), moved.double()], 1)


def ground(target: Grid, width: int, g: tuple[float, float]) -> Tensor:
    """Scale-MAE's encoding, patch by patch: sin and cos of g · column, then of g · row.

    `g` is that of the rows and that of the columns.
    """
    count = width // 4
    rows = []
    for y in range(target[0]):
        for x in range(target[1]):
            angles = [
                [at / 10000 ** (k / count) for k in range(count)] for at in (g[1] * x, g[0] * y)
            ]
            rows.append([f(a) for part in angles for f in (math.sin, math.cos) for a in part])
    return torch.tensor(rows, dtype=torch.float64)[None]


def vit(
    pixels: Tensor,
    weights: Weights,
    *,
    heads: int,
    mode: str,
    eps: float = 1e-6,
    feed_forward: FeedForward = mlp,
    g: tuple[float, float] = (1.0, 1.0),
    norm: bool = True,
) -> list[Tensor]:
    """Patch tokens [B, h, w, D] after each block of a plain ViT under DINO's and timm's names.

    With `cls_token` the embedding has a row for it, without it has none; `register_tokens` come
    between class token and patches and have no position (DINOv2). Mode `gsd` ignores the stored
    embedding.
    """
    weights = doubled(weights)
    grid = grid_of(pixels, weights["patch_embed.proj.weight"])
    x = patchify(pixels, weights, "patch_embed.proj")
    prefix = int("cls_token" in weights)
    if prefix:
        x = torch.cat([weights["cls_token"].expand(len(x), -1, -1), x], 1)
    if mode == "gsd":
        x[:, prefix:] = x[:, prefix:] + ground(grid, x.shape[-1], g)
    else:
        x = x + position(weights["pos_embed"], prefix, grid, mode)
    if "register_tokens" in weights:
        registers = weights["register_tokens"].expand(len(x), -1, -1)
        x = torch.cat([x[:, :1], registers, x[:, 1:]], 1)
    found = []
    for i in range(depth_of(weights, "blocks.")):
        x = block(x, weights, f"blocks.{i}", heads=heads, eps=eps, feed_forward=feed_forward)
        y = layer_norm(x, weights, "norm", eps) if norm else x
        found.append(y[:, -grid[0] * grid[1] :].reshape(len(x), *grid, -1))
    return found


def depth_of(weights: Weights, prefix: str) -> int:
    """Number of blocks: the names begin with `prefix` and the index."""
    return 1 + max(
        int(name.removeprefix(prefix).split(".")[0]) for name in weights if name.startswith(prefix)
    )
