"""An own module or function behind the contract: its output has one reading, or is refused."""

from collections import OrderedDict, namedtuple
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from patchlens.backbones.wrap import wrap
from patchlens.errors import SettingsError

PLAIN: dict[str, Any] = {"patch_size": 4, "mean": [0.5] * 3, "std": [0.25] * 3}
Pair = namedtuple("Pair", "summary features")


@dataclass
class Out:
    cls: Tensor
    patches: Tensor


class Patches(nn.Module):
    """The pixels of every patch times a matrix, as a map [B, 5, h, w], with dropout."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.proj = nn.Conv2d(3, 5, 4, 4)
        self.drop = nn.Dropout(0.5)

    def forward(self, images: Tensor) -> Tensor:
        return self.drop(self.proj(images))


MODULE = Patches()


def tokens(x: Tensor, prefix: int = 0) -> Tensor:
    """[B, prefix + N, 5]; what comes first is 9."""
    found = MODULE(x).flatten(2).mT
    return torch.cat([torch.full((len(x), prefix, 5), 9.0), found], dim=1)


# Output -> what has to be stated for it to be read.
READ: dict[str, tuple[Callable[[Tensor], Any], dict[str, Any]]] = {
    "map": (lambda x: MODULE(x), {}),
    "map, channels last": (lambda x: MODULE(x).permute(0, 2, 3, 1), {}),
    "tokens": (lambda x: tokens(x), {}),
    "tokens with prefix": (lambda x: tokens(x, 3), {"prefix_tokens": 3}),
    "dict with one fit": (lambda x: {"pooled": tokens(x)[:, 0], "patches": tokens(x)}, {}),
    "dict with two": (lambda x: {"a": -tokens(x), "b": tokens(x)}, {"output": "b"}),
    "output of transformers": (lambda x: OrderedDict(last=tokens(x, 1)), {"prefix_tokens": 1}),
    "named tuple": (lambda x: Pair(tokens(x)[:, 0], tokens(x)), {}),
    "dataclass": (lambda x: Out(tokens(x)[:, 0], MODULE(x)), {}),
    "tuple, index": (lambda x: (tokens(x)[:, 0], tokens(x)), {"output": 1}),
    "list of one": (lambda x: [MODULE(x)], {}),
    "module": (MODULE, {}),
    "bound method": (MODULE.forward, {}),
    "partial": (partial(tokens, prefix=2), {"prefix_tokens": 2}),
}


@pytest.fixture
def images() -> Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.randint(256, (2, 3, 8, 16), dtype=torch.uint8, generator=generator)


@pytest.mark.parametrize("kind", READ)
def test_every_kind_of_output_is_read_as_the_same_tokens(kind: str, images: Tensor) -> None:
    model, stated = READ[kind]
    MODULE.eval()
    expected = MODULE((images / 255 - 0.5) / 0.25).permute(0, 2, 3, 1)
    bone = wrap(model, **PLAIN, **stated)
    assert (bone.depth, bone.width, bone.patch_size) == (1, 5, 4)
    [found] = bone(images, layers=[-1], norm=True)
    torch.testing.assert_close(found.patches, expected)


def test_layers_are_the_entries_of_a_list(images: Tensor) -> None:
    MODULE.eval()
    bone = wrap(lambda x: {"hidden": (MODULE(x), 2 * MODULE(x), 3 * MODULE(x))}, **PLAIN)
    assert bone.depth == 3
    last, first = bone(images, layers=[-1, 0], norm=True)
    torch.testing.assert_close(last.patches, 3 * first.patches)


def small(x: Tensor, *shape: int) -> Tensor:
    return x.new_ones(len(x), *shape)


@pytest.mark.parametrize(
    ("model", "stated", "message"),
    [
        (lambda x: tokens(x, 1), {}, r"1 tokens more than .*state prefix_tokens: 1 if"),
        (lambda x: tokens(x, 1), {"prefix_tokens": 2}, r"state prefix_tokens: 1 if"),
        (lambda x: MODULE(x), {"patch_size": 2}, r"is \[2, 5, 1, 1\], which is no map of the 2×3"),
        (lambda x: tokens(x)[:, 0], {}, "one vector per image; return the tokens before"),
        (lambda x: tokens(x).mT, {}, r"seems to be \[B, D, N\]; return it transposed"),
        (lambda x: {"a": tokens(x), "b": tokens(x)}, {}, "state output: a or b"),
        (lambda x: (tokens(x)[:, 0], tokens(x)), {}, "of which 0 .*; state output: 1"),
        (lambda x: {"a": tokens(x)}, {"output": "c"}, "no entry 'c'; the entries are a"),
        (lambda x: [tokens(x)], {"output": 10**18}, "no entry 1000000000000000000; the entries"),
        (
            lambda x: [small(x, 6, 2), small(x, 6, 3)],
            {},
            r"widths \(2, 3\); state output",
        ),
        (lambda x: small(x, 6, 2).long(), {}, "not of floats"),
        (lambda x: None, {}, "is a NoneType instead of a tensor"),
        (lambda x: small(x, 2, 2, 2), {"input_size": (8, 8)}, "channels first or last"),
        (lambda x: x.missing, {}, r"fails at its first forward pass.*missing"),
        (nn.Conv2d(3, 2, 4, 4).half(), {}, r"its weights are torch\.float16: compute them in"),
        (lambda x: torch.rand(2, 6, 3), {}, "other tokens for the same image"),
    ],
)
def test_what_cannot_be_read_says_what_to_state(model: Any, stated: Any, message: str) -> None:
    with pytest.raises(SettingsError, match=message) as caught:
        wrap(model, **(PLAIN | stated), name="mine")
    assert str(caught.value).startswith("mine: ")
    assert "\n" not in str(caught.value)


class Holder:
    def __init__(self) -> None:
        self.own, self.again = MODULE, self

    def __call__(self, images: Tensor) -> Tensor:
        return self.own(images)


@pytest.mark.parametrize(
    "model", [MODULE, MODULE.forward, partial(Patches.forward, MODULE), Holder()]
)
def test_a_module_in_training_is_measured_without_dropout_and_left_as_it_was(
    model: Any, images: Tensor
) -> None:
    MODULE.train()
    bone = wrap(model, **PLAIN)
    assert bone.parameters == sum(p.numel() for p in MODULE.parameters())
    one, other = (bone(images, layers=[0], norm=True)[0].patches for _ in range(2))
    assert torch.equal(one, other)
    assert MODULE.training
    assert MODULE.drop.training
    assert MODULE.proj.weight.requires_grad
    assert not one.is_inference()


def test_another_input_size_than_the_stated_one_is_refused(images: Tensor) -> None:
    bone = wrap(MODULE, **PLAIN, input_size=(8, 12), name="mine")
    with pytest.raises(SettingsError, match=r"mine: takes images of 8×12 pixels only .*not 8×16"):
        bone(images, layers=[0], norm=True)
