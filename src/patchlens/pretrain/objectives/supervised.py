"""The ceiling: a linear head on every patch token, trained on patch labels of minicity's masks.

Unlike all other objectives, it is trained on the classes of the evaluation (in other scenes).
"""

from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from minicity.spec import CLASSES, IGNORE
from patchlens.pretrain.objectives.base import Batch, Objective, Seen
from patchlens.pretrain.settings import Recipe


class Supervised(Objective):
    """Cross-entropy of the majority class of each patch."""

    labels: ClassVar[bool] = True

    def __init__(self, backbone: Any, recipe: Recipe) -> None:
        super().__init__(backbone, recipe)
        self.patch = recipe.shared.arch.patch_size
        self.head = nn.Linear(backbone.embed_dim, len(CLASSES))

    def views(self, crops: Tensor, generator: torch.Generator) -> Batch:
        """`pixels` [n, 3, S, S] and `targets` int64 [n, h·w] of windows [n, 4, H, W]."""
        pixels, labels = self.global_crop(crops, generator)
        if labels is None:
            raise ValueError(
                "supervised needs windows with four channels, the last of which is the class"
            )
        return {"pixels": pixels, "targets": patch_targets(labels, self.patch)}

    def loss(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """Mean over the labelled patches; 0 if there are none."""
        patches = self.backbone.forward_features(batch["pixels"])[:, 1:]
        logits, targets = self.head(patches).float().flatten(0, 1), batch["targets"].flatten()
        labelled = (targets != IGNORE).sum().clamp(min=1)
        total = functional.cross_entropy(logits, targets, ignore_index=IGNORE, reduction="sum")
        accuracy = (logits.argmax(dim=1) == targets).sum() / labelled
        return total / labelled, {"accuracy": accuracy}

    def seen(self, windows: int) -> Seen:
        """One crop per window with all of its patches."""
        return Seen(windows, 0, windows * self.tokens(self.recipe.shared.crop))


def patch_targets(labels: Tensor, patch_size: int) -> Tensor:
    """Class of each patch, by the rule `majority` of tasks/labels.py, for a batch on its device.

    Args:
        labels: class ids uint8 [n, H, W], `IGNORE` where unlabelled.
        patch_size: H and W are multiples of it.

    Returns:
        int64 [n, h·w]; `IGNORE` where fewer than half of the pixels are labelled.
    """
    cells = labels.unfold(1, patch_size, patch_size).unfold(2, patch_size, patch_size)
    pixels = cells.reshape(len(labels), -1, patch_size**2)
    votes = torch.stack([(pixels == c).sum(dim=2) for c in range(len(CLASSES))], dim=2)
    # argmax may return any of equal ones: the lower id has to win.
    ahead = torch.arange(len(CLASSES) - 1, -1, -1, device=labels.device)
    winner = (votes * len(CLASSES) + ahead).argmax(dim=2)
    enough = 2 * votes.sum(dim=2) >= patch_size**2
    return torch.where(enough, winner, IGNORE)
