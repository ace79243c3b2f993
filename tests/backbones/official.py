"""Small weight files under the names that the authors' code gives them."""

import hashlib
from collections.abc import Mapping
from math import prod, sqrt
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor

from patchlens.backbones.contract import Backbone
from patchlens.backbones.convert import load_entry
from patchlens.backbones.load import backbone
from patchlens.backbones.registry.entry import Entry
from patchlens.backbones.registry.read import entries

Shapes = dict[str, tuple[int, ...]]
DEPTH = 2
SIDE = 4  # patches along a side of the stored grid
SIZES = [(4, 4), (6, 6), (3, 7)]  # in patches: native, larger, oblong
IMAGENET = ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])
HALF = ([0.5, 0.5, 0.5], [0.5, 0.5, 0.5])
CLIP = ([0.48145466, 0.4578275, 0.40821073], [0.26862954, 0.26130258, 0.27577711])
Weights = dict[str, Tensor]


def vit_shapes(
    width: int,
    patch: int,
    *,
    prefix: int = 1,
    hidden: int | None = None,
    layer_scale: bool = False,
    swiglu: int | None = None,
) -> Shapes:
    """A plain ViT of `DEPTH` blocks under DINO's names, in the order of its parameters."""
    hidden = hidden or 4 * width
    shapes: Shapes = {"cls_token": (1, 1, width)} if prefix else {}
    shapes |= {
        "pos_embed": (1, prefix + SIDE**2, width),
        "patch_embed.proj.weight": (width, 3, patch, patch),
        "patch_embed.proj.bias": (width,),
    }
    for i in range(DEPTH):
        parts = {"attn.qkv": (3 * width, width), "attn.proj": (width, width)}
        if swiglu:
            parts |= {"mlp.w12": (2 * swiglu, width), "mlp.w3": (width, swiglu)}
        else:
            parts |= {"mlp.fc1": (hidden, width), "mlp.fc2": (width, hidden)}
        for name in ("norm1", "norm2"):
            shapes |= norm_shapes(f"blocks.{i}.{name}", width)
        for name, shape in parts.items():
            shapes |= linear_shapes(f"blocks.{i}.{name}", *shape)
        if layer_scale:
            shapes |= {f"blocks.{i}.ls{n}.gamma": (width,) for n in (1, 2)}
    return shapes | norm_shapes("norm", width)


def linear_shapes(name: str, out: int, width: int) -> Shapes:
    return {f"{name}.weight": (out, width), f"{name}.bias": (out,)}


def norm_shapes(name: str, width: int) -> Shapes:
    return {f"{name}.weight": (width,), f"{name}.bias": (width,)}


def drawn(shapes: Shapes, seed: int = 0) -> dict[str, Tensor]:
    """Random weights that make mistakes show.

    Attention is far from uniform, so that heads matter; residual branches are small beside the
    tokens, and tokens so small (about 0.1) that the eps of a norm moves the sixth digit.
    """
    return {name: _draw(name, shape, seed) for name, shape in shapes.items()}


def _draw(name: str, shape: tuple[int, ...], seed: int) -> Tensor:
    key = int.from_bytes(hashlib.sha256(f"{seed}|{name}".encode()).digest()[:8], "little") >> 1
    noise = torch.randn(shape, generator=torch.Generator().manual_seed(key))
    if "norm" in name or ".ln" in name:
        return 1 + 0.3 * noise if name.endswith("weight") else 0.3 * noise
    if "gamma" in name:
        return 1 + 0.3 * noise
    if name.endswith("bias") or len(shape) == 3:  # tokens, positions
        return 0.1 * noise
    inner = any(part in name for part in ("qkv", "in_proj", "fc1", "w12", "mlp.0"))
    gain = 1.0 if inner else 0.3
    return gain * noise / sqrt(prod(shape[1:]))


def shrunk(name: str, width: int, **more: Any) -> Entry:
    """An entry of the registry with a tiny width, depth and grid; the head count stays its own."""
    entry = entries()[name]
    tiny = {"embed_dim": width, "depth": DEPTH, "img_size": SIDE * entry.patch_size}
    return entry.model_copy(update={"arch_args": entry.arch_args | tiny | more})


def written(content: Mapping[str, Any], folder: Path, name: str) -> Path:
    """The file, as `torch.save` or safetensors writes it."""
    path = folder / name
    if path.suffix == ".safetensors":
        save_file(dict(content), path)
    else:
        torch.save(content, path)
    return path


def opened(entry: Entry, path: Path, **changes: Any) -> Backbone:
    """The backbone that an entry makes of an official file."""
    model, _ = load_entry(entry, path, "test")
    about = {key: getattr(entry, key) for key in ("mean", "std", "interpolation", "position")}
    return backbone(model, **about | changes)


def images(rows: int, columns: int, patch: int) -> Tensor:
    """Two random images of so many patches."""
    generator = torch.Generator().manual_seed(rows * columns)
    size = (2, 3, rows * patch, columns * patch)
    return torch.randint(0, 256, size, dtype=torch.uint8, generator=generator)


def assert_equal(found: Any, truth: list[Tensor]) -> None:
    """Patch tokens of each layer equal the reference's to 1e-5."""
    for tokens, wanted in zip(found, truth, strict=True):
        torch.testing.assert_close(tokens.patches.double(), wanted, rtol=0, atol=1e-5)
