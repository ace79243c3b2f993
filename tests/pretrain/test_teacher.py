"""The teacher's moving average, and when its outputs are a collapse."""

from math import log

import pytest
import torch
from torch import nn

from patchlens.pretrain.objectives.teacher import Entropy, follow, update

K = 64


def after(logits: torch.Tensor, steps: int, grace: int = 1000) -> Entropy:
    found = Entropy(K, grace)
    for _ in range(steps):
        found.look(logits)
    return found


@pytest.fixture
def healthy() -> torch.Tensor:
    return 20 * torch.eye(K)


def test_a_uniform_teacher_is_no_collapse_in_the_first_steps() -> None:
    uniform = torch.zeros(32, K)
    assert after(uniform, 500).collapse() is None
    assert after(uniform, 999).collapse() is None
    why = after(uniform, 1000).collapse()
    assert why is not None
    assert "uniform after 1000 steps: entropy 4.159 of log K = 4.159" in why


def test_a_constant_teacher(healthy: torch.Tensor) -> None:
    why = after(healthy[:1].expand(32, -1), 3, grace=3).collapse()
    assert why is not None
    assert "gives every crop the same prototype" in why


def test_a_teacher_that_uses_its_prototypes(healthy: torch.Tensor) -> None:
    assert after(healthy, 3, grace=3).collapse() is None
    logged = Entropy(K).look(healthy)
    assert float(logged["teacher_entropy"]) == pytest.approx(0, abs=1e-5)
    assert float(logged["teacher_batch_entropy"]) == pytest.approx(log(K), rel=1e-4)


def test_entropies_are_in_a_checkpoint(healthy: torch.Tensor) -> None:
    found = Entropy(K, 1)
    found.load_state_dict(after(healthy[:1].expand(32, -1), 5).state_dict())
    assert found.collapse() is not None


@pytest.mark.parametrize(("progress", "momentum"), [(0.0, 0.9), (0.5, 0.95), (1.0, 1.0)])
def test_momentum_goes_along_a_cosine(progress: float, momentum: float) -> None:
    student, teacher = nn.Linear(1, 1, bias=False), nn.Linear(1, 1, bias=False)
    follow(student, teacher)
    assert not teacher.weight.requires_grad
    assert torch.equal(student.weight, teacher.weight)
    student.weight.data.fill_(1)
    teacher.weight.data.fill_(0)
    update(student, teacher, [0.9, 1.0], progress)
    assert float(teacher.weight) == pytest.approx(1 - momentum, abs=1e-4)
