"""Segment Anything's image encoder from files in its authors' format equals a reference.

Facts: segment-anything build_sam.py, modeling/image_encoder.py, written here a second time. Block
0 of the tiny encoder attends in windows of 3 × 3 patches, block 1 everywhere.
"""

from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from backbones.official import (
    IMAGENET,
    SIDE,
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
from backbones.reference_sam import sam
from patchlens.backbones.contract import Backbone
from patchlens.errors import DataError

SIZES = [(4, 4), (6, 6), (3, 7), (2, 5)]  # in patches: native, two windows, oblong, padded
HEADS = {"sam_vitb16": 12, "sam_vitl16": 16, "sam_vith16": 16}
HEAD, WINDOW, NECK = 4, 3, 8
TINY = {"window_size": WINDOW, "global_attn_indexes": [1], "neck_chans": NECK}


@cache
def weights_of(name: str) -> Weights:
    width = HEADS[name] * HEAD
    shapes: Shapes = {
        "pos_embed": (1, SIDE, SIDE, width),
        "patch_embed.proj.weight": (width, 3, 16, 16),
        "patch_embed.proj.bias": (width,),
        "neck.0.weight": (NECK, width, 1, 1),
        "neck.2.weight": (NECK, NECK, 3, 3),
    }
    shapes |= norm_shapes("neck.1", NECK) | norm_shapes("neck.3", NECK)
    for i, side in enumerate((WINDOW, SIDE)):
        start = f"blocks.{i}"
        shapes |= norm_shapes(f"{start}.norm1", width) | norm_shapes(f"{start}.norm2", width)
        shapes |= linear_shapes(f"{start}.attn.qkv", 3 * width, width)
        shapes |= linear_shapes(f"{start}.attn.proj", width, width)
        shapes |= {f"{start}.attn.rel_pos_{axis}": (2 * side - 1, HEAD) for axis in "hw"}
        shapes |= linear_shapes(f"{start}.mlp.lin1", 4 * width, width)
        shapes |= linear_shapes(f"{start}.mlp.lin2", width, 4 * width)
    weights = drawn(shapes)
    return weights | {n: w * 5 for n, w in weights.items() if "rel_pos" in n or "pos_embed" in n}


def file_of(name: str, folder: Path, **surplus: Tensor) -> Path:
    named = {f"image_encoder.{n}": w for n, w in (weights_of(name) | surplus).items()}
    named |= {"prompt_encoder.no_mask_embed.weight": torch.zeros(1, 8)}
    named |= {"mask_decoder.iou_token.weight": torch.zeros(1, 8)}
    return written(named, folder, "sam.pth")


def tiny(name: str, path: Path, **changes: Any) -> Backbone:
    return opened(shrunk(name, HEADS[name] * HEAD, **TINY), path, **changes)


def expected(name: str, pixels: Tensor, mode: str = "timm") -> tuple[list[Tensor], list[Tensor]]:
    inputs = standardised(pixels, *IMAGENET)
    heads, weights = HEADS[name], weights_of(name)
    return sam(inputs, weights, heads=heads, window=WINDOW, everywhere=[1], mode=mode)


@pytest.mark.parametrize("name", HEADS)
def test_tokens_and_neck_equal_the_reference(name: str, tmp_path: Path) -> None:
    bone = tiny(name, file_of(name, tmp_path))
    for rows, columns in SIZES:
        pixels = images(rows, columns, 16)
        for norm, truth in zip((False, True), expected(name, pixels), strict=True):
            found = bone(pixels, layers=[0, 1], norm=norm)
            assert_equal(found, truth)
            assert all(tokens.cls is tokens.registers is None for tokens in found)


@pytest.mark.parametrize("mode", ["timm", "dino", "mae", "beit"])
def test_every_way_to_resize_positions_equals_its_formula(mode: Any, tmp_path: Path) -> None:
    bone = tiny("sam_vitb16", file_of("sam_vitb16", tmp_path), position=mode)
    for rows, columns in SIZES[1:]:
        pixels = images(rows, columns, 16)
        truth = expected("sam_vitb16", pixels, mode)[1]
        assert_equal(bone(pixels, layers=[0, 1], norm=True), truth)


def test_positions_in_metres_are_refused(tmp_path: Path) -> None:
    path = file_of("sam_vitb16", tmp_path)
    message = "VisionTransformerSAM: position: gsd replaces the sines and cosines of Scale-MAE"
    with pytest.raises(DataError, match=message):
        tiny("sam_vitb16", path, position="gsd")


def test_the_neck_changes_the_channels(tmp_path: Path) -> None:
    bone = tiny("sam_vitb16", file_of("sam_vitb16", tmp_path))
    assert (bone.channels(True), bone.channels(False), bone.width) == (NECK, 48, 48)
    for norm in (True, False):
        tokens = bone(images(2, 5, 16), layers=[-1], norm=norm)[0].patches
        assert tokens.shape == (2, 2, 5, bone.channels(norm))


def test_going_back_to_the_native_size_changes_nothing(tmp_path: Path) -> None:
    bone = tiny("sam_vitb16", file_of("sam_vitb16", tmp_path))
    before = bone(images(4, 4, 16), layers=[1], norm=True)[0].patches
    bone(images(3, 7, 16), layers=[1], norm=True)
    assert torch.equal(bone(images(4, 4, 16), layers=[1], norm=True)[0].patches, before)


@pytest.mark.parametrize("name", HEADS)
def test_a_name_that_is_not_explained_is_an_error(name: str, tmp_path: Path) -> None:
    path = file_of(name, tmp_path, **{"blocks.0.attn.q_norm.weight": torch.ones(4)})
    with pytest.raises(DataError, match=r"1 unexpected: blocks\.0\.attn\.q_norm\.weight\."):
        tiny(name, path)
