"""Self-distillation without labels (DINO, Caron et al. 2021), with lightly's head and loss."""

import copy
import warnings
from typing import Any

import torch
from lightly.loss import DINOLoss
from lightly.models.modules import DINOProjectionHead
from torch import Tensor, nn

from patchlens.pretrain import recipes
from patchlens.pretrain.augment import view
from patchlens.pretrain.objectives.base import Batch, Objective, Seen
from patchlens.pretrain.objectives.teacher import Entropy, follow, update
from patchlens.pretrain.settings import Recipe

GLOBAL = 2


class Dino(Objective):
    """Two global crops for teacher and student, local ones for the student alone; class tokens."""

    def __init__(self, backbone: Any, recipe: Recipe) -> None:
        super().__init__(backbone, recipe)
        assert isinstance(recipe.own, recipes.Dino)
        self.own = recipe.own
        self.head, self.teacher_head = self._head(), self._head()
        self.teacher = copy.deepcopy(backbone)
        follow(self.backbone, self.teacher)
        follow(self.head, self.teacher_head)
        self.criterion = DINOLoss(
            self.own.prototypes,
            warmup_teacher_temp=self.own.teacher_temperature,
            teacher_temp=self.own.teacher_temperature,
            student_temp=self.own.student_temperature,
            center_momentum=self.own.center_momentum,
        )
        self.entropy = Entropy(self.own.prototypes)

    def _head(self) -> DINOProjectionHead:
        own, width = self.own, self.backbone.embed_dim
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # of torch, about lightly's weight_norm
            return DINOProjectionHead(width, own.hidden, own.bottleneck, own.prototypes)

    def views(self, crops: Tensor, generator: torch.Generator) -> Batch:
        """`global` [2n, 3, S, S] and `local` [m·n, 3, s, s], view by view."""
        own, augment = self.own, self.recipe.shared.augment
        wide = [self.global_crop(crops, generator)[0] for _ in range(GLOBAL)]
        near = [
            view(crops, own.local_crop, augment, own.local_scale, generator)[0]
            for _ in range(own.local_crops)
        ]
        batch = {"global": torch.cat(wide)}
        return batch | ({"local": torch.cat(near)} if near else {})

    def loss(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """Cross-entropy of the student's views with the teacher's other global view."""
        wide = batch["global"]
        with torch.no_grad():
            taught = self.teacher_head(self.teacher.forward_features(wide)[:, 0]).float()
        return self._class_loss(
            taught, self.head(self.backbone.forward_features(wide)[:, 0]), batch
        )

    def _class_loss(
        self, taught: Tensor, of_global: Tensor, batch: Batch
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """The loss of the heads' outputs, the teacher's and the student's of the global crops."""
        learnt: list[Any] = [of_global]
        if "local" in batch:
            learnt.append(self.head(self.backbone.forward_features(batch["local"])[:, 0]))
        centred = (taught - self.criterion.center[0]) / self.own.teacher_temperature
        logged = self.entropy.look(centred)
        views = [v for part in learnt for v in part.float().split(len(taught) // GLOBAL)]
        with torch.autocast(taught.device.type, enabled=False):
            loss: Tensor = self.criterion(list(taught.chunk(GLOBAL)), views)
        return loss, logged

    def after_step(self, progress: float) -> None:
        """Move the teacher."""
        update(self.backbone, self.teacher, self.own.momentum, progress)
        update(self.head, self.teacher_head, self.own.momentum, progress)

    def student(self) -> nn.Module:
        """The teacher, which DINO's authors evaluate."""
        found: nn.Module = self.teacher
        return found

    def seen(self, windows: int) -> Seen:
        """Global and local crops through the student, global ones through the teacher."""
        shared, own = self.recipe.shared, self.own
        tokens = GLOBAL * self.tokens(shared.crop) + own.local_crops * self.tokens(own.local_crop)
        return Seen(windows * (GLOBAL + own.local_crops), windows * GLOBAL, windows * tokens)

    def collapse(self) -> str | None:
        """See `Entropy`."""
        return self.entropy.collapse()
