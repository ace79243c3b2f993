"""The teacher of dino and ibot: a moving average of the student, and checks of its outputs."""

from collections.abc import Sequence
from math import log

import torch
from lightly.models.utils import deactivate_requires_grad, update_momentum
from lightly.utils.scheduler import cosine_schedule
from torch import Tensor, nn

SCHEDULE = 100_000  # steps of the momentum's cosine; finer than any run


def follow(student: nn.Module, teacher: nn.Module) -> None:
    """Make `teacher` equal to `student` and untrained."""
    teacher.load_state_dict(student.state_dict())
    deactivate_requires_grad(teacher)


def update(
    student: nn.Module, teacher: nn.Module, momentum: Sequence[float], progress: float
) -> None:
    """One step of the moving average; the momentum goes along a cosine over the run."""
    first, last = momentum
    step = min(int(progress * SCHEDULE), SCHEDULE)
    with torch.no_grad():
        update_momentum(student, teacher, cosine_schedule(step, SCHEDULE, first, last))


class Entropy(nn.Module):
    """The entropy of the teacher over the K prototypes, and whether it is a collapse.

    A uniform teacher has sample entropy log K: every sample goes everywhere. A constant one has
    batch entropy 0: all samples go to one prototype. The loss stays near log K for the first
    hundreds of steps while features already improve, so the first `grace` steps are not checked.

    Args:
        prototypes: K.
        grace: steps.
    """

    UNIFORM = 0.999  # of log K
    CONSTANT = 0.02

    steps: Tensor
    sample: Tensor
    batch: Tensor

    def __init__(self, prototypes: int, grace: int = 1000) -> None:
        super().__init__()
        self.most, self.grace = log(prototypes), grace
        self.register_buffer("steps", torch.zeros((), dtype=torch.long))
        for name in ("sample", "batch"):
            self.register_buffer(name, torch.full((), self.most / 2))

    @torch.no_grad()
    def look(self, logits: Tensor) -> dict[str, Tensor]:
        """Remember and return the entropies of teacher outputs [n, K], centred and sharpened."""
        shares = torch.softmax(logits.float(), dim=-1)
        self.sample.copy_(torch.special.entr(shares).sum(dim=-1).mean())
        self.batch.copy_(torch.special.entr(shares.mean(dim=0)).sum())
        self.steps += 1
        return {"teacher_entropy": self.sample.clone(), "teacher_batch_entropy": self.batch.clone()}

    def collapse(self) -> str | None:
        """Why the teacher has collapsed; None if it has not."""
        if int(self.steps) < self.grace:
            return None
        sample, batch = float(self.sample), float(self.batch)
        if sample > self.UNIFORM * self.most:
            return (
                f"the teacher's outputs are uniform after {int(self.steps)} steps: entropy "
                f"{sample:.3f} of log K = {self.most:.3f}"
            )
        if batch < self.CONSTANT * self.most:
            return (
                f"the teacher gives every crop the same prototype after {int(self.steps)} steps: "
                f"entropy of the batch {batch:.3f} of log K = {self.most:.3f}"
            )
        return None
