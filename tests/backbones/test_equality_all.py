"""Every entry of the registry has its equality test, and each of these sees a wrong entry."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from backbones import test_equality_language as language
from backbones import test_equality_maps as maps
from backbones import test_equality_plain as plain
from backbones import test_equality_relative as relative
from backbones import test_equality_rotary as rotary
from backbones import test_equality_sam as sam
from backbones import test_equality_torchvision as torchvision
from backbones.official import IMAGENET, images, opened, shrunk
from patchlens.backbones.contract import Backbone
from patchlens.backbones.registry.entry import Entry
from patchlens.backbones.registry.read import entries
from patchlens.errors import DataError

# One of each kind of block: the module of its test, and its width there.
MODELS: dict[str, tuple[Any, int]] = {
    "dino_vits16": (plain, 24),
    "mocov3_vits16": (plain, 48),
    "dinov2_vits14_reg": (plain, 24),
    "clip_vitb16": (language, 48),
    "siglip2_vitb16": (language, 48),
    "aimv2_vitl14": (language, 32),
    "eva02_vitb14": (rotary, 192),
    "dinov3_vits16": (rotary, 96),
}
Mutation = Callable[[Entry, Path], Backbone]


def test_every_entry_is_compared_with_a_reference() -> None:
    tested = plain.CASES.keys() | language.HEADS.keys() | relative.HEADS.keys()
    tested |= rotary.HEADS.keys() | sam.HEADS.keys() | torchvision.HEADS.keys()
    tested |= set(maps.ENTRIES)
    assert tested == entries().keys()


def heads(entry: Entry, path: Path) -> Backbone:
    args = entry.arch_args | {"num_heads": 2}
    return opened(entry.model_copy(update={"arch_args": args}), path)


def statistics(entry: Entry, path: Path) -> Backbone:
    swapped = (entry.std, entry.mean) if entry.std != entry.mean else IMAGENET
    return opened(entry, path, mean=swapped[0], std=swapped[1])


def eps(entry: Entry, path: Path) -> Backbone:
    bone: Any = opened(entry, path)
    for module in bone._model.modules():
        if hasattr(module, "eps"):
            module.eps = 1e-6 if module.eps == 1e-5 else 1e-5
    return bone  # type: ignore[no-any-return]


def difference(name: str, bone: Backbone, *, normed: bool = True) -> float:
    module, _ = MODELS[name]
    pixels = images(3, 7, bone.patch_size)
    mode = entries()[name].position
    (found,) = bone(pixels, layers=[1], norm=normed)
    return float((found.patches.double() - module.expected(name, pixels, mode)[1]).abs().max())


@pytest.mark.parametrize("wrong", [heads, statistics, eps])
@pytest.mark.parametrize("name", MODELS)
def test_a_wrong_entry_is_seen(name: str, wrong: Mutation, tmp_path: Path) -> None:
    module, width = MODELS[name]
    entry, path = shrunk(name, width), module.file_of(name, tmp_path)
    assert difference(name, opened(entry, path)) < 1e-5
    try:
        bone = wrong(entry, path)
    except DataError:
        return  # refused: as loud as a test can be
    assert difference(name, bone) > 1e-5


@pytest.mark.parametrize("name", MODELS)
def test_tokens_without_the_final_norm_are_seen(name: str, tmp_path: Path) -> None:
    module, width = MODELS[name]
    bone = opened(shrunk(name, width), module.file_of(name, tmp_path))
    assert difference(name, bone, normed=False) > 1e-5


@pytest.mark.parametrize("name", MODELS)
def test_an_architecture_without_the_final_norm_does_not_load(name: str, tmp_path: Path) -> None:
    module, width = MODELS[name]
    without = {"use_fc_norm": True} if module is rotary else {"final_norm": False}
    with pytest.raises(DataError, match=r"unexpected: .*norm\.weight"):
        opened(shrunk(name, width, **without), module.file_of(name, tmp_path))
