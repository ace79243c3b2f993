"""The final norm is applied when asked for, wherever timm keeps it (trap 6)."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from patchlens.backbones.vit import VitBackbone
from patchlens.errors import DataError

Tiny, Wrap, Images = Callable[..., Any], Callable[..., VitBackbone], Callable[..., Tensor]
PLACES = {
    "cls": ("cls", {}, "norm"),
    "registers": ("registers", {}, "norm"),
    "averaged, no prefix": ("bare", {}, "fc_norm"),
    "averaged": ("cls", {"global_pool": "avg"}, "fc_norm"),
    "beit": ("beit", {}, "norm"),
    "averaged beit": ("beit", {"global_pool": "avg"}, "fc_norm"),
}


@pytest.mark.parametrize("place", PLACES)
def test_norm_is_the_models_own_layer_norm(
    place: str, tiny: Tiny, wrap: Wrap, images: Images
) -> None:
    kind, changes, name = PLACES[place]
    model = tiny(kind, **changes)
    final = getattr(model, name)
    assert isinstance(final, nn.LayerNorm)
    bone, batch = wrap(model), images()
    plain = bone(batch, layers=[0, 2], norm=False)
    normed = bone(batch, layers=[0, 2], norm=True)
    for before, after in zip(plain, normed, strict=True):
        for part in ("patches", "cls", "registers"):
            x, y = getattr(before, part), getattr(after, part)
            if x is None:
                assert y is None
                continue
            expected = functional.layer_norm(x, (24,), final.weight, final.bias, final.eps)
            torch.testing.assert_close(y, expected, rtol=1e-5, atol=1e-5)
            assert (x - y).abs().max() > 0.1


def test_default_token_pooling_equals_forward_features(
    tiny: Tiny, wrap: Wrap, images: Images, normed: Callable[[Tensor], Tensor]
) -> None:
    model, batch = tiny("registers"), images()
    with torch.inference_mode():
        expected = model.forward_features(normed(batch))
    found = wrap(model)(batch, layers=[-1], norm=True)[0]
    torch.testing.assert_close(found.patches.flatten(1, 2), expected[:, 5:], rtol=1e-5, atol=1e-5)


def test_a_missing_final_norm_is_an_error_only_if_asked_for(
    tiny: Tiny, wrap: Wrap, images: Images
) -> None:
    model = tiny()
    model.norm = nn.Identity()
    bone, batch = wrap(model), images()
    message = (
        r"^VisionTransformer: no final norm in `norm` or `fc_norm`; set features\.norm: false$"
    )
    with pytest.raises(DataError, match=message):
        bone(batch, layers=[-1], norm=True)
    assert bone(batch, layers=[-1], norm=False)[0].patches.shape == (2, 4, 4, 24)
