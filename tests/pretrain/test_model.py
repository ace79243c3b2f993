"""The ViT that all objectives begin with."""

import torch

from patchlens.backbones.architecture import create
from patchlens.backbones.untrained import draw_weights
from patchlens.pretrain.model import ARCH, arch_args, build
from pretrain.small import SIDE, small_recipe

SHARED = small_recipe("mae").shared


def test_positions_are_fixed_sines_of_row_and_column() -> None:
    model = build(SHARED, 0)
    assert not model.pos_embed.requires_grad
    assert all(p.requires_grad for name, p in model.named_parameters() if name != "pos_embed")
    position = model.pos_embed[0]
    assert not position[0].any()  # of the class token
    side, half = SIDE // SHARED.arch.patch_size, SHARED.arch.embed_dim // 2
    column, row = position[1:].view(side, side, 2, half).unbind(2)
    assert torch.equal(column, column[:1].expand_as(column))
    assert torch.equal(row, row[:, :1].expand_as(row))
    # Frequencies 10000^(-i/n): the first is 1.
    torch.testing.assert_close(column[0, :, 0], torch.arange(side).float().sin())
    torch.testing.assert_close(row[:, 0, half // 2], torch.arange(side).float().cos())


def test_other_weights_are_those_of_an_untrained_model() -> None:
    product = create("models.mini", ARCH, arch_args(SHARED))
    drawn, found = draw_weights(product, 3), build(SHARED, 3).state_dict()
    assert drawn.keys() == found.keys()
    assert [name for name in drawn if not torch.equal(drawn[name], found[name])] == ["pos_embed"]


def test_crops_of_any_size_go_in() -> None:
    model = build(SHARED, 0).eval()
    for side in (8, 16, 24):
        tokens = model.forward_features(torch.zeros(2, 3, side, side))
        assert tokens.shape == (2, 1 + (side // 4) ** 2, 24)
