"""EVA-02 and DINOv3 from files in their authors' format equal a reference.

Facts: baaivision/EVA EVA-02/asuka/modeling_{pretrain,finetune}.py; dinov3 hub/backbones.py,
models/vision_transformer.py. They are written here a second time, so that a slip is seen.
"""

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from backbones.official import (
    CLIP,
    IMAGENET,
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
    written,
)
from backbones.reference import standardised
from backbones.reference_rotary import dinov3, eva02
from patchlens.backbones.load import load
from patchlens.errors import DataError

SATELLITE = ([0.430, 0.411, 0.296], [0.213, 0.156, 0.143])
HEAD = 16  # width of a head; four speeds of RoPE, two of them no whole numbers
EVA = {"eva02_vits14": 6, "eva02_vitb14": 12, "eva02_vitl14": 16, "eva02_vitl14_m38m": 16}
DINO = {
    "dinov3_vits16": 6,
    "dinov3_vits16plus": 6,
    "dinov3_vitb16": 12,
    "dinov3_vitl16": 16,
    "dinov3_vitl16_sat": 16,
    "dinov3_vith16plus": 20,
}
HEADS = EVA | DINO


@cache
def weights_of(name: str) -> Weights:
    """Random weights under the names of the official file, with all that is saved beside."""
    weights = eva_weights(name) if name in EVA else dino_weights(name)
    for key in weights:  # attention far from uniform
        if any(part in key for part in ("q_proj", "k_proj")):
            weights[key] = weights[key] * 6
    return weights


def eva_weights(name: str) -> Weights:
    width = EVA[name] * HEAD
    hidden = int(width * 4 * 2 / 3)
    shapes: Shapes = {
        "cls_token": (1, 1, width),
        "mask_token": (1, 1, width),
        "pos_embed": (1, 1 + SIDE**2, width),
        "patch_embed.proj.weight": (width, 3, 14, 14),
        "patch_embed.proj.bias": (width,),
    }
    for i in range(2):
        start = f"blocks.{i}"
        shapes |= norm_shapes(f"{start}.norm1", width) | norm_shapes(f"{start}.norm2", width)
        shapes |= {f"{start}.attn.{part}_bias": (width,) for part in "qv"}
        shapes |= linear_shapes(f"{start}.attn.proj", width, width)
        if name == "eva02_vits14":
            shapes |= {f"{start}.attn.qkv.weight": (3 * width, width)}
            shapes |= linear_shapes(f"{start}.mlp.w12", 2 * hidden, width)
        else:
            shapes |= {f"{start}.attn.{part}_proj.weight": (width, width) for part in "qkv"}
            shapes |= linear_shapes(f"{start}.mlp.w1", hidden, width)
            shapes |= linear_shapes(f"{start}.mlp.w2", hidden, width)
            shapes |= norm_shapes(f"{start}.mlp.ffn_ln", hidden)
        shapes |= linear_shapes(f"{start}.mlp.w3", width, hidden)
    weights = drawn(shapes | norm_shapes("norm", width) | linear_shapes("lm_head", 8, width))
    places = ["rope", *(f"blocks.{i}.attn.rope" for i in range(2))]
    waves = {f"{p}.freqs_{wave}": torch.zeros(256, HEAD) for p in places for wave in ("cos", "sin")}
    return weights | waves


def dino_weights(name: str) -> Weights:
    width = DINO[name] * HEAD
    hidden = 4 * width  # SwiGLU: two thirds of six times the width
    shapes: Shapes = {
        "cls_token": (1, 1, width),
        "storage_tokens": (1, 4, width),
        "mask_token": (1, width),
        "patch_embed.proj.weight": (width, 3, 16, 16),
        "patch_embed.proj.bias": (width,),
    }
    for i in range(2):
        start = f"blocks.{i}"
        shapes |= norm_shapes(f"{start}.norm1", width) | norm_shapes(f"{start}.norm2", width)
        shapes |= linear_shapes(f"{start}.attn.qkv", 3 * width, width)
        shapes |= linear_shapes(f"{start}.attn.proj", width, width)
        shapes |= {f"{start}.ls{n}.gamma": (width,) for n in (1, 2)}
        inner = ("w1", "w2") if "plus" in name else ("fc1",)
        for part in inner:
            shapes |= linear_shapes(f"{start}.mlp.{part}", hidden, width)
        shapes |= linear_shapes(f"{start}.mlp.{'w3' if 'plus' in name else 'fc2'}", width, hidden)
    shapes |= norm_shapes("norm", width)
    if name.endswith("sat"):
        shapes |= norm_shapes("local_cls_norm", width)
    weights = drawn(shapes)
    masked = torch.ones(3, width)
    masked[1] = 0  # k
    for i in range(2):
        mask = masked if name != "dinov3_vitl16" else torch.zeros_like(masked)
        weights[f"blocks.{i}.attn.qkv.bias_mask"] = mask.flatten()
    quarter = HEAD // 4
    periods = 100.0 ** (torch.arange(quarter) / quarter)
    return weights | {"rope_embed.periods": periods.bfloat16()}


def file_of(name: str, folder: Path, **changes: Tensor) -> Path:
    weights = weights_of(name) | changes
    key = {"eva02_vits14": "model", "eva02_vitb14": "module", "eva02_vitl14": "model"}.get(name)
    return written({key: weights} if key else weights, folder, "official.pt")


def patch_of(name: str) -> int:
    return 14 if name in EVA else 16


def expected(name: str, pixels: Tensor, mode: str = "mae", norm: bool = True) -> list[Tensor]:
    weights, heads = weights_of(name), HEADS[name]
    if name in EVA:
        return eva02(standardised(pixels, *CLIP), weights, heads=heads, mode=mode, norm=norm)
    statistics = SATELLITE if name.endswith("sat") else IMAGENET
    return dinov3(standardised(pixels, *statistics), weights, heads=heads, norm=norm)


@pytest.mark.parametrize("name", HEADS)
def test_patch_tokens_equal_the_reference(name: str, tmp_path: Path) -> None:
    bone = opened(shrunk(name, HEADS[name] * HEAD), file_of(name, tmp_path))
    for rows, columns in SIZES:
        pixels = images(rows, columns, patch_of(name))
        for norm in (True, False):
            found = bone(pixels, layers=[0, 1], norm=norm)
            assert_equal(found, expected(name, pixels, norm=norm))


@pytest.mark.parametrize("mode", ["timm", "dino", "mae", "beit"])
@pytest.mark.parametrize("name", ["eva02_vits14", "eva02_vitb14"])
def test_every_way_to_resize_positions_equals_its_formula(
    name: str, mode: Any, tmp_path: Path
) -> None:
    bone = opened(shrunk(name, HEADS[name] * HEAD), file_of(name, tmp_path), position=mode)
    for rows, columns in SIZES[1:]:
        pixels = images(rows, columns, patch_of(name))
        assert_equal(bone(pixels, layers=[0, 1], norm=True), expected(name, pixels, mode))


@pytest.mark.parametrize("name", HEADS)
def test_a_name_that_is_not_explained_is_an_error(name: str, tmp_path: Path) -> None:
    path = file_of(name, tmp_path, **{"blocks.1.attn.inner_attn_ln.weight": torch.ones(4)})
    with pytest.raises(DataError, match=r"1 unexpected: blocks\.1\.attn\.inner_attn_ln\.weight\."):
        opened(shrunk(name, HEADS[name] * HEAD), path)


def test_a_key_bias_that_is_not_masked_is_an_error(tmp_path: Path) -> None:
    mask = {"blocks.0.attn.qkv.bias_mask": torch.ones(3 * 6 * HEAD)}
    path = file_of("dinov3_vits16", tmp_path, **mask)
    message = r"blocks\.0\.attn\.qkv\.bias: the bias of k is not masked"
    with pytest.raises(DataError, match=message):
        opened(shrunk("dinov3_vits16", 6 * HEAD), path)


def test_the_periods_of_the_file_are_used(tmp_path: Path) -> None:
    """timm would compute 3.1623 where the file has 3.1563."""
    exact = 100.0 ** (torch.arange(HEAD // 4) / (HEAD // 4))
    bone, other = (
        opened(shrunk("dinov3_vits16", 6 * HEAD), file_of("dinov3_vits16", tmp_path, **changes))
        for changes in ({}, {"rope_embed.periods": exact})
    )
    pixels = images(3, 7, 16)
    found, computed = (b(pixels, layers=[1], norm=True)[0].patches for b in (bone, other))
    assert (found - computed).abs().max() > 1e-4


@pytest.mark.parametrize("name", ["dinov3_vits16", "eva02_vitb14"])
def test_the_converted_file_gives_the_same_tokens(
    name: str,
    convert: Callable[..., Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Periods in bfloat16 among weights in float32 come through the safetensors file unchanged."""
    entry = shrunk(name, HEADS[name] * HEAD)
    source = entry.source.model_copy(update={"sha256_starts": None})
    entry = entry.model_copy(update={"source": source})
    monkeypatch.setattr("patchlens.backbones.convert.find", lambda *_: entry)
    official = str(file_of(name, tmp_path))
    bone = load(convert({"source": "registry", "model": name, "file": official}))
    pixels = images(3, 7, patch_of(name))
    assert_equal(bone(pixels, layers=[0, 1], norm=True), expected(name, pixels))


def test_registers_and_class_token_are_no_patches(tmp_path: Path) -> None:
    bone = opened(shrunk("dinov3_vits16", 6 * HEAD), file_of("dinov3_vits16", tmp_path))
    tokens = bone(images(3, 7, 16), layers=[1], norm=True)[0]
    assert tokens.patches.shape == (2, 3, 7, 96)
    assert tokens.registers is not None
    assert tokens.registers.shape == (2, 4, 96)
    assert tokens.cls is not None
    assert tokens.cls.shape == (2, 96)
