"""What the entries say of architectures that no tiny model shows: sizes as the authors publish."""

from typing import Any

import pytest
import timm
import torch

from backbones.reference import OF_STAGES
from patchlens.backbones.architecture import Undrawn
from patchlens.backbones.registry.read import entries

BEIT_B, BEIT_L = (768, 12, 12), (1024, 24, 16)
# width, blocks, heads
SIZES = {
    "simmim_vitb16": BEIT_B,
    "beit_vitb16_pt22k": BEIT_B,
    "beit_vitl16_pt22k": BEIT_L,
    "beitv2_vitb16": BEIT_B,
    "beitv2_vitb16_300e": BEIT_B,
    "beitv2_vitl16": BEIT_L,
    "data2vec_vitb16": BEIT_B,
    "data2vec_vitl16": BEIT_L,
    "data2vec_vitl16_800e": BEIT_L,
    "clip_vitb32": (768, 12, 12),
    "clip_vitb16": (768, 12, 12),
    "clip_vitl14": (1024, 24, 16),
    "siglip2_vitb16": (768, 12, 12),
    "siglip2_so400m14": (1152, 27, 16),
    "sam_vitb16": (768, 12, 12),
    "sam_vitl16": (1024, 24, 16),
    "sam_vith16": (1280, 32, 16),
    "eva02_vits14": (384, 12, 6),
    "eva02_vitb14": (768, 12, 12),
    "eva02_vitl14": (1024, 24, 16),
    "eva02_vitl14_m38m": (1024, 24, 16),
    "aimv2_vitl14": (1024, 24, 8),
    "aimv2_vith14": (1536, 24, 12),
    "dinov3_vits16": (384, 12, 6),
    "dinov3_vits16plus": (384, 12, 6),
    "dinov3_vitb16": (768, 12, 12),
    "dinov3_vitl16": (1024, 24, 16),
    "dinov3_vitl16_sat": (1024, 24, 16),
    "dinov3_vith16plus": (1280, 32, 20),
}
# Blocks that attend everywhere; all others in windows of 14 × 14.
GLOBAL = {
    "sam_vitb16": [2, 5, 8, 11],
    "sam_vitl16": [5, 11, 17, 23],
    "sam_vith16": [7, 15, 23, 31],
}


def built(name: str) -> Any:
    """The full architecture, without memory for its weights."""
    entry = entries()[name]
    with torch.device("meta"), Undrawn():
        return timm.create_model(entry.arch, num_classes=0, **entry.arch_args)


@pytest.mark.parametrize("name", SIZES)
def test_the_architecture_is_the_published_one(name: str) -> None:
    entry, model = entries()[name], built(name)
    heads = {block.attn.num_heads for block in model.blocks}
    assert (model.embed_dim, len(model.blocks), heads) == (*SIZES[name][:2], {SIZES[name][2]})
    assert (entry.width, entry.depth) == SIZES[name][:2]
    assert model.patch_embed.patch_size == (entry.patch_size, entry.patch_size)
    assert getattr(model, "num_prefix_tokens", 0) == entry.prefix_tokens
    millions = sum(p.numel() for p in model.parameters()) / 1e6
    assert millions == pytest.approx(entry.parameters_m, abs=0.005)


@pytest.mark.parametrize("name", GLOBAL)
def test_sam_attends_everywhere_in_four_blocks(name: str) -> None:
    model = built(name)
    windows = [block.window_size for block in model.blocks]
    everywhere = [i for i, window in enumerate(windows) if window == 0]
    assert everywhere == GLOBAL[name]
    assert {window for window in windows if window} == {14}
    assert model.num_features == 256


def test_every_entry_of_these_families_is_listed() -> None:
    families = {"SimMIM", "BEiT", "BEiT v2", "data2vec", "CLIP", "SigLIP 2", "SAM", "EVA-02"}
    families |= {"AIMv2", "DINOv3"}
    found = {name for name, entry in entries().items() if entry.family in families}
    assert {name for name in found if not name.startswith(OF_STAGES)} == SIZES.keys()
