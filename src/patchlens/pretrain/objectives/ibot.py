"""iBOT (Zhou et al. 2022): DINO, and masked patches against the teacher's patches."""

import random
from dataclasses import replace
from math import ceil
from typing import Any

import torch
from lightly.loss import IBOTPatchLoss
from lightly.models.utils import random_block_mask
from torch import Tensor

from patchlens.pretrain import recipes
from patchlens.pretrain.objectives.base import Batch, Seen
from patchlens.pretrain.objectives.dino import GLOBAL, Dino
from patchlens.pretrain.settings import Recipe

POOL = 4096  # masks to choose from: lightly draws one at a time in Python, too slow for a GPU
SMALLEST = 4  # patches of a masked block, as in lightly and DINOv2


class Ibot(Dino):
    """Blocks of some global crops are masked for the student; one head for both kinds of token."""

    def __init__(self, backbone: Any, recipe: Recipe) -> None:
        super().__init__(backbone, recipe)
        own = recipe.own
        assert isinstance(own, recipes.Ibot)
        self.mask_share = own.mask_share
        self.pool = block_masks(
            recipe.shared.crop // recipe.shared.arch.patch_size, own.mask_ratio, recipe.seed
        )
        self.see_masked(token=True)
        self.patch_criterion = IBOTPatchLoss(
            own.prototypes,
            teacher_temp=own.teacher_temperature,
            student_temp=own.student_temperature,
            center_momentum=own.center_momentum,
        )

    def views(self, crops: Tensor, generator: torch.Generator) -> Batch:
        """Those of DINO, and `mask` bool [2n, h, w]: what the student does not see."""
        batch = super().views(crops, generator)
        count = len(batch["global"])
        chosen = self.pool[torch.randint(len(self.pool), (count,), generator=generator)]
        # At least one crop is masked: the mean over no token would be NaN.
        rank = torch.randperm(count, generator=generator)
        mask = chosen & (rank < ceil(self.mask_share * count))[:, None, None]
        return batch | {"mask": mask.to(crops.device)}

    def loss(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """DINO's loss of the class tokens plus that of the masked patches, both of weight 1."""
        wide, mask = batch["global"], batch["mask"]
        with torch.no_grad():
            tokens = self.teacher.forward_features(wide)
            taught = self.teacher_head(tokens[:, 0]).float()
            taught_patches = self.teacher_head(tokens[:, 1:][mask.flatten(1)]).float()
        hidden = torch.cat([torch.zeros_like(mask.flatten(1)[:, :1]), mask.flatten(1)], dim=1)
        tokens = self.masked.encode(wide, mask=hidden)
        of_global = self.head(tokens[:, 0])
        patches = self.head(tokens[:, 1:][mask.flatten(1)]).float()
        of_class, logged = self._class_loss(taught, of_global, batch)
        with torch.autocast(wide.device.type, enabled=False):
            of_patches: Tensor = self.patch_criterion(taught_patches, patches, mask)
        logged |= {"class_loss": of_class.detach(), "patch_loss": of_patches.detach()}
        return of_class + of_patches, logged

    def seen(self, windows: int) -> Seen:
        """As DINO; masked patches are computed and not visible (their expected number)."""
        cost = super().seen(windows)
        return replace(cost, visible_tokens=cost.visible_tokens - round(self.hidden(windows)))

    def hidden(self, windows: int) -> float:
        """The expected number of masked patches."""
        tokens = GLOBAL * self.tokens(self.recipe.shared.crop)
        return windows * self.mask_share * float(self.pool.float().mean()) * tokens


def block_masks(side: int, ratio: list[float], seed: int) -> Tensor:
    """`POOL` masks of blocks, bool [m, side, side], drawn by lightly; none of them is empty.

    Args:
        side: patches per side of a global crop.
        ratio: least and largest share of masked patches; blocks that overlap may leave fewer.
        seed: of the draws.
    """
    state = random.getstate()  # lightly draws blocks from Python's global generator
    random.seed(seed)
    try:
        masks: Tensor = random_block_mask(
            (POOL, side, side),
            batch_mask_ratio=1.0,
            min_image_mask_ratio=ratio[0],
            max_image_mask_ratio=ratio[1],
            min_num_masks_per_block=max(1, min(SMALLEST, int(ratio[0] * side**2))),
        )
    finally:
        random.setstate(state)
    some: Tensor = masks[masks.flatten(1).any(dim=1)]
    return some
