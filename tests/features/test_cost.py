"""The cost columns, against the arithmetic of a ViT; and floors that have no blocks."""

import pytest
import timm
from PIL import Image

from patchlens.backbones.pixels import PixelsBackbone
from patchlens.backbones.vit import VitBackbone
from patchlens.features.extract import Extractor, ImageSource
from patchlens.settings.datasets import View
from patchlens.settings.features import Features

ROWS, COLUMNS, PATCH, WIDTH, DEPTH = 4, 6, 8, 48, 3
ZERO, ONE = [0.0] * 3, [1.0] * 3


def extractor(backbone, view, layer=-1, norm=True) -> Extractor:
    settings = Features(layer=layer, layer_sweep=[], norm=norm, dtype="float16", batch_size=2)
    return Extractor(backbone, view, settings, "cpu")


def vit(**changes) -> VitBackbone:
    sizes = {"patch_size": PATCH, "embed_dim": WIDTH, "depth": DEPTH, "num_heads": 2}
    model = timm.create_model(
        "vit_tiny_patch16_224", num_classes=0, img_size=32, **sizes, **changes
    )
    return VitBackbone(model, mean=ZERO, std=ONE, interpolation="bicubic", position="timm")


def source(height: int, width: int) -> ImageSource:
    return ImageSource(["a"], lambda image_id: Image.new("RGB", (width, height)))


@pytest.mark.parametrize("tiles", [1, 4])
def test_gflops_are_those_of_the_formula(tiles: int) -> None:
    patches, tokens = ROWS * COLUMNS, ROWS * COLUMNS + 1
    block = 24 * tokens * WIDTH**2 + 4 * tokens**2 * WIDTH  # qkv, proj, mlp; scores and values
    embedding = 2 * patches * 3 * PATCH**2 * WIDTH
    view = View(mode="whole", grid="equal", patches=[ROWS, COLUMNS])
    if tiles == 4:
        view = View(mode="tiles", tile=32, grid="equal", patches=[ROWS, COLUMNS])
    found = extractor(vit(), view).gflops(source(64, 64))
    assert found == pytest.approx(tiles * (DEPTH * block + embedding) / 1e9, rel=1e-6)


def test_a_model_without_final_norm_has_a_cost_too() -> None:
    view = View(mode="whole", grid="equal", patches=[ROWS, COLUMNS])
    assert extractor(vit(final_norm=False), view, norm=False).gflops(source(32, 48)) > 0


@pytest.mark.parametrize("layer", [-3, 0, 7])
def test_a_floor_without_blocks_has_one_layer_whatever_is_asked(layer: int) -> None:
    view = View(mode="whole", grid="equal", patches=[ROWS, COLUMNS])
    assert extractor(PixelsBackbone(PATCH), view, layer=layer).layers == [0]
