"""The interface of every objective to the loop in `train`."""

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
    """The cost of a number of windows.

    Attributes:
        crops: forward passes of a crop, of any size, through the trained backbone: the budget.
        teacher_forwards: the same through a teacher, without gradient.
        visible_tokens: patch tokens that entered the trained backbone.
    """

    crops: int
    teacher_forwards: int
    visible_tokens: int


class Objective(nn.Module, ABC):
    """A backbone with all that its objective adds: heads, a teacher, a decoder.

    All of `state_dict()` is in a checkpoint; parameters with `requires_grad` are trained.

    Attributes:
        labels: whether `views` needs the class of each pixel as fourth channel.
        masked: the backbone with masks; set by `see_masked`.
    """

    labels: ClassVar[bool] = False
    masked: MaskedVisionTransformerTIMM

    def __init__(self, backbone: Any, recipe: Recipe) -> None:
        super().__init__()
        self.backbone = backbone
        self.recipe = recipe

    def see_masked(self, *, token: bool) -> None:
        """Set `masked`, which drops tokens or, with `token`, replaces them by a learned one."""
        if token:
            self.mask_token = nn.Parameter(torch.zeros(1, 1, self.backbone.embed_dim))
            nn.init.trunc_normal_(self.mask_token, std=0.02)
        # Not registered as a submodule: the backbone and the token are registered already.
        self.__dict__["masked"] = MaskedVisionTransformerTIMM(
            self.backbone,
            mask_token=self.mask_token if token else None,
            weight_initialization="skip",
            pos_embed_initialization="skip",
        )

    def global_crop(
        self, windows: Tensor, generator: torch.Generator
    ) -> tuple[Tensor, Tensor | None]:
        """The global crop, the same for every objective; see `view`."""
        shared = self.recipe.shared
        return view(windows, shared.crop, shared.augment, shared.augment.scale, generator)

    @abstractmethod
    def views(self, crops: Tensor, generator: torch.Generator) -> Batch:
        """The batch of one step from windows uint8 [n, 3 or 4, H, W], on their device."""

    @abstractmethod
    def loss(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """The loss, and detached scalars to log."""

    # Most objectives need none of it.
    def after_step(self, progress: float) -> None:
        """Work after an optimiser step, such as the update of the teacher."""

    def student(self) -> nn.Module:
        """The timm ViT whose features are exported."""
        found: nn.Module = self.backbone
        return found

    @abstractmethod
    def seen(self, windows: int) -> Seen:
        """The cost of this many windows."""

    def collapse(self) -> str | None:
        """Why the last steps are a collapse; None if they are not."""
        return None

    def tokens(self, crop: int) -> int:
        """Patch tokens of a crop."""
        side = crop // self.recipe.shared.arch.patch_size
        return side * side
