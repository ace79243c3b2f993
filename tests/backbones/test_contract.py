"""Images in, patch tokens out: where tokens lie, which layer they are of, what is refused."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from patchlens.backbones.vit import VitBackbone

Tiny, Wrap, Images = Callable[..., Any], Callable[..., VitBackbone], Callable[..., Tensor]
PREFIX = {"cls": 1, "registers": 5, "bare": 0, "beit": 1}


def blocks_of(model: Any, pixels: Tensor) -> list[Tensor]:
    """The output of every block, prefix included, by hooks on timm's own forward pass."""
    found: list[Tensor] = []
    hooks = [
        b.register_forward_hook(lambda _module, _inputs, out: found.append(out))
        for b in model.blocks
    ]
    with torch.inference_mode():
        model.forward_features(pixels)
    for hook in hooks:
        hook.remove()
    return found


@pytest.mark.parametrize("kind", PREFIX)
def test_patches_are_the_tokens_after_the_prefix(
    kind: str, tiny: Tiny, wrap: Wrap, images: Images, normed: Callable[[Tensor], Tensor]
) -> None:
    model, batch = tiny(kind), images()
    blocks = blocks_of(model, normed(batch))
    found = wrap(model)(batch, layers=[0, 1, 2], norm=False)
    for expected, tokens in zip(blocks, found, strict=True):
        patches = expected[:, PREFIX[kind] :].reshape(2, 4, 4, 24)
        torch.testing.assert_close(tokens.patches, patches, rtol=1e-5, atol=1e-5)
        if kind == "bare":
            assert tokens.cls is None
        else:
            torch.testing.assert_close(tokens.cls, expected[:, 0], rtol=1e-5, atol=1e-5)
        if kind == "registers":
            torch.testing.assert_close(tokens.registers, expected[:, 1:5], rtol=1e-5, atol=1e-5)
        else:
            assert tokens.registers is None


def test_swapped_mean_and_std_would_be_seen(
    tiny: Tiny, images: Images, normed: Callable[[Tensor], Tensor]
) -> None:
    model, batch = tiny(), images()
    right = blocks_of(model, normed(batch))[-1][:, 1:].reshape(2, 4, 4, 24)
    swapped = VitBackbone(
        model, mean=[0.1, 0.2, 0.3], std=[0.5, 0.4, 0.3], interpolation="bicubic", position="timm"
    )
    found = swapped(batch, layers=[-1], norm=False)[0].patches
    assert (found - right).abs().max() > 0.1


@pytest.mark.parametrize("kind", PREFIX)
def test_a_marked_patch_lands_in_its_row_and_column(kind: str, tiny: Tiny, wrap: Wrap) -> None:
    model = tiny(kind)
    for block in model.blocks:  # no mixing: a token depends on its own patch only
        block.attn.proj.weight.data.zero_()
    plain = torch.zeros(1, 3, 12, 20, dtype=torch.uint8)  # 3 rows, 5 columns
    marked = plain.clone()
    marked[:, :, 4:8, 12:16] = 255
    bone = wrap(model)
    before, after = (bone(i, layers=[-1], norm=True)[0].patches for i in (plain, marked))
    changed = (before != after).any(-1)[0]
    expected = torch.zeros(3, 5, dtype=torch.bool)
    expected[1, 3] = True
    assert torch.equal(changed, expected)


@pytest.mark.parametrize("kind", PREFIX)
def test_tokens_do_not_depend_on_the_rest_of_the_batch(
    kind: str, tiny: Tiny, wrap: Wrap, images: Images
) -> None:
    bone, batch = wrap(tiny(kind)), images(3, 8, 24)
    together = bone(batch, layers=[1], norm=True)[0].patches
    alone = torch.cat([bone(i[None], layers=[1], norm=True)[0].patches for i in batch])
    assert together.shape == (3, 2, 6, 24)
    torch.testing.assert_close(together, alone, rtol=1e-5, atol=1e-5)
    assert (together[0] - together[1]).abs().max() > 0.1


def test_layers_come_in_the_order_asked_for(tiny: Tiny, wrap: Wrap, images: Images) -> None:
    bone, batch = wrap(tiny()), images()
    single = [bone(batch, layers=[i], norm=True)[0].patches for i in range(3)]
    found = [t.patches for t in bone(batch, layers=[2, 0, -2, -1], norm=True)]
    for tokens, layer in zip(found, (2, 0, 1, 2), strict=True):
        torch.testing.assert_close(tokens, single[layer], rtol=0, atol=0)
    assert not torch.equal(single[0], single[2])


@pytest.mark.parametrize("layer", [3, -4])
def test_a_layer_that_does_not_exist(layer: int, tiny: Tiny, wrap: Wrap, images: Images) -> None:
    with pytest.raises(ValueError, match=rf"^layer {layer} does not exist; allowed: -3 to 2"):
        wrap(tiny())(images(), layers=[0, layer], norm=True)


@pytest.mark.parametrize("kind", [torch.float32, torch.int64, torch.int8])
def test_only_bytes_are_images(kind: torch.dtype, tiny: Tiny, wrap: Wrap, images: Images) -> None:
    with pytest.raises(TypeError, match=rf"^images must be uint8 RGB in 0\.\.255, not {kind}$"):
        wrap(tiny())(images().to(kind), layers=[0], norm=True)


@pytest.mark.parametrize("size", [(16, 18), (15, 16)])
def test_a_size_that_is_no_multiple_of_the_patch(
    size: tuple[int, int], tiny: Tiny, wrap: Wrap, images: Images
) -> None:
    expected = f"^{size[0]}×{size[1]} pixels are not a multiple of the patch size 4$"
    with pytest.raises(ValueError, match=expected):
        wrap(tiny())(images(1, *size), layers=[0], norm=True)


@pytest.mark.parametrize("shape", [(3, 16, 16), (1, 4, 16, 16), (1, 16, 16, 3)])
def test_a_shape_that_is_no_batch_of_rgb(shape: tuple[int, ...], tiny: Tiny, wrap: Wrap) -> None:
    with pytest.raises(ValueError, match=r"^images must be \[B, 3, H, W\], not \["):
        wrap(tiny())(torch.zeros(shape, dtype=torch.uint8), layers=[0], norm=True)


def test_a_backbone_says_what_it_is(tiny: Tiny, wrap: Wrap) -> None:
    model = tiny("registers")
    bone = wrap(model)
    assert (bone.patch_size, bone.width, bone.depth) == (4, 24, 3)
    assert bone.parameters == sum(p.numel() for p in model.parameters())
    assert not any(p.requires_grad for p in model.parameters())
