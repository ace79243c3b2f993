"""What tokens promise, for every architecture of the registry at a tiny width (see contract.py)."""

from functools import cache
from typing import Any

import pytest
import torch
from torch import Tensor

from backbones.reference import OF_STAGES, ground
from patchlens.backbones.architecture import Undrawn, build
from patchlens.backbones.contract import Backbone
from patchlens.backbones.load import backbone
from patchlens.backbones.registry.entry import Entry
from patchlens.backbones.registry.read import entries

ROWS, COLUMNS = 3, 5
SIDE = 4  # patches along a side of the stored grid
# The smallest entry of each family, and of each kind of prefix and positions in it.
KINDS: dict[tuple[Any, ...], str] = {
    (entry.family, entry.prefix_tokens, entry.position): name
    for name, entry in sorted(entries().items(), key=lambda item: -item[1].parameters_m)
    if not name.startswith(OF_STAGES)  # see test_maps.py and test_equality_maps.py
}
NAMES = sorted(KINDS.values())
HALVES = {"bfloat16": (torch.bfloat16, 3e-2), "float16": (torch.float16, 4e-3)}


def tiny(entry: Entry, mixing: bool, prefix: float) -> Any:
    """The entry's model at 8 channels a head, two blocks and a 4 × 4 grid, all weights random.

    Without `mixing`, attention adds nothing, so that a token depends on its own patch only;
    `prefix` is added to every other channel of class token and registers.
    """
    with torch.device("meta"), Undrawn():
        heads = build(entry.arch, entry.arch_args | {"depth": 1}).blocks[0].attn.num_heads
    small = {"embed_dim": 8 * heads, "depth": 2, "img_size": SIDE * entry.patch_size}
    model = build(entry.arch, entry.arch_args | small)
    generator = torch.Generator().manual_seed(0)
    for name, parameter in model.named_parameters():
        spread = 0.1 if parameter.ndim == 1 else 0.5 / parameter[0].numel() ** 0.5
        parameter.data.normal_(0, spread, generator=generator)
        if parameter.ndim == 1 and name.endswith("weight"):
            parameter.data.add_(1)
        if not mixing and ".attn.proj." in name:
            parameter.data.zero_()
        if name in ("cls_token", "reg_token"):
            parameter.data[..., ::2] += prefix  # all would be undone by a norm
    if entry.position == "gsd":
        model.pos_embed.data.zero_()[:, 1:] = ground((SIDE, SIDE), 8 * heads, (1.0, 1.0)).float()
    return model


@cache
def wrapped(name: str, mixing: bool = True, prefix: float = 0.0) -> Backbone:
    entry = entries()[name]
    return backbone(
        tiny(entry, mixing, prefix),
        mean=entry.mean,
        std=entry.std,
        interpolation=entry.interpolation,
        position=entry.position,
    )


def noise(entry: Entry, count: int = 2, rows: int = ROWS, columns: int = COLUMNS) -> Tensor:
    generator = torch.Generator().manual_seed(count)
    size = (count, 3, rows * entry.patch_size, columns * entry.patch_size)
    return torch.randint(0, 256, size, dtype=torch.uint8, generator=generator)


@pytest.mark.parametrize("name", NAMES)
def test_an_oblong_grid_of_patches_comes_without_its_prefix(name: str) -> None:
    entry = entries()[name]
    bone = wrapped(name)
    for norm in (True, False):
        found = bone(noise(entry), layers=[0, -1], norm=norm)
        assert len(found) == 2
        for tokens in found:
            assert tokens.patches.shape == (2, ROWS, COLUMNS, bone.channels(norm))
            registers = 0 if tokens.registers is None else tokens.registers.shape[1]
            assert (tokens.cls is not None) + registers == entry.prefix_tokens
            assert torch.isfinite(tokens.patches).all()


@pytest.mark.parametrize("name", [n for n in NAMES if entries()[n].prefix_tokens])
def test_no_prefix_token_is_among_the_patches(name: str) -> None:
    entry = entries()[name]

    before, after = (
        wrapped(name, mixing=False, prefix=added)(noise(entry), layers=[-1], norm=False)[0]
        for added in (0.0, 3.0)
    )
    assert torch.equal(before.patches, after.patches)
    assert after.cls is None or (before.cls - after.cls).abs().max() > 1


@pytest.mark.parametrize("name", NAMES)
def test_a_marked_patch_lands_in_its_row_and_column(name: str) -> None:
    entry = entries()[name]
    side = entry.patch_size
    plain = noise(entry, 1)
    marked = plain.clone()
    marked[:, :, side : 2 * side, 3 * side : 4 * side] ^= 255
    bone = wrapped(name, mixing=False)
    before, after = (bone(i, layers=[-1], norm=False)[0].patches for i in (plain, marked))
    changed = ((before - after).abs() > 1e-4).any(-1)[0]
    expected = torch.zeros(ROWS, COLUMNS, dtype=torch.bool)
    expected[1, 3] = True
    assert torch.equal(changed, expected)


@pytest.mark.parametrize("name", NAMES)
def test_tokens_do_not_depend_on_the_rest_of_the_batch(name: str) -> None:
    entry = entries()[name]
    bone, batch = wrapped(name), noise(entry, 3)
    together = bone(batch, layers=[-1], norm=True)[0].patches
    alone = torch.cat([bone(image[None], layers=[-1], norm=True)[0].patches for image in batch])
    torch.testing.assert_close(together, alone, rtol=1e-4, atol=1e-5)
    assert (together[0] - together[1]).abs().max() > 1e-2


# One of the two for each model; the other is slow.
@pytest.mark.parametrize(
    ("name", "half"),
    [
        pytest.param(name, half, marks=[pytest.mark.slow] * ((number + h) % len(HALVES)))
        for number, name in enumerate(NAMES)
        for h, half in enumerate(HALVES)
    ],
)
def test_half_precision_stays_near(name: str, half: str) -> None:
    entry = entries()[name]
    dtype, allowed = HALVES[half]
    bone, batch = wrapped(name), noise(entry)
    exact = bone(batch, layers=[-1], norm=True)[0].patches
    with torch.autocast("cpu", dtype=dtype):
        rough = bone(batch, layers=[-1], norm=True)[0].patches.float()
    assert 0 < (rough - exact).norm() / exact.norm() < allowed
