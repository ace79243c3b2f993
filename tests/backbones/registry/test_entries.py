"""What every entry of the registry says agrees with the architecture that it names."""

import re

import pytest
import torch

from patchlens.backbones.architecture import Undrawn, create, is_vit
from patchlens.backbones.maps import stages_of
from patchlens.backbones.registry.read import entries
from patchlens.backbones.rules import RULES

ENTRIES = entries()
FAMILIES = {
    "supervised": {"vitb16_in1k", "vitl16_in1k", "augreg_vitb16_in21k", "deit_vitb16"},
    "dino": {"dino_vits16", "dino_vits8", "dino_vitb16", "dino_vitb8"},
    "dinov2": {f"dinov2_vit{s}14{reg}" for s in "sblg" for reg in ("", "_reg")},
    "ibot": {"ibot_vits16", "ibot_vitb16", "ibot_vitl16", "ibot_vitb16_in22k", "ibot_vitl16_in22k"},
    "mae": {"mae_vitb16", "mae_vitl16", "mae_vith14"},
    "others": {"mocov3_vits16", "mocov3_vitb16", "msn_vitb16", "scalemae_vitl16"},
    "ijepa": {"ijepa_vith14_encoder", "ijepa_vith14_target_encoder"},
}


@pytest.mark.parametrize("family", FAMILIES)
def test_the_families_of_the_issue_are_there(family: str) -> None:
    assert FAMILIES[family] <= set(ENTRIES)


@pytest.mark.parametrize("name", ENTRIES)
def test_stated_sizes_are_those_of_the_architecture(name: str) -> None:
    entry = ENTRIES[name]
    with torch.device("meta"), Undrawn():
        model = create(name, entry.arch, entry.arch_args)
    parameters = sum(p.numel() for p in model.parameters()) / 1e6
    assert abs(parameters - entry.parameters_m) < 0.01 * parameters
    stated = (entry.patch_size, entry.width, entry.depth, entry.prefix_tokens)
    if is_vit(model):
        built = (model.patch_embed.patch_size[0], model.embed_dim, len(model.blocks))
    else:
        stages = stages_of(model)
        built = (*stages[-1], len(stages))
    assert stated == (*built, getattr(model, "num_prefix_tokens", 0))


@pytest.mark.parametrize("name", ENTRIES)
def test_terms_are_stated(name: str) -> None:
    entry = ENTRIES[name]
    assert entry.licence
    assert entry.citation
    assert entry.homepage.startswith("https://")


def test_the_families_that_forbid_commercial_use_are_marked_and_no_others() -> None:
    restricted = {"MAE", "MoCo v3", "MSN", "I-JEPA", "Scale-MAE", "data2vec", "AIMv2"}
    marked = {name for name, entry in ENTRIES.items() if entry.non_commercial}
    assert marked == {name for name, entry in ENTRIES.items() if entry.family in restricted}


@pytest.mark.parametrize("name", ENTRIES)
def test_mappings_name_rules_that_exist_and_patterns_that_compile(name: str) -> None:
    mapping = ENTRIES[name].mapping
    assert set(mapping.rules) <= set(RULES)
    for pattern, _ in mapping.rename:
        re.compile(pattern)
