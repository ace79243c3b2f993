"""What every objective does; the loop in `train` knows nothing else of it."""

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

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


class Objective(nn.Module):
    """A backbone with all that its objective adds: heads, a teacher, a decoder.

    All of `state_dict()` is in a checkpoint; parameters with `requires_grad` are trained.

    Attributes:
        labels: whether `views` wants the class of each pixel as fourth channel.
    """

    labels: ClassVar[bool] = False

    def __init__(self, backbone: Any, recipe: Recipe) -> None:
        super().__init__()
        self.backbone = backbone
        self.recipe = recipe

    def views(self, crops: Tensor, generator: torch.Generator) -> Batch:
        """What one step needs of windows uint8 [n, 3 or 4, H, W], on their device."""
        raise NotImplementedError

    def loss(self, batch: Batch, progress: float) -> tuple[Tensor, dict[str, Tensor]]:
        """The loss, and scalars to log, detached; `progress` is the share of the run, 0..1."""
        raise NotImplementedError

    def after_step(self, progress: float) -> None:
        """What follows an optimiser's step, such as the teacher's update."""

    def student(self) -> nn.Module:
        """The timm ViT whose features are exported."""
        found: nn.Module = self.backbone
        return found

    def seen(self, windows: int) -> Seen:
        """What this many windows cost."""
        raise NotImplementedError

    def collapse(self) -> str | None:
        """Why the last steps are a collapse; None if they are none."""
        return None

    def tokens(self, crop: int) -> int:
        """Patch tokens of a crop."""
        side = crop // self.recipe.shared.arch.patch_size
        return side * side
