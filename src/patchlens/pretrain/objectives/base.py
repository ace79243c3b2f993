"""What every objective does; the loop in `train` knows nothing else of it."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from lightly.models.modules import MaskedVisionTransformerTIMM
from torch import Tensor, nn

from patchlens.pretrain.augment import view
from patchlens.pretrain.settings import Recipe

Batch = dict[str, Tensor]


@dataclass(frozen=True)
class Seen:
    """What a number of windows cost.

    Attributes:
        crops: forward passes of a crop, of any size, through the trained backbone: the budget.
        teacher_forwards: the same through a teacher, which learns nothing from it.
        visible_tokens: patch tokens that entered the trained backbone.
    """

    crops: int
    teacher_forwards: int
    visible_tokens: int


class Objective(nn.Module, ABC):
    """A backbone with all that its objective adds: heads, a teacher, a decoder.

    All of `state_dict()` is in a checkpoint; parameters with `requires_grad` are trained.

    Attributes:
        labels: whether `views` wants the class of each pixel as fourth channel.
        masked: the backbone behind masks; there after `see_masked`.
    """

    labels: ClassVar[bool] = False
    masked: MaskedVisionTransformerTIMM

    def __init__(self, backbone: Any, recipe: Recipe) -> None:
        super().__init__()
        self.backbone = backbone
        self.recipe = recipe

    def see_masked(self, *, token: bool) -> None:
        """Make `masked`, which leaves tokens out or, with `token`, puts a learnt one in place."""
        if token:
            self.mask_token = nn.Parameter(torch.zeros(1, 1, self.backbone.embed_dim))
            nn.init.trunc_normal_(self.mask_token, std=0.02)
        # Not a submodule of its own: the backbone and the token are registered already.
        self.__dict__["masked"] = MaskedVisionTransformerTIMM(
            self.backbone,
            mask_token=self.mask_token if token else None,
            weight_initialization="skip",
            pos_embed_initialization="skip",
        )

    def global_crop(
        self, windows: Tensor, generator: torch.Generator
    ) -> tuple[Tensor, Tensor | None]:
        """The crop that every objective makes alike; see `view`."""
        shared = self.recipe.shared
        return view(windows, shared.crop, shared.augment, shared.augment.scale, generator)

    @abstractmethod
    def views(self, crops: Tensor, generator: torch.Generator) -> Batch:
        """What one step needs of windows uint8 [n, 3 or 4, H, W], on their device."""

    @abstractmethod
    def loss(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """The loss, and scalars to log, detached."""

    # Most objectives need none of it.
    def after_step(self, progress: float) -> None:
        """What follows an optimiser's step, such as the teacher's update."""

    def student(self) -> nn.Module:
        """The timm ViT whose features are exported."""
        found: nn.Module = self.backbone
        return found

    @abstractmethod
    def seen(self, windows: int) -> Seen:
        """What this many windows cost."""

    def collapse(self) -> str | None:
        """Why the last steps are a collapse; None if they are none."""
        return None

    def tokens(self, crop: int) -> int:
        """Patch tokens of a crop."""
        side = crop // self.recipe.shared.arch.patch_size
        return side * side
