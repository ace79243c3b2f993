"""Segment Anything's image encoder behind the contract.

It differs from a plain ViT (segment_anything/modeling/image_encoder.py): tokens stay a [h, w] map;
most blocks attend in windows of 14 × 14, padded with zeros if the grid is not a multiple; queries
add a learned term for the distance in rows and one for that in columns, whose tables of the global
blocks are stretched linearly to other grids; there is no class token. And there is no final norm: a
neck of two convolutions and two norms turns the last block's tokens into the 256 channels that the
authors publish as image embedding. So `norm: true` gives the neck's output, for every layer that is
asked for, as it gives the final norm of other models; `norm: false` gives the tokens of the blocks.
"""

from typing import Any

from torch import Tensor, nn

from patchlens.backbones.contract import PatchTokens
from patchlens.backbones.position import Grid, resample
from patchlens.backbones.vit import VitBackbone


class SamBackbone(VitBackbone):
    """timm's `samvit_*`: the trunk and the neck of SAM, at any input size."""

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
