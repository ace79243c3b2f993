"""torchvision's ViTs, from a file under torchvision's names, equal a reference on those names."""

from pathlib import Path

import pytest
import torch
from torch import Tensor

from backbones.official import (
    DEPTH,
    IMAGENET,
    SIDE,
    SIZES,
    Shapes,
    assert_equal,
    drawn,
    images,
    linear_shapes,
    norm_shapes,
    opened,
    shrunk,
    written,
)
from backbones.reference import (
    attend,
    doubled,
    gelu,
    grid_of,
    heads_of,
    layer_norm,
    linear,
    patchify,
    position,
    standardised,
)
from patchlens.errors import DataError

HEADS = {"vitb16_in1k": 12, "vitl16_in1k": 16}
LAYER = "encoder.layers.encoder_layer_{}"


def shapes(width: int) -> Shapes:
    found: Shapes = {
        "class_token": (1, 1, width),
        "conv_proj.weight": (width, 3, 16, 16),
        "conv_proj.bias": (width,),
        "encoder.pos_embedding": (1, 1 + SIDE**2, width),
    }
    for i in range(DEPTH):
        name = LAYER.format(i)
        found |= norm_shapes(f"{name}.ln_1", width) | norm_shapes(f"{name}.ln_2", width)
        found |= {
            f"{name}.self_attention.in_proj_weight": (3 * width, width),
            f"{name}.self_attention.in_proj_bias": (3 * width,),
        }
        found |= linear_shapes(f"{name}.self_attention.out_proj", width, width)
        found |= linear_shapes(f"{name}.mlp.0", 4 * width, width)
        found |= linear_shapes(f"{name}.mlp.3", width, 4 * width)
    return found | norm_shapes("encoder.ln", width) | linear_shapes("heads.head", 10, width)


def file_of(name: str, folder: Path, **surplus: Tensor) -> Path:
    return written(drawn(shapes(4 * HEADS[name])) | surplus, folder, "official.pth")


def reference(pixels: Tensor, weights: dict[str, Tensor], heads: int) -> Tensor:
    """The last block's patch tokens after the final norm."""
    w = doubled(weights)
    grid = grid_of(pixels, w["conv_proj.weight"])
    x = patchify(pixels, w, "conv_proj")
    x = torch.cat([w["class_token"].expand(len(x), -1, -1), x], 1)
    x = x + position(w["encoder.pos_embedding"], 1, grid, "timm")
    for i in range(DEPTH):
        name = LAYER.format(i)
        y = layer_norm(x, w, f"{name}.ln_1", 1e-6)
        joined = y @ w[f"{name}.self_attention.in_proj_weight"].T
        joined = joined + w[f"{name}.self_attention.in_proj_bias"]
        q, k, v = (heads_of(part, heads) for part in joined.chunk(3, -1))
        x = x + linear(attend(q, k, v), w, f"{name}.self_attention.out_proj")
        y = gelu(linear(layer_norm(x, w, f"{name}.ln_2", 1e-6), w, f"{name}.mlp.0"))
        x = x + linear(y, w, f"{name}.mlp.3")
    return layer_norm(x, w, "encoder.ln", 1e-6)[:, 1:].reshape(len(x), *grid, -1)


@pytest.mark.parametrize("name", HEADS)
def test_patch_tokens_equal_the_reference(name: str, tmp_path: Path) -> None:
    heads = HEADS[name]
    weights = drawn(shapes(4 * heads))
    bone = opened(shrunk(name, 4 * heads), written(weights, tmp_path, "official.pth"))
    for rows, columns in SIZES:
        pixels = images(rows, columns, 16)
        truth = reference(standardised(pixels, *IMAGENET), weights, heads)
        assert_equal(bone(pixels, layers=[-1], norm=True), [truth])
    assert bone.interpolation == "bilinear"


@pytest.mark.parametrize("name", HEADS)
def test_a_name_that_is_not_explained_is_an_error(name: str, tmp_path: Path) -> None:
    width = 4 * HEADS[name]
    surplus = {"encoder.layers.encoder_layer_0.ln_3.weight": torch.ones(width)}
    path = file_of(name, tmp_path, **surplus)
    with pytest.raises(DataError, match=r"1 unexpected: encoder\.layers\.encoder_layer_0\.ln_3"):
        opened(shrunk(name, width), path)
