"""Positions in metres (Scale-MAE): the formula, the ratio g, and what is refused."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from backbones.reference import ground
from patchlens.backbones.architecture import build
from patchlens.backbones.load import backbone, load
from patchlens.backbones.position import on_the_ground, resample
from patchlens.errors import DataError
from patchlens.settings.datasets import View

ARCH = "vit_tiny_patch16_224"
ARGS = {"embed_dim": 24, "depth": 1, "num_heads": 2, "patch_size": 4, "img_size": 16}
INPUT = {"mean": [0.5] * 3, "std": [0.5] * 3, "interpolation": "bicubic"}
# A stored embedding of another kind: too wide for sines, learned, or none.
OTHERS = {
    "learned": (ARCH, {}),
    "of a width that is no multiple of 4": (ARCH, {"embed_dim": 22}),
    "none": (ARCH, {"pos_embed": "none"}),
    "relative": ("beit_base_patch16_224", {}),
}


def scale_model() -> Any:
    torch.manual_seed(0)
    model = build(ARCH, ARGS)
    model.pos_embed.data.zero_()[:, 1:] = ground((4, 4), 24, (1.0, 1.0)).float()
    return model


def noise(height: int, width: int) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (1, 3, height, width), dtype=torch.uint8, generator=generator)


@pytest.mark.parametrize("grid", [(1, 1), (4, 4), (3, 7), (14, 14)], ids=str)
@pytest.mark.parametrize("g", [1.0, 0.3, 4.2])
def test_every_patch_has_the_sines_of_its_column_then_of_its_row(
    grid: tuple[int, int], g: float
) -> None:
    found = on_the_ground(grid, 24, (g, g))
    torch.testing.assert_close(found, ground(grid, 24, (g, g)).float(), rtol=0, atol=1e-6)


def test_a_stretched_input_has_a_ratio_for_each_side() -> None:
    found, truth = (f((3, 5), 24, (2.0, 0.5)).float() for f in (on_the_ground, ground))
    torch.testing.assert_close(found, truth, rtol=0, atol=1e-6)


def test_prefix_tokens_keep_what_is_stored() -> None:
    embedding = torch.full((1, 17, 24), 7.0)
    moved = resample(embedding, (4, 4), (2, 3), "gsd", (1.5, 1.5))
    assert moved.shape == (1, 7, 24)
    assert torch.equal(moved[:, :1], embedding[:, :1])
    assert torch.equal(moved[:, 1:], on_the_ground((2, 3), 24, (1.5, 1.5)))


def test_without_a_ground_the_stored_size_has_the_stored_positions() -> None:
    stored = backbone(scale_model(), **INPUT, position="mae")
    placed = backbone(scale_model(), **INPUT, position="gsd")
    before, after = (b(noise(16, 16), layers=[0], norm=True)[0].patches for b in (stored, placed))
    torch.testing.assert_close(before, after, rtol=0, atol=1e-6)


def test_the_ground_counts_at_the_stored_size_too() -> None:
    one, two = (
        backbone(scale_model(), **INPUT, position="gsd", ground=metres) for metres in (16.0, 32.0)
    )
    before, after = (b(noise(16, 16), layers=[0], norm=True)[0].patches for b in (one, two))
    assert (before - after).abs().max() > 0.1


def test_an_oblong_input_of_square_ground_is_coarser_along_its_short_side() -> None:
    placed = backbone(scale_model(), **INPUT, position="gsd", ground=64.0)
    oblong = build(ARCH, ARGS | {"img_size": (16, 32)})
    positions = on_the_ground((4, 8), 24, (64 / 16, 64 / 32))
    moved = torch.cat([torch.zeros(1, 1, 24), positions], 1)
    oblong.load_state_dict(scale_model().state_dict() | {"pos_embed": moved})
    direct = backbone(oblong, **INPUT, position="mae")
    found, expected = (b(noise(16, 32), layers=[0], norm=True)[0].patches for b in (placed, direct))
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-6)


def test_sizes_in_between_change_nothing() -> None:
    bone = backbone(scale_model(), **INPUT, position="gsd", ground=40.0)
    first = bone(noise(16, 16), layers=[0], norm=True)[0].patches
    bone(noise(8, 24), layers=[0], norm=True)
    assert torch.equal(bone(noise(16, 16), layers=[0], norm=True)[0].patches, first)


def test_positions_saved_in_half_precision_are_still_known() -> None:
    model = scale_model()
    model.pos_embed.data = model.pos_embed.data.half().float()
    assert backbone(model, **INPUT, position="gsd").depth == 1


@pytest.mark.parametrize("kind", OTHERS)
def test_positions_of_another_kind_are_not_thrown_away(kind: str) -> None:
    arch, changes = OTHERS[kind]
    with pytest.raises(DataError, match=r"gsd replaces the sines and cosines"):
        backbone(build(arch, ARGS | changes), **INPUT, position="gsd")


def test_the_weight_file_opens_with_the_ground_of_the_view(tmp_path: Path) -> None:
    about = {"arch": ARCH, "arch_args": json.dumps(ARGS), "position": "gsd", "source": "file"}
    about["sha256"] = "0"
    about |= {"mean": "[0.5, 0.5, 0.5]", "std": "[0.5, 0.5, 0.5]", "interpolation": "bicubic"}
    header = {"about": json.dumps(about)}
    save_file(dict(scale_model().state_dict()), tmp_path / "m.safetensors", metadata=header)
    view = View(mode="tiles", grid="paper", tile=64, pixels=[16, 16], gsd=0.5)
    opened = load(tmp_path / "m.safetensors", view.ground)
    # 64 pixels of 0.5 m over 16 pixels of input: 2 m a pixel.
    direct = backbone(scale_model(), **INPUT, position="gsd", ground=16 * 2.0)
    found, expected = (b(noise(16, 16), layers=[0], norm=True)[0].patches for b in (opened, direct))
    assert torch.equal(found, expected)
