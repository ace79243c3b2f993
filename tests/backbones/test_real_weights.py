"""Real ViT-S/14 weights through the whole way, against plain timm."""

from collections.abc import Callable
from pathlib import Path

import pytest
import timm
import torch
from safetensors.torch import load_file
from torch import Tensor

from backbones.reference import standardised, vit
from patchlens.backbones.convert import load_entry
from patchlens.backbones.load import backbone, load, provenance
from patchlens.backbones.registry.read import entries

ARCH = "vit_small_patch14_dinov2"


@pytest.fixture
def reference(weights: Path) -> torch.nn.Module:
    model = timm.create_model(ARCH, pretrained=False, num_classes=0)
    model.load_state_dict(load_file(weights), strict=True)
    return model.eval()


def plain(images: Tensor) -> Tensor:
    mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    return (images / 255 - mean.view(3, 1, 1)) / std.view(3, 1, 1)


def test_tokens_equal_plain_timm_at_native_size(
    weights: Path, reference: torch.nn.Module, convert: Callable[..., Path]
) -> None:
    path = convert({"source": "file", "file": str(weights), "arch": ARCH, "position": "dino"})
    assert provenance(path)["origin"].startswith("file dinov2_vits14.safetensors, sha256 ")
    generator = torch.Generator().manual_seed(0)
    coarse = torch.randint(0, 256, (1, 3, 37, 37), dtype=torch.uint8, generator=generator)
    images = coarse.repeat_interleave(14, 2).repeat_interleave(14, 3)
    with torch.inference_mode():
        expected = reference.forward_features(plain(images))
    found = load(path)(images, layers=[-1], norm=True)[0]
    assert found.patches.shape == (1, 37, 37, 384)
    difference = (found.patches.flatten(1, 2) - expected[:, 1:]).abs().max()
    assert difference < 1e-5 * expected.abs().max()
    assert (found.cls - expected[:, 0]).abs().max() < 1e-5 * expected.abs().max()


def test_trained_tokens_equal_the_reference_at_another_size(weights: Path, tmp_path: Path) -> None:
    entry = entries()["dinov2_vits14"]
    # The official file is flat and holds a mask token beside the backbone.
    tensors = {name: tensor.float() for name, tensor in load_file(weights).items()}
    torch.save(tensors | {"mask_token": torch.zeros(1, 384)}, tmp_path / "official.pth")
    model, _ = load_entry(entry, tmp_path / "official.pth", "test")
    bone = backbone(
        model,
        mean=entry.mean,
        std=entry.std,
        interpolation=entry.interpolation,
        position=entry.position,
    )
    generator = torch.Generator().manual_seed(0)
    coarse = torch.randint(0, 256, (1, 3, 10, 16), dtype=torch.uint8, generator=generator)
    images = coarse.repeat_interleave(14, 2).repeat_interleave(14, 3)
    pixels = standardised(images, [0.485, 0.456, 0.406], [0.229, 0.224, 0.225])
    expected = vit(pixels, tensors, heads=6, mode="dino")[-1]
    found = bone(images, layers=[-1], norm=True)[0].patches
    assert (found - expected).abs().max() < 1e-5 * expected.abs().max()
