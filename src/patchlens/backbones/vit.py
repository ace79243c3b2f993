"""Vision Transformers of timm behind the contract."""

from typing import Any, Self, cast

import torch
from torch import Tensor, nn

from patchlens.backbones.contract import ModelBackbone, Normalise, PatchTokens
from patchlens.backbones.position import Grid, check_sines, resample
from patchlens.backbones.relative import resize_table
from patchlens.errors import DataError
from patchlens.settings.models import PositionMode


class VitBackbone(ModelBackbone):
    """A timm ViT with its own final norm, at any input size.

    `ground` is the metres that one side of the input covers, for position mode `gsd`; None means
    g = 1, since upstream defines it for images of the earth only.

    Raises:
        DataError: position mode `gsd` with stored positions that it cannot replace.
    """

    def __init__(
        self,
        model: Any,
        *,
        mean: list[float],
        std: list[float],
        interpolation: str,
        position: PositionMode,
        ground: float | None = None,
        name: str = "",
    ) -> None:
        self.name = name or type(model).__name__
        self._model = model.eval().requires_grad_(False)
        embed = self._model.patch_embed
        self.patch_size = int(embed.patch_size[0])
        self.width = int(self._model.embed_dim)
        self.depth = len(self._model.blocks)
        self.layers = list(range(self.depth))
        self.parameters = sum(p.numel() for p in model.parameters())
        self.mean, self.std, self.interpolation = mean, std, interpolation
        self._position = position
        self._ground = ground
        self._stored: Grid = tuple(embed.grid_size)
        self._embedding: Tensor | None = _clone(getattr(self._model, "pos_embed", None))
        self._grid: Grid | None = self._stored
        if position == "gsd":
            check_sines(self._embedding, self._stored, type(model).__name__)
            self._grid = None  # the stored positions hold for g = 1 only
        self._tables = {
            name: parameter.detach().clone()
            for name, parameter in model.named_parameters()
            if name.endswith("relative_position_bias_table")
        }
        self._normalise = Normalise(mean, std)

    def to(self, device: torch.device) -> Self:
        """Move the weights to a device."""
        super().to(device)
        if self._embedding is not None:
            self._embedding = self._embedding.to(device)
        return self

    @torch.inference_mode()
    def __call__(self, images: Tensor, *, layers: list[int], norm: bool) -> list[PatchTokens]:
        """See `contract.Backbone`."""
        grid, wanted = self._asked(images, layers)
        self._fit(grid)
        found = self._blocks(self._normalise(images), sorted(set(wanted)))
        by_layer = dict(zip(sorted(set(wanted)), found, strict=True))
        return [self._tokens(by_layer[layer], grid, norm) for layer in wanted]

    def _blocks(self, pixels: Tensor, indices: list[int]) -> list[Any]:
        """The output of these blocks: patches [B, h·w, D], with the prefix if there is one."""
        found: list[Any] = self._model.forward_intermediates(
            pixels,
            indices=indices,
            norm=False,
            return_prefix_tokens=True,
            stop_early=True,
            output_fmt="NLC",
            intermediates_only=True,
        )
        return found

    def _tokens(self, found: Any, grid: Grid, norm: bool) -> PatchTokens:
        patches, prefix = found if isinstance(found, tuple | list) else (found, None)
        if norm:
            final = final_norm(self._model)
            patches = final(patches)
            prefix = None if prefix is None else final(prefix)
        has_cls = getattr(self._model, "cls_token", None) is not None
        cls = registers = None
        if prefix is not None and prefix.shape[1]:
            cls = prefix[:, 0] if has_cls else None
            rest = prefix[:, 1:] if has_cls else prefix
            registers = rest if rest.shape[1] else None
        return PatchTokens(patches.reshape(len(patches), *grid, -1), cls, registers)

    def _fit(self, grid: Grid) -> None:
        """Set the model to a grid, always resampling from the stored embedding."""
        if self._grid == grid:
            return
        if self._tables:
            # timm resizes these tables itself, from the last grid: go back to the stored one first.
            self._model.set_input_size(tuple(side * self.patch_size for side in self._stored))
            for name, table in self._tables.items():
                self._model.get_parameter(name).data.copy_(table)
        self._model.set_input_size((grid[0] * self.patch_size, grid[1] * self.patch_size))
        if self._position == "beit":
            for name, table in self._tables.items():
                moved = resize_table(table, self._stored, grid)
                self._model.get_parameter(name).data.copy_(moved)
        if self._embedding is not None:
            moved = resample(self._embedding, self._stored, grid, self._position, self._ratio(grid))
            self._model.pos_embed = nn.Parameter(moved, requires_grad=False)
        self._grid = grid

    def _ratio(self, grid: Grid) -> tuple[float, float]:
        """Metres per pixel of the input, along rows and columns."""
        if self._ground is None:
            return 1.0, 1.0
        height, width = (self._ground / (side * self.patch_size) for side in grid)
        return height, width


def final_norm(model: Any) -> nn.Module:
    """The final norm of a timm ViT; models with average pooling have it in `fc_norm`.

    Raises:
        DataError: the model has neither.
    """
    for name in ("norm", "fc_norm"):
        norm = getattr(model, name, None)
        if norm is not None and not isinstance(norm, nn.Identity):
            return cast(nn.Module, norm)
    raise DataError(
        f"{type(model).__name__}: no final norm in `norm` or `fc_norm`; set features.norm: false"
    )


def _clone(tensor: Tensor | None) -> Tensor | None:
    return None if tensor is None else tensor.detach().clone()
