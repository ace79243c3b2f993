"""Models of stages by their feature maps: a layer is a stage, its stride is the patch size."""

from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from pydantic import TypeAdapter
from torch import Tensor

from patchlens.backbones.architecture import create, is_vit
from patchlens.backbones.convert import convert
from patchlens.backbones.load import load
from patchlens.backbones.maps import MapsBackbone
from patchlens.errors import SettingsError
from patchlens.plan.models import shape
from patchlens.settings.models import Model

SMALL: dict[str, tuple[str, dict[str, Any]]] = {
    "convnext": ("convnext_atto", {"depths": (1, 1, 1, 1), "dims": (8, 16, 24, 32)}),
    "swin": (
        "swin_tiny_patch4_window7_224",
        {"img_size": 64, "window_size": 4, "embed_dim": 8, "depths": (2, 2, 2, 2),
         "num_heads": (1, 2, 2, 4)},
    ),
    "swinv2": (
        "swinv2_tiny_window8_256",
        {"img_size": 64, "window_size": 4, "embed_dim": 8, "depths": (2, 2, 2, 2),
         "num_heads": (1, 2, 2, 4)},
    ),
    "hiera": ("hiera_tiny_224", {"img_size": 64, "embed_dim": 8, "stages": (1, 1, 1, 1)}),
    "resnet": ("resnet50", {"layers": (1, 1, 1, 1), "channels": (8, 8, 8, 8)}),
}  # fmt: skip
HALF = {"mean": [0.5] * 3, "std": [0.5] * 3}


def images(*size: int, batch: int = 2) -> Tensor:
    generator = torch.Generator().manual_seed(sum(size))
    return torch.randint(256, (batch, 3, *size), dtype=torch.uint8, generator=generator)


def build(kind: str, img_size: Any = None) -> Any:
    arch, args = SMALL[kind]
    if img_size is not None and "img_size" in args:
        args = args | {"img_size": img_size}
    torch.manual_seed(0)
    return timm.create_model(arch, num_classes=0, **args).eval()


def opened(kind: str, layer: int, model: Any = None) -> MapsBackbone:
    return MapsBackbone(
        model if model is not None else build(kind),
        layer=layer,
        rebuild=lambda size: build(kind, size),
        interpolation="bicubic",
        name=kind,
        **HALF,
    )


@pytest.mark.parametrize("kind", SMALL)
@pytest.mark.parametrize("layer", [-1, -2])
def test_tokens_are_the_map_of_the_stage_at_every_size_in_any_order(kind: str, layer: int) -> None:
    bone = opened(kind, layer)
    assert bone.patch_size == {-1: 32, -2: 16}[layer]
    for size in ((64, 64), (128, 192), (64, 64)):
        batch = images(*size)
        model = build(kind)
        if hasattr(model, "set_input_size"):
            model.set_input_size(size, window_size=4)
        expected = None
        if kind != "hiera" or size == (64, 64):  # else its positions are resampled: see below
            with torch.no_grad():
                expected = model.forward_intermediates(
                    (batch / 255 - 0.5) / 0.5, intermediates_only=True, norm=False
                )[layer].permute(0, 2, 3, 1)
        [found] = bone(batch, layers=[layer], norm=False)
        assert found.patches.shape == (2, *(s // bone.patch_size for s in size), bone.width)
        if expected is not None:
            torch.testing.assert_close(found.patches, expected, rtol=1e-4, atol=1e-5)


def test_hiera_resamples_its_positions_and_keeps_its_weights() -> None:
    bone = opened("hiera", -1)
    small, large = images(64, 64), images(64, 64).repeat_interleave(2, 2).repeat_interleave(2, 3)
    before = bone(small, layers=[-1], norm=True)[0].patches
    [of_large] = bone(large, layers=[-1], norm=True)
    assert of_large.patches.isfinite().all()
    stored = build("hiera").state_dict()
    for name, tensor in bone._model.state_dict().items():
        if name != "pos_embed":
            assert torch.equal(tensor, stored[name]), name
    assert bone._model.pos_embed.shape[1] == 4 * stored["pos_embed"].shape[1]
    assert torch.equal(bone(small, layers=[-1], norm=True)[0].patches, before)


@pytest.mark.parametrize("kind", SMALL)
def test_the_final_norm_is_of_the_last_stage_and_of_layer_norms_only(kind: str) -> None:
    changed = []
    for layer in (-1, -2):
        bone = opened(kind, layer)
        plain, normed = (bone(images(64, 64), layers=[layer], norm=n)[0].patches for n in (0, 1))
        changed.append(not torch.equal(plain, normed))
        if changed[-1]:
            assert normed.mean(-1).abs().max() < 1e-4
    assert changed == [kind != "resnet", False]


@pytest.mark.parametrize(
    "kind", [kind for kind in SMALL if kind != "resnet"]
)  # untrained, it has no centre
def test_a_marked_patch_changes_its_own_token_most(kind: str) -> None:
    bone = opened(kind, -2)
    plain = images(64, 96, batch=1)
    marked = plain.clone()
    marked[:, :, 16:32, 48:64] = 255 - marked[:, :, 16:32, 48:64]
    before, after = (bone(i, layers=[-2], norm=False)[0].patches for i in (plain, marked))
    moved = (before - after).norm(dim=-1)[0]
    assert divmod(int(moved.argmax()), 6) == (1, 3)


def test_stages_of_another_stride_are_not_mixed() -> None:
    bone = opened("convnext", 1)
    assert (bone.patch_size, bone.layers, bone.depth) == (8, [1], 4)
    with pytest.raises(ValueError, match="layer 0 has another stride or width than layer 1"):
        bone(images(64, 64), layers=[0, 1], norm=True)
    with pytest.raises(ValueError, match="layer 4 does not exist; allowed: -4 to 3"):
        opened("convnext", 4)


@pytest.mark.parametrize("layer", [None, 2, -1])
def test_a_slot_of_stages_is_converted_loaded_and_planned(
    tmp_path: Path, layer: int | None
) -> None:
    content = {"source": "untrained", "arch": "convnext_atto", "seed": 0, "layer": layer}
    settings = TypeAdapter(Model).validate_python(content)
    path = tmp_path / "m.safetensors"
    convert("m", settings, path, work=tmp_path)
    bone, planned = load(path, layer=3), shape("m", settings, 3)
    assert planned is not None
    assert bone.patch_size == planned.patch_size == {2: 16}.get(layer, 32)
    assert bone.width == planned.width == {2: 160}.get(layer, 320)
    assert bone.parameters == planned.parameters
    grid = 224 // bone.patch_size
    # timm's page of convnext_atto: 0.55 GMACs for the whole model at 224 × 224.
    assert planned.flops((grid, grid)) == pytest.approx(2 * 0.55e9, rel=0.02 if layer != 2 else 0.3)


def test_a_hybrid_is_refused() -> None:
    refused = pytest.raises(SettingsError, match="is neither a ViT with a single patch grid nor")
    with refused, torch.device("meta"):
        create("m", "vit_base_r50_s16_224", {})


def test_a_vit_is_never_read_by_its_maps() -> None:
    with torch.device("meta"):
        for arch in ("vit_tiny_patch16_224", "beit_base_patch16_224", "samvit_base_patch16"):
            assert is_vit(timm.create_model(arch)), arch
        for arch in ("convnext_atto", "hiera_tiny_224", "swin_tiny_patch4_window7_224"):
            assert not is_vit(timm.create_model(arch)), arch
