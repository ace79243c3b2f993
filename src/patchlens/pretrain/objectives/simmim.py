"""SimMIM (Xie et al. 2022): masked patches become a token, a linear layer predicts pixels."""

from typing import Any

import torch
from lightly.models.utils import get_at_index, patchify, random_grid_token_mask
from torch import Tensor, nn

from patchlens.pretrain import recipes
from patchlens.pretrain.augment import seeded
from patchlens.pretrain.objectives.base import Batch, Objective, Seen
from patchlens.pretrain.settings import Recipe


class Simmim(Objective):
    """Every token enters the backbone, masks are cells of several patches, the loss is L1."""

    def __init__(self, backbone: Any, recipe: Recipe) -> None:
        super().__init__(backbone, recipe)
        assert isinstance(recipe.own, recipes.Simmim)
        self.own = recipe.own
        self.patch = recipe.shared.arch.patch_size
        self.see_masked(token=True)
        self.predict = nn.Linear(backbone.embed_dim, 3 * self.patch**2)

    def views(self, crops: Tensor, generator: torch.Generator) -> Batch:
        """`pixels` [n, 3, S, S], and `mask` [n, M]: the masked of the 1 + h·w tokens."""
        pixels, _ = self.global_crop(crops, generator)
        size = (len(crops), self.tokens(self.recipe.shared.crop) + 1)
        with seeded(generator):
            _, mask = random_grid_token_mask(size, self.own.mask_ratio, self.own.mask_patch)
        return {"pixels": pixels, "mask": mask.to(crops.device)}

    def loss(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """Mean absolute error over the pixels of masked patches, normalised as the input is."""
        pixels, mask = batch["pixels"], batch["mask"]
        encoded = self.masked.encode(pixels, idx_mask=mask)
        predicted = self.predict(get_at_index(encoded, mask))
        # Index 0 is the class token.
        target = get_at_index(patchify(pixels, self.patch), mask - 1)
        return (predicted.float() - target).abs().mean(), {}

    def seen(self, windows: int) -> Seen:
        """One crop per window; masked patches are computed but not visible."""
        cell = self.own.mask_patch**2
        cells = self.tokens(self.recipe.shared.crop) // cell
        visible = cell * int(cells * (1 - self.own.mask_ratio))
        return Seen(windows, 0, windows * visible)
