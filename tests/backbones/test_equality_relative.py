"""SimMIM, BEiT, BEiT v2 and data2vec from files in their authors' format equal a reference.

The authors' facts are written here a second time, so that a slip in the registry is seen: heads,
nesting, statistics, names, the resize of the table.
"""

import argparse
import sys
import types
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from backbones.official import (
    HALF,
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
from backbones.reference_relative import beit
from patchlens.errors import DataError

HEAD = 4  # width of a head
PATCH = 16
HEADS = {
    "simmim_vitb16": 12,
    "beit_vitb16_pt22k": 12,
    "beit_vitl16_pt22k": 16,
    "beitv2_vitb16": 12,
    "beitv2_vitb16_300e": 12,
    "beitv2_vitl16": 16,
    "data2vec_vitb16": 12,
    "data2vec_vitl16": 16,
    "data2vec_vitl16_800e": 16,
}
FAMILIES = ("simmim_vitb16", "beit_vitb16_pt22k", "beitv2_vitb16", "data2vec_vitb16")


def block_shapes(name: str, width: int) -> Shapes:
    shapes = norm_shapes(f"{name}.norm1", width) | norm_shapes(f"{name}.norm2", width)
    shapes |= {f"{name}.attn.{part}_bias": (width,) for part in "qv"}
    shapes |= {f"{name}.attn.qkv.weight": (3 * width, width)}
    shapes |= {f"{name}.gamma_{n}": (width,) for n in (1, 2)}
    shapes |= linear_shapes(f"{name}.attn.proj", width, width)
    shapes |= linear_shapes(f"{name}.mlp.fc1", 4 * width, width)
    return shapes | linear_shapes(f"{name}.mlp.fc2", width, 4 * width)


@cache
def weights_of(name: str) -> Weights:
    """The encoder under its official names, with the buffers that are saved beside it."""
    heads, distances = HEADS[name], (2 * SIDE - 1) ** 2 + 3
    width = heads * HEAD
    shapes: Shapes = {
        "cls_token": (1, 1, width),
        "mask_token": (1, 1, width),
        "patch_embed.proj.weight": (width, 3, PATCH, PATCH),
        "patch_embed.proj.bias": (width,),
        "rel_pos_bias.relative_position_bias_table": (distances, heads),
    }
    for i in range(2):
        shapes |= block_shapes(f"blocks.{i}", width)
    if name.startswith("beitv2"):
        for i in range(2):
            shapes |= block_shapes(f"cls_pt_layers.{i}", width)
    if not name.startswith("simmim"):
        shapes |= linear_shapes("lm_head", 32, width)
    weights = drawn(shapes | norm_shapes("norm", width))
    table = "rel_pos_bias.relative_position_bias_table"
    weights[table] = weights[table] * 10  # strong enough to move attention
    index = torch.zeros(1 + SIDE**2, 1 + SIDE**2, dtype=torch.int64)
    return weights | {"rel_pos_bias.relative_position_index": index}


class CfgNode(dict[str, Any]):
    """As yacs pickles it: a dict under its module's name, with a flag beside the items."""

    def __init__(self, items: dict[str, Any]) -> None:
        super().__init__(items)
        self.__dict__["__immutable__"] = True


def file_of(name: str, folder: Path, **surplus: Tensor) -> Path:
    """The file as its authors' training code saves it."""
    weights = weights_of(name) | surplus
    if name.startswith("simmim"):
        named = {f"encoder.{n}": w for n, w in weights.items()}
        named |= {"decoder.0.weight": torch.zeros(768, 8, 1, 1), "decoder.0.bias": torch.ones(1)}
        config = CfgNode({"MODEL": CfgNode({"VIT": CfgNode({"DEPTH": 12})}), "SEED": 0})
        content = {"model": named, "optimizer": {"state": {}}, "lr_scheduler": {"t": 1}}
        content |= {"max_accuracy": 0.0, "epoch": 799, "config": config}
    elif name.startswith("data2vec"):
        key = "model" if name == "data2vec_vitb16" else "module"
        content = {key: weights, "optimizer": {}, "args": argparse.Namespace(lr=2e-3)}
    else:
        content = {"model": weights}
    with pytest.MonkeyPatch.context() as patch:  # yacs need not be installed
        module = types.ModuleType("yacs.config")
        patch.setattr(CfgNode, "__module__", "yacs.config")
        patch.setitem(sys.modules, "yacs", types.ModuleType("yacs"))
        patch.setitem(sys.modules, "yacs.config", module)
        patch.setattr(module, "CfgNode", CfgNode, raising=False)
        return written(content, folder, "official.pth")


@pytest.fixture
def official(tmp_path: Path) -> Any:
    """`official(name, **surplus)`: see `file_of`."""
    return lambda name, **surplus: file_of(name, tmp_path, **surplus)


def expected(name: str, pixels: Tensor, mode: str, norm: bool = True) -> list[Tensor]:
    statistics = HALF if name.startswith("beit_") else IMAGENET
    inputs = standardised(pixels, *statistics)
    return beit(inputs, weights_of(name), heads=HEADS[name], mode=mode, norm=norm)


@pytest.mark.filterwarnings("ignore:Using a non-tuple sequence")  # in timm's own resize
@pytest.mark.parametrize(
    ("name", "mode"),
    [(n, None) for n in HEADS] + [(n, m) for n in FAMILIES for m in ("timm", "dino", "mae")],
)
def test_patch_tokens_equal_the_reference(name: str, mode: Any, official: Any) -> None:
    changes = {} if mode is None else {"position": mode}
    bone = opened(shrunk(name, HEADS[name] * HEAD), official(name), **changes)
    for rows, columns in SIZES if mode is None else SIZES[2:]:
        pixels = images(rows, columns, PATCH)
        for norm in (True, False):
            found = bone(pixels, layers=[0, 1], norm=norm)
            assert_equal(found, expected(name, pixels, mode or "beit", norm))


@pytest.mark.parametrize("name", HEADS)
def test_a_name_that_is_not_explained_is_an_error(name: str, official: Any) -> None:
    path = official(name, fc_norm=torch.ones(4))
    with pytest.raises(DataError, match=r"1 unexpected: fc_norm\."):
        opened(shrunk(name, HEADS[name] * HEAD), path)


@pytest.mark.parametrize("name", HEADS)
def test_a_file_without_its_table_is_an_error(
    name: str, official: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = "rel_pos_bias.relative_position_bias_table"
    monkeypatch.delitem(weights_of(name), table)
    with pytest.raises(DataError, match=rf"1 missing: {table}\."):
        opened(shrunk(name, HEADS[name] * HEAD), official(name))


def test_the_two_resizes_of_a_table_differ(official: Any) -> None:
    pixels = images(6, 6, PATCH)
    cubic, linear = (expected("simmim_vitb16", pixels, mode)[-1] for mode in ("beit", "timm"))
    assert (cubic - linear).abs().max() > 1e-3
