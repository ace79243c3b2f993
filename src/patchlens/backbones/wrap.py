"""Any module or function behind the contract: what of its output are patch tokens.

Nothing is guessed. One trial on a small image, which is not square, shows how the output is laid
out; what has two readings is an error that says what to state.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import fields, is_dataclass
from functools import partial
from math import prod
from typing import Any, cast

import torch
from torch import Tensor, nn

from patchlens.backbones.contract import (
    Backbone,
    Normalise,
    PatchTokens,
    absolute_layers,
    check_input,
)
from patchlens.backbones.target import RAISED
from patchlens.errors import PatchlensError, SettingsError, said
from patchlens.settings.base import brief

GRID = (2, 3)  # patches of the trial: not square, so that rows, columns and channels differ
CLOSE = 1e-3  # of the largest token: two passes over one image differ by less
Grid = tuple[int, int]
Layout = Callable[[Tensor, Grid, int], Tensor | None]


def _tokens(found: Tensor, grid: Grid, prefix: int) -> Tensor | None:
    if found.ndim != 3 or found.shape[1] != prefix + prod(grid):
        return None
    return found[:, prefix:].reshape(len(found), *grid, -1)


def _map(found: Tensor, grid: Grid, _: int) -> Tensor | None:
    return found.permute(0, 2, 3, 1) if found.ndim == 4 and found.shape[2:] == grid else None


def _map_last(found: Tensor, grid: Grid, _: int) -> Tensor | None:
    return found if found.ndim == 4 and found.shape[1:3] == grid else None


# Name -> tokens [B, h, w, D] of an output of this layout for a patch grid; None if it has another.
LAYOUTS: dict[str, Layout] = {
    "[B, N, D]": _tokens,
    "[B, D, h, w]": _map,
    "[B, h, w, D]": _map_last,
}


def wrap(
    model: Callable[[Tensor], Any],
    *,
    patch_size: int,
    mean: list[float],
    std: list[float],
    interpolation: str = "bicubic",
    prefix_tokens: int = 0,
    output: str | int | None = None,
    input_size: tuple[int, int] | None = None,
    name: str | None = None,
) -> "ModuleBackbone":
    """A backbone of any module or function of images.

    Args:
        model: takes float images [B, 3, H, W], (RGB in 0..1 − mean) / std, and returns tokens
            [B, N, D] in rows from the top left, a map [B, D, h, w] or [B, h, w, D], a list of them
            (one per layer, all of one grid and width), or a dict, dataclass or output of
            transformers with such an entry. It is only read: it keeps its mode and gradients.
        patch_size: pixels along a side of a patch, or the stride of the map.
        mean: of red, green and blue in 0..1, subtracted from the input.
        std: likewise, by which it is divided. If the model does both itself, 0 and 1.
        interpolation: how images are resized for it.
        prefix_tokens: how many of the tokens, at their beginning, are no patches.
        output: the entry to take, by its key, name or index, where several would fit.
        input_size: height and width in pixels, if the model takes no other.
        name: for messages; by default, that of its class or function.

    Raises:
        SettingsError: the trial fails, gives two different answers, or its output has no reading,
            or more than one; the message says what to state.
    """
    return ModuleBackbone(
        model,
        patch_size=patch_size,
        mean=list(mean),
        std=list(std),
        interpolation=interpolation,
        prefix_tokens=prefix_tokens,
        output=output,
        input_size=input_size,
        name=name or str(getattr(model, "__name__", type(model).__name__)),
    )


class ModuleBackbone(Backbone):
    """See `wrap`. `norm` has no effect: what the model returns is what is measured."""

    def __init__(
        self,
        model: Callable[[Tensor], Any],
        *,
        patch_size: int,
        mean: list[float],
        std: list[float],
        interpolation: str,
        prefix_tokens: int,
        output: str | int | None,
        input_size: tuple[int, int] | None,
        name: str,
    ) -> None:
        self.name, self.patch_size = name, patch_size
        self.mean, self.std, self.interpolation = mean, std, interpolation
        self._model, self._prefix, self._output = model, prefix_tokens, output
        self.input_size = self.trial_size = input_size
        self.modules = _modules(model)
        weights = {id(p): p for module in self.modules for p in module.parameters()}
        self.parameters = sum(p.numel() for p in weights.values())
        self._normalise = Normalise(mean, std)
        device = next((p.device for p in weights.values()), torch.device("cpu"))
        self._normalise.to(device)
        self._layout: Layout | None = None
        self.depth, self.width = self._try(device)
        self.layers = list(range(self.depth))

    def to(self, device: torch.device) -> "ModuleBackbone":
        """Move the modules to a device."""
        for module in self.modules:
            module.to(device)
        self._normalise.to(device)
        return self

    def __call__(self, images: Tensor, *, layers: list[int], norm: bool) -> list[PatchTokens]:
        """See `contract.Backbone`; a floor without modules may give one layer only."""
        del norm
        wanted = absolute_layers(layers, self.depth)
        found = self._layers(images)
        return [PatchTokens(found[layer], None, None) for layer in wanted]

    def _layers(self, images: Tensor) -> list[Tensor]:
        grid = check_input(images, self.patch_size)
        size = images.shape[-2:]
        if self.input_size is not None and self.input_size != tuple(size):
            height, width = self.input_size
            raise SettingsError(
                f"{self.name}: takes images of {height}×{width} pixels only (input_size), not "
                f"{size[0]}×{size[1]}; set view.pixels of the dataset to [{height}, {width}]"
            )
        # Not inference mode: a module may keep what it computes, and be trained on.
        with torch.no_grad(), _evaluated(self.modules):
            found = self._model(self._normalise(images))
        return self._read(found, grid)

    def _try(self, device: torch.device) -> tuple[int, int]:
        """Depth and width, by two passes over two small images."""
        size = self.input_size or tuple(side * self.patch_size for side in GRID)
        grid = size[0] // self.patch_size, size[1] // self.patch_size
        generator = torch.Generator().manual_seed(0)
        images = torch.randint(256, (2, 3, *size), dtype=torch.uint8, generator=generator)
        try:
            found = self._layers(images.to(device))
            again = self._layers(images.to(device))
        except PatchlensError:
            raise
        except RAISED as error:
            reason = brief(said(error))
            remedy = "state input_size if it takes one size only, and correct patch_size"
            types = {p.dtype for m in self.modules for p in m.parameters() if p.is_floating_point()}
            if half := types - {torch.float32}:
                remedy = f"its weights are {half.pop()}: compute them in float32 (`model.float()`)"
            raise SettingsError(
                f"{self.name}: fails at its first forward pass, on images {list(images.shape)} "
                f"({reason}); {remedy}"
            ) from None
        shapes = [tuple(tokens.shape) for tokens in found]
        if len(set(shapes)) != 1:
            raise SettingsError(
                f"{self.name}: its {len(found)} layers have different widths "
                f"({', '.join(str(shape[-1]) for shape in shapes)}); state output: one index"
            )
        if shapes[0] != (2, *grid, shapes[0][-1]):
            raise SettingsError(
                f"{self.name}: gives tokens of {shapes[0][0]} images for a batch of 2; it must "
                "treat each image on its own"
            )
        for one, other in zip(found, again, strict=True):
            if (one - other).abs().max() > CLOSE * one.abs().max():
                raise SettingsError(
                    f"{self.name}: gives other tokens for the same image at its second pass; "
                    "switch off dropout and other randomness (`model.eval()`)"
                )
        return len(found), int(shapes[0][-1])

    def _read(self, found: Any, grid: Grid) -> list[Tensor]:
        """The tokens [B, h, w, D] of every layer."""
        entries = _entries(found)
        if self._output is not None:
            if self._output not in entries:
                known = ", ".join(str(key) for key in entries) or "none"
                raise SettingsError(
                    f"{self.name}: output: no entry {self._output!r}; the entries are {known}"
                )
            found = entries[self._output]
        elif entries and not _is_list(found):
            found = entries[self._only(entries, grid)]
        elif others := [key for key in entries if self._why(entries[key], grid)]:
            fitting = [str(key) for key in entries if key not in others]
            if fitting:
                raise SettingsError(
                    f"{self.name}: returns {len(entries)} entries, of which {others[0]} "
                    f"{self._why(entries[others[0]], grid)}; state output: {' or '.join(fitting)}"
                )
        layers = list(found) if _is_list(found) else [found]
        for layer in layers:
            if why := self._why(layer, grid):
                raise SettingsError(f"{self.name}: its output {why}")
        if self._layout is None:
            [self._layout] = self._layouts(layers[0], grid)
        return [cast(Tensor, self._layout(layer, grid, self._prefix)) for layer in layers]

    def _only(self, entries: Mapping[str | int, Any], grid: Grid) -> str | int:
        """The only entry that holds tokens."""
        reasons = {}
        for key, value in entries.items():
            layers = value if _is_list(value) else [value]
            reasons[key] = next((why for one in layers if (why := self._why(one, grid))), "")
        fitting = [key for key, why in reasons.items() if not why]
        if len(fitting) == 1:
            return fitting[0]
        if fitting:
            raise SettingsError(
                f"{self.name}: returns several entries of patch tokens; state output: "
                f"{' or '.join(map(str, fitting))}"
            )
        told = "; ".join(f"{key} {why}" for key, why in reasons.items())
        raise SettingsError(f"{self.name}: no entry of its output holds patch tokens: {told}")

    def _layouts(self, found: Tensor, grid: Grid) -> list[Layout]:
        if self._layout is not None:
            known = self._layout(found, grid, self._prefix)
            return [] if known is None else [self._layout]
        return [
            layout for layout in LAYOUTS.values() if layout(found, grid, self._prefix) is not None
        ]

    def _why(self, found: Any, grid: Grid) -> str | None:
        """Why an output is not patch tokens of this grid; None if it is."""
        if not isinstance(found, Tensor):
            return f"is a {type(found).__name__} instead of a tensor"
        shape = f"is {list(found.shape)}"
        if not found.is_floating_point():
            return f"{shape} of {found.dtype}, not of floats"
        match self._layouts(found, grid):
            case [_]:
                return None
            case [_, *_]:
                return (
                    f"{shape}, which may be a map with channels first or last; return [B, N, D], "
                    "or state an input_size that is not square"
                )
        rows, columns = grid
        patches = f"the {rows}×{columns} patches of {self.patch_size} pixels"
        if found.ndim == 2:
            return f"{shape}, one vector per image; return the tokens before they are pooled"
        if found.ndim != 3:
            return f"{shape}, which is no map of {patches}; correct patch_size"
        if found.shape[2] == rows * columns:
            return f"{shape}, which seems to be [B, D, N]; return it transposed, as [B, N, D]"
        more = found.shape[1] - rows * columns
        if more > 0 and more != self._prefix:
            return (
                f"{shape}, {more} tokens more than {patches}; state prefix_tokens: {more} if "
                "these come first, or correct patch_size"
            )
        return f"{shape}, which does not fit {patches} and {self._prefix} prefix tokens"


def _is_list(found: Any) -> bool:
    return isinstance(found, list | tuple) and len(found) > 0 and not hasattr(found, "_asdict")


def _entries(found: Any) -> dict[str | int, Any]:
    """The entries of an output that is no tensor, without those that are None."""
    if isinstance(found, Mapping):
        held: dict[Any, Any] = dict(found)
    elif hasattr(found, "_asdict"):  # a named tuple
        held = found._asdict()
    elif is_dataclass(found) and not isinstance(found, type):
        held = {field.name: getattr(found, field.name) for field in fields(found)}
    elif isinstance(found, list | tuple):
        held = dict(enumerate(found))
    else:
        held = {}
    return {key: value for key, value in held.items() if value is not None}


def _modules(model: Any, seen: frozenset[int] = frozenset()) -> list[nn.Module]:
    """The modules that a callable uses, as far as it shows them."""
    if isinstance(model, nn.Module):
        return [model]
    if isinstance(model, type) or not callable(model) or id(model) in seen:
        return []
    if isinstance(model, partial):
        held = [model.func, *model.args, *model.keywords.values()]
    else:
        held = [cell.cell_contents for cell in getattr(model, "__closure__", None) or ()]
        held += [getattr(model, "__self__", None), *getattr(model, "__dict__", {}).values()]
    found = [module for one in held for module in _modules(one, seen | {id(model)})]
    return list({id(module): module for module in found}.values())


@contextmanager
def _evaluated(modules: list[nn.Module]) -> Iterator[None]:
    """All modules in evaluation mode, and afterwards each in its own."""
    modes = {part: part.training for module in modules for part in module.modules()}
    for part in modes:
        part.training = False
    try:
        yield
    finally:
        for part, mode in modes.items():
            part.training = mode
