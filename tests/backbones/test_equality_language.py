"""CLIP, SigLIP 2 and AIMv2 from files in their authors' format equal a reference.

Facts: openai/CLIP clip/model.py; big_vision models/vit.py; apple/ml-aim aim-v2 and aim-v1. They are
written here a second time, so that a slip in the registry is seen.
"""

import math
from functools import cache, partial
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from backbones.official import (
    CLIP,
    HALF,
    SIDE,
    SIZES,
    Shapes,
    Weights,
    assert_equal,
    drawn,
    images,
    linear_shapes,
    norm_shapes,
    opened,
    shrunk,
    vit_shapes,
    written,
)
from backbones.reference import mlp, standardised, vit
from backbones.reference_language import aimv2, clip
from patchlens.errors import DataError

MODES = ("timm", "dino", "mae", "beit")
HEAD = 4  # width of a head
HEADS = {
    "clip_vitb32": 12,
    "clip_vitb16": 12,
    "clip_vitl14": 16,
    "siglip2_vitb16": 12,
    "siglip2_so400m14": 16,
    "aimv2_vitl14": 8,
    "aimv2_vith14": 12,
}
PATCH = {name: 32 if name.endswith("b32") else 16 if name.endswith("16") else 14 for name in HEADS}


def gelu_tanh(x: Tensor) -> Tensor:
    """The approximation that JAX means by `gelu`."""
    return x * (1 + torch.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))) / 2


@cache
def weights_of(name: str) -> Weights:
    """Random weights of the image tower under its official names."""
    width, patch = HEADS[name] * HEAD, PATCH[name]
    if name.startswith("clip"):
        return drawn(clip_shapes(width, patch))
    if name.startswith("aimv2"):
        # 2816 / 1024, and for the H 4096 / 1536
        return drawn(aim_shapes(width, patch, int(width * (2.75 if "vitl" in name else 2.6667))))
    hidden = 4 * width if name == "siglip2_vitb16" else int(width * 3.7362)  # 4304 / 1152
    shapes = vit_shapes(width, patch, prefix=0, hidden=hidden)
    shapes |= {"attn_pool.latent": (1, 1, width)} | linear_shapes("attn_pool.q", width, width)
    return drawn(shapes | norm_shapes("attn_pool.norm", width))


def clip_shapes(width: int, patch: int) -> Shapes:
    shapes: Shapes = {
        "class_embedding": (width,),
        "positional_embedding": (1 + SIDE**2, width),
        "proj": (width, 8),
        "conv1.weight": (width, 3, patch, patch),
    }
    shapes |= norm_shapes(".ln_pre", width) | norm_shapes(".ln_post", width)
    for i in range(2):
        start = f"transformer.resblocks.{i}"
        shapes |= norm_shapes(f"{start}.ln_1", width) | norm_shapes(f"{start}.ln_2", width)
        shapes |= {f"{start}.attn.in_proj_weight": (3 * width, width)}
        shapes |= {f"{start}.attn.in_proj_bias": (3 * width,)}
        shapes |= linear_shapes(f"{start}.attn.out_proj", width, width)
        shapes |= linear_shapes(f"{start}.mlp.c_fc", 4 * width, width)
        shapes |= linear_shapes(f"{start}.mlp.c_proj", width, 4 * width)
    return shapes


def aim_shapes(width: int, patch: int, hidden: int) -> Shapes:
    shapes: Shapes = {
        "preprocessor.pos_embed": (1, SIDE**2, width),
        "preprocessor.patchifier.proj.weight": (width, 3, patch, patch),
        "preprocessor.patchifier.proj.bias": (width,),
        "preprocessor.patchifier.norm.weight": (width,),
        "trunk.post_trunk_norm.weight": (width,),
    }
    for i in range(2):
        start = f"trunk.blocks.{i}"
        shapes |= {f"{start}.norm_{n}.weight": (width,) for n in (1, 2)}
        shapes |= {f"{start}.attn.qkv.weight": (3 * width, width)}
        shapes |= {f"{start}.attn.proj.weight": (width, width)}
        shapes |= {f"{start}.mlp.fc{n}.weight": (hidden, width) for n in (1, 3)}
        shapes |= {f"{start}.mlp.fc2.weight": (width, hidden)}
    return shapes


def file_of(name: str, folder: Path, **surplus: Tensor) -> Path:
    weights = dict(weights_of(name))
    if name.startswith("aimv2"):
        weights = transformers_names(weights)
    if name.startswith("clip"):  # the hub's file holds the text tower too
        weights = {f"visual.{n.removeprefix('.')}": w for n, w in weights.items()}
        weights |= {"logit_scale": torch.ones(()), "token_embedding.weight": torch.zeros(5, 8)}
        weights |= {"positional_embedding": torch.zeros(77, 8), "ln_final.weight": torch.zeros(8)}
        weights |= {"transformer.resblocks.0.ln_1.weight": torch.zeros(8)}
        surplus = {f"visual.{n}": w for n, w in surplus.items()}
    return written(weights | surplus, folder, "official.safetensors")


def transformers_names(weights: Weights) -> Weights:
    """AIMv2's tensors as the transformers library names them, and so the files on the hub."""
    renamed: Weights = {}
    for name, weight in weights.items():
        new = name.replace("preprocessor.patchifier.proj", "embeddings.patch_embed")
        new = new.replace("preprocessor.patchifier.norm", "embeddings.rms_norm")
        new = new.replace("trunk.post_trunk_norm", "rms_norm").replace(
            "trunk.blocks", "encoder.layers"
        )
        new = new.replace("norm_1", "rms_norm1").replace("norm_2", "rms_norm2")
        new = new.replace("attn.proj", "attention.out_proj").replace("mlp.fc1", "ffn.gate_proj")
        new = new.replace("mlp.fc3", "ffn.up_proj").replace("mlp.fc2", "ffn.down_proj")
        if new == "preprocessor.pos_embed":
            renamed["embeddings.position_embedding.weight"] = weight[0]
        elif new.endswith("attn.qkv.weight"):
            for part, rows in zip("qkv", weight.chunk(3), strict=True):
                renamed[new.replace("attn.qkv", f"attention.{part}_proj")] = rows.clone()
        else:
            renamed[new] = weight
    return renamed


def expected(name: str, pixels: Tensor, mode: str = "timm", norm: bool = True) -> list[Tensor]:
    weights = {n.removeprefix("."): w for n, w in weights_of(name).items()}
    inputs = standardised(pixels, *(HALF if name.startswith("siglip2") else CLIP))
    if name.startswith("siglip2"):
        feed_forward = partial(mlp, act=gelu_tanh)
        return vit(
            inputs, weights, heads=HEADS[name], mode=mode, feed_forward=feed_forward, norm=norm
        )
    tower = clip if name.startswith("clip") else aimv2
    return tower(inputs, weights, heads=HEADS[name], mode=mode, norm=norm)


@pytest.mark.parametrize("name", HEADS)
def test_patch_tokens_equal_the_reference(name: str, tmp_path: Path) -> None:
    bone = opened(shrunk(name, HEADS[name] * HEAD), file_of(name, tmp_path))
    for rows, columns in SIZES:
        pixels = images(rows, columns, PATCH[name])
        for norm in (True, False):
            found = bone(pixels, layers=[0, 1], norm=norm)
            assert_equal(found, expected(name, pixels, norm=norm))


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", ["clip_vitb16", "siglip2_vitb16", "aimv2_vitl14"])
def test_every_way_to_resize_positions_equals_its_formula(
    name: str, mode: Any, tmp_path: Path
) -> None:
    bone = opened(shrunk(name, HEADS[name] * HEAD), file_of(name, tmp_path), position=mode)
    for rows, columns in SIZES[1:]:
        pixels = images(rows, columns, PATCH[name])
        assert_equal(bone(pixels, layers=[0, 1], norm=True), expected(name, pixels, mode))


@pytest.mark.parametrize("name", HEADS)
def test_a_name_that_is_not_explained_is_an_error(name: str, tmp_path: Path) -> None:
    path = file_of(name, tmp_path, **{"adapter.weight": torch.ones(4)})
    with pytest.raises(DataError, match=r"1 unexpected: adapter\.weight\."):
        opened(shrunk(name, HEADS[name] * HEAD), path)


def test_a_file_of_clip_without_its_class_token_names_it(tmp_path: Path) -> None:
    weights = {n: w for n, w in weights_of("clip_vitb16").items() if n != "class_embedding"}
    named = {f"visual.{n.removeprefix('.')}": w for n, w in weights.items()}
    path = written(named, tmp_path, "official.safetensors")
    with pytest.raises(DataError, match="'class_embedding' matches no name"):
        opened(shrunk("clip_vitb16", 48), path)
