"""The floors without a network, by hand."""

import pytest
import torch
from torch import Tensor

from patchlens.backbones.pixels import PixelsBackbone


def corners() -> Tensor:
    """2 rows and 3 columns of patches of 2×2; the patch at row 1, column 2 is half red."""
    image = torch.zeros(1, 3, 4, 6, dtype=torch.uint8)
    image[:, 0, 2:4, 4] = 255
    image[:, 2, 0:2, 0:2] = 51
    return image


def test_mean_colour_and_place() -> None:
    tokens = PixelsBackbone(2)(corners(), layers=[-1], norm=True)[0]
    expected = torch.tensor(
        [
            [[0, 0, 0.2, 0, 0], [0, 0, 0, 0, 1 / 3], [0, 0, 0, 0, 2 / 3]],
            [[0, 0, 0, 0.5, 0], [0, 0, 0, 0.5, 1 / 3], [0.5, 0, 0, 0.5, 2 / 3]],
        ]
    )
    torch.testing.assert_close(tokens.patches, expected[None])
    assert tokens.cls is None
    assert tokens.registers is None


def test_every_layer_is_the_same_with_and_without_norm() -> None:
    first, second = PixelsBackbone(2)(corners(), layers=[-1, -3], norm=False)
    normed = PixelsBackbone(2)(corners(), layers=[0], norm=True)[0]
    assert torch.equal(first.patches, second.patches)
    assert torch.equal(first.patches, normed.patches)


def test_the_contract_is_kept() -> None:
    with pytest.raises(TypeError, match="uint8"):
        PixelsBackbone(2)(corners().float(), layers=[0], norm=True)
    with pytest.raises(ValueError, match="4×6 pixels are not a multiple of the patch size 4"):
        PixelsBackbone(4)(corners(), layers=[0], norm=True)


def test_place_alone_tells_near_from_far_and_sees_no_colour() -> None:
    bone = PixelsBackbone(2, colour=False)
    assert (bone.name, bone.width) == ("place", 4)
    seen, black = (
        bone(images, layers=[0], norm=True)[0].patches[0]
        for images in (corners(), torch.zeros_like(corners()))
    )
    assert torch.equal(seen, black)
    half = torch.tensor(3.0).sqrt() / 2  # columns at 30, 90 and 150 degrees, rows at 30 and 90
    torch.testing.assert_close(seen[0, 0], torch.tensor([half, 0.5, half, 0.5]))
    from_corner = torch.cosine_similarity(seen, seen[:1, :1].expand_as(seen), dim=-1)
    assert (from_corner[:, :-1] > from_corner[:, 1:]).all()
    assert (from_corner[:-1] > from_corner[1:]).all()
