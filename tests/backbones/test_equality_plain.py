"""Every plain ViT of the registry, from a file in its authors' format, equals a reference."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from backbones.official import SIZES, assert_equal, images, opened, shrunk, written
from backbones.plain_cases import CASES, weights_of
from backbones.reference import mlp, standardised, swiglu, vit
from patchlens.errors import DataError

MODES = ("timm", "dino", "mae", "beit")


def file_of(name: str, folder: Path, **surplus: Tensor) -> Path:
    case = CASES[name]
    return written(case.nest(weights_of(name) | surplus), folder, f"official{case.suffix}")


def expected(
    name: str, pixels: Tensor, mode: str, norm: bool = True, g: tuple[float, float] = (1.0, 1.0)
) -> list[Tensor]:
    case = CASES[name]
    feed_forward = swiglu if case.swiglu else mlp
    inputs = standardised(pixels, *case.statistics)
    return vit(
        inputs,
        weights_of(name),
        heads=case.heads,
        mode=mode,
        feed_forward=feed_forward,
        g=g,
        norm=norm,
    )


@pytest.mark.parametrize("name", CASES)
def test_patch_tokens_equal_the_reference(name: str, tmp_path: Path) -> None:
    case = CASES[name]
    bone = opened(shrunk(name, case.width), file_of(name, tmp_path))
    for rows, columns in SIZES:
        pixels = images(rows, columns, case.patch)
        for norm in (True, False):
            found = bone(pixels, layers=[0, 1], norm=norm)
            assert_equal(found, expected(name, pixels, case.mode, norm))
    assert bone.interpolation == case.interpolation


# One of the four for each model; the rest are slow.
@pytest.mark.parametrize(
    ("name", "mode"),
    [
        pytest.param(name, mode, marks=[pytest.mark.slow] * ((number - m) % len(MODES) != 0))
        for number, name in enumerate(n for n, c in CASES.items() if c.mode != "gsd")
        for m, mode in enumerate(MODES)
    ],
)
def test_every_way_to_resize_positions_equals_its_formula(
    name: str, mode: Any, tmp_path: Path
) -> None:
    case = CASES[name]
    bone = opened(shrunk(name, case.width), file_of(name, tmp_path), position=mode)
    for rows, columns in SIZES[1:]:
        pixels = images(rows, columns, case.patch)
        assert_equal(bone(pixels, layers=[0, 1], norm=True), expected(name, pixels, mode))


@pytest.mark.parametrize("g", [0.3, 2.5])
def test_positions_in_metres_follow_the_size_of_a_pixel(g: float, tmp_path: Path) -> None:
    name = "scalemae_vitl16"
    for rows, columns in SIZES:
        side = g * rows * 16  # metres, so that a pixel of the input is g metres from top to bottom
        ratios = g, side / (columns * 16)
        bone = opened(shrunk(name, 64), file_of(name, tmp_path), ground=side)
        pixels = images(rows, columns, 16)
        found = bone(pixels, layers=[0, 1], norm=True)
        assert_equal(found, expected(name, pixels, "gsd", g=ratios))


@pytest.mark.parametrize("name", CASES)
def test_a_name_that_is_not_explained_is_an_error(name: str, tmp_path: Path) -> None:
    path = file_of(name, tmp_path, **{"blocks.0.attn.k_norm.weight": torch.ones(4)})
    with pytest.raises(DataError, match=r"1 unexpected: blocks\.0\.attn\.k_norm\.weight"):
        opened(shrunk(name, CASES[name].width), path)


def test_a_name_beside_the_prefix_that_is_not_explained_is_an_error(tmp_path: Path) -> None:
    path = file_of("mocov3_vits16", tmp_path)
    content = torch.load(path, weights_only=True)
    content["state_dict"]["module.adapter.weight"] = torch.ones(4)
    torch.save(content, path)
    with pytest.raises(DataError, match=r"1 unexpected: module\.adapter\.weight"):
        opened(shrunk("mocov3_vits16", CASES["mocov3_vits16"].width), path)
