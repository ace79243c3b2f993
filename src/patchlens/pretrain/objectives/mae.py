"""Masked autoencoder (MAE, He et al. 2022), with lightly's masked ViT and decoder."""

from typing import Any

import torch
from lightly.models.modules.masked_vision_transformer_decoder_timm import (
    MaskedVisionTransformerDecoderTIMM,
)
from lightly.models.utils import (
    get_at_index,
    normalize_mean_var,
    patchify,
    random_token_mask,
    set_at_index,
)
from torch import Tensor, nn
from torch.nn import functional

from patchlens.pretrain import recipes
from patchlens.pretrain.augment import seeded
from patchlens.pretrain.objectives.base import Batch, Objective, Seen
from patchlens.pretrain.settings import Recipe


class Mae(Objective):
    """The backbone sees only some patches; a small decoder predicts the pixels of the others."""

    def __init__(self, backbone: Any, recipe: Recipe) -> None:
        super().__init__(backbone, recipe)
        assert isinstance(recipe.own, recipes.Mae)
        own = self.own = recipe.own
        self.patch = recipe.shared.arch.patch_size
        count = self.tokens(recipe.shared.crop)
        self.see_masked(token=False)
        self.embed = nn.Linear(backbone.embed_dim, own.decoder_width)
        self.decoder = MaskedVisionTransformerDecoderTIMM(
            count, own.decoder_width, own.decoder_depth, own.decoder_heads
        )
        self.predict = nn.Linear(own.decoder_width, 3 * self.patch**2)

    def views(self, crops: Tensor, generator: torch.Generator) -> Batch:
        """`pixels` [n, 3, S, S] with the tokens that stay, `keep`, and that go, `mask`."""
        pixels, _ = self.global_crop(crops, generator)
        size = (len(crops), self.tokens(self.recipe.shared.crop) + 1)
        with seeded(generator):
            keep, mask = random_token_mask(size, self.own.mask_ratio, device="cpu")
        return {"pixels": pixels, "keep": keep.to(crops.device), "mask": mask.to(crops.device)}

    def loss(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """Mean squared error of the hidden patches, each normalised by its own pixels."""
        pixels, keep, mask = batch["pixels"], batch["keep"], batch["mask"]
        encoded = self.embed(self.masked.encode(pixels, idx_keep=keep))
        tokens = self.decoder.mask_token.to(encoded.dtype).repeat(
            len(pixels), self.decoder.sequence_length, 1
        )
        decoded = self.decoder(set_at_index(tokens, keep, encoded))
        predicted = self.predict(get_at_index(decoded, mask))
        # Index 0 is the class token.
        target = get_at_index(patchify(pixels, self.patch), mask - 1)
        if self.own.normalise_target:
            target = normalize_mean_var(target)
        return functional.mse_loss(predicted.float(), target), {}

    def seen(self, windows: int) -> Seen:
        """One crop per window, of which only the kept patches are visible."""
        visible = int(self.tokens(self.recipe.shared.crop) * (1 - self.own.mask_ratio))
        return Seen(windows, 0, windows * visible)
