"""Vision Transformers of timm behind the contract."""

from typing import Any, Self, cast

import torch
from torch import Tensor, nn

from patchlens.backbones.contract import ModelBackbone, PatchTokens
from patchlens.backbones.position import Grid, check_sines, resample, resize_table
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
        name = name or type(model).__name__
        super().__init__(model, name=name, mean=mean, std=std, interpolation=interpolation)
        embed = self._model.patch_embed
        self.patch_size = int(embed.patch_size[0])
        self.width = int(self._model.embed_dim)
        self.depth = len(self._model.blocks)
        self.layers = list(range(self.depth))
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


class SamBackbone(VitBackbone):
    """timm's `samvit_*`: the trunk and the neck of Segment Anything, at any input size.

    It differs from a plain ViT (segment_anything/modeling/image_encoder.py): tokens stay a [h,
    w] map; most blocks attend in windows of 14 × 14, padded with zeros if the grid is not a
    multiple; queries add a learned term for the distance in rows and one for that in columns,
    whose tables of the global blocks are stretched linearly to other grids; there is no class
    token. And there is no final norm: a neck of two convolutions and two norms turns the last
    block's tokens into the 256 channels that the authors publish as image embedding. So `norm:
    true` gives the neck's output, for every layer that is asked for, as it gives the final norm
    of other models; `norm: false` gives the tokens of the blocks.
    """

    def channels(self, norm: bool) -> int:
        """The neck's output channels with `norm`, else the width of the trunk."""
        return int(self._model.num_features) if norm else self.width

    def _blocks(self, pixels: Tensor, indices: list[int]) -> list[Any]:
        found: list[Any] = self._model.forward_intermediates(
            pixels, indices=indices, norm=False, stop_early=True, intermediates_only=True
        )
        return found

    def _tokens(self, found: Any, grid: Grid, norm: bool) -> PatchTokens:
        del grid
        tokens = self._model.neck(found) if norm else found
        return PatchTokens(tokens.permute(0, 2, 3, 1).contiguous(), None, None)

    def _fit(self, grid: Grid) -> None:
        """Resample the [1, h, w, D] position embedding; the rest fits itself to its input."""
        if self._grid == grid or self._embedding is None:
            return
        flat = self._embedding.flatten(1, 2)
        moved = resample(flat, self._stored, grid, self._position, self._ratio(grid))
        moved = moved.reshape(1, *grid, -1)
        self._model.pos_embed = nn.Parameter(moved, requires_grad=False)
        self._grid = grid


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
