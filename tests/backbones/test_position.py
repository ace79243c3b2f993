"""Each mode of resampling position embeddings equals the code that it is named after."""

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from timm.layers import resample_abs_pos_embed
from torch import Tensor
from torch.nn import functional

from patchlens.backbones.position import resample
from patchlens.backbones.vit import VitBackbone

TARGETS = [(2, 2), (4, 7), (9, 5), (8, 8), (3, 4)]
MODES = ("timm", "dino", "mae")
Tiny, Wrap, Images = Callable[..., Any], Callable[..., VitBackbone], Callable[..., Tensor]


def stored(prefix: int, side: int = 4, width: int = 6) -> Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.randn(1, prefix + side**2, width, generator=generator)


def as_timm(embedding: Tensor, prefix: int, grid: tuple[int, int]) -> Tensor:
    return resample_abs_pos_embed(embedding, list(grid), num_prefix_tokens=prefix)


def as_dino(embedding: Tensor, prefix: int, grid: tuple[int, int]) -> Tensor:
    """`interpolate_pos_encoding` of DINO's vision_transformer.py."""
    patches = embedding[:, prefix:]
    count, dim = patches.shape[1:]
    side = int(math.sqrt(count))
    h0, w0 = grid[0] + 0.1, grid[1] + 0.1
    patches = functional.interpolate(
        patches.reshape(1, side, side, dim).permute(0, 3, 1, 2),
        scale_factor=(h0 / math.sqrt(count), w0 / math.sqrt(count)),
        mode="bicubic",
    )
    assert (int(h0), int(w0)) == patches.shape[-2:]
    patches = patches.permute(0, 2, 3, 1).view(1, -1, dim)
    return torch.cat((embedding[:, :prefix], patches), dim=1)


def as_mae(embedding: Tensor, prefix: int, grid: tuple[int, int]) -> Tensor:
    """`interpolate_pos_embed` of MAE's util/pos_embed.py, for any target."""
    extra, patches = embedding[:, :prefix], embedding[:, prefix:]
    side = int(patches.shape[1] ** 0.5)
    patches = patches.reshape(-1, side, side, embedding.shape[-1]).permute(0, 3, 1, 2)
    patches = functional.interpolate(patches, size=grid, mode="bicubic", align_corners=False)
    return torch.cat((extra, patches.permute(0, 2, 3, 1).flatten(1, 2)), dim=1)


REFERENCES = {"timm": as_timm, "dino": as_dino, "mae": as_mae}


@pytest.mark.parametrize("grid", TARGETS, ids=str)
@pytest.mark.parametrize("prefix", [0, 1, 5])
@pytest.mark.parametrize("mode", MODES)
def test_mode_equals_its_reference(mode: Any, prefix: int, grid: tuple[int, int]) -> None:
    embedding = stored(prefix)
    found = resample(embedding, (4, 4), grid, mode)
    expected = REFERENCES[mode](embedding, prefix, grid)
    assert found.shape == (1, prefix + grid[0] * grid[1], 6)
    torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-6)
    assert torch.equal(found[:, :prefix], embedding[:, :prefix])


@pytest.mark.parametrize("grid", [(2, 2), (9, 5)], ids=str)
def test_modes_differ(grid: tuple[int, int]) -> None:
    timm, dino, mae = (resample(stored(1), (4, 4), grid, mode) for mode in MODES)
    assert (dino - mae).abs().max() > 1e-3
    assert (dino - timm).abs().max() > 1e-3
    assert (timm - mae).abs().max() > 1e-3


@pytest.mark.parametrize("mode", MODES)
def test_the_stored_grid_is_left_as_it_is(mode: Any) -> None:
    embedding = stored(1)
    assert torch.equal(resample(embedding, (4, 4), (4, 4), mode), embedding)


def test_a_stored_grid_may_be_oblong() -> None:
    embedding = torch.tensor([[5.0, 1, 4, 2, 0, 7]]).view(1, 6, 1)
    rows = embedding.view(1, 1, 2, 3)
    expected = functional.interpolate(rows, size=(2, 6), mode="bicubic").view(1, 12, 1)
    torch.testing.assert_close(resample(embedding, (2, 3), (2, 6), "mae"), expected)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(("kind", "prefix"), [("cls", 1), ("registers", 0), ("bare", 0)])
def test_backbone_uses_the_mode(
    kind: str, prefix: int, mode: Any, tiny: Tiny, wrap: Wrap, images: Images, normed: Any
) -> None:
    model, batch = tiny(kind), images(1, 8, 24)
    moved = REFERENCES[mode](model.pos_embed.data.clone(), prefix, (2, 6))
    reference = tiny(kind, img_size=(8, 24))
    reference.load_state_dict(model.state_dict() | {"pos_embed": moved})
    with torch.inference_mode():
        expected = reference.forward_features(normed(batch))[:, reference.num_prefix_tokens :]
    found = wrap(model, mode)(batch, layers=[-1], norm=kind != "bare")[0].patches
    torch.testing.assert_close(found.flatten(1, 2), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("kind", ["cls", "registers", "bare", "beit"])
def test_other_sizes_in_between_change_nothing(
    kind: str, tiny: Tiny, wrap: Wrap, images: Images
) -> None:
    bone = wrap(tiny(kind), "dino")
    native, other = images(), images(1, 24, 8)
    before, first = (bone(i, layers=[-1], norm=True)[0].patches for i in (native, other))
    for size in ((4, 4), (40, 12)):
        bone(images(1, *size), layers=[-1], norm=True)
    again, second = (bone(i, layers=[-1], norm=True)[0].patches for i in (native, other))
    assert torch.equal(before, again)
    assert torch.equal(first, second)


def test_going_back_restores_the_stored_embedding(tiny: Tiny, wrap: Wrap, images: Images) -> None:
    model = tiny()
    before = model.pos_embed.detach().clone()
    bone = wrap(model, "dino")
    bone(images(1, 8, 24), layers=[0], norm=True)
    assert model.pos_embed.shape == (1, 13, 24)
    bone(images(), layers=[0], norm=True)
    assert torch.equal(model.pos_embed, before)
