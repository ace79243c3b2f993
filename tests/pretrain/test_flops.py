"""FLOPs against a count by hand."""

import pytest

from minicity.spec import CLASSES
from patchlens.pretrain.card import training_flops
from pretrain.small import PATCH, TOKENS, small_recipe

WIDTH, DEPTH = 24, 2


def forward(tokens: int) -> int:
    """Blocks: qkv, projection and MLP are 12·D² weights; attention has two products T²·D."""
    return DEPTH * (2 * tokens * 12 * WIDTH**2 + 2 * 2 * tokens**2 * WIDTH)


def embedding() -> int:
    return 2 * TOKENS * WIDTH * 3 * PATCH**2


def test_supervised():
    """Backward costs twice the forward; pixels need no gradient."""
    head = 2 * TOKENS * WIDTH * len(CLASSES)
    assert training_flops(small_recipe("supervised")) == 3 * (forward(1 + TOKENS) + head) + (
        2 * embedding()
    )


def test_simmim_computes_every_token_and_predicts_the_masked():
    head = 2 * (TOKENS // 2) * WIDTH * 3 * PATCH**2
    assert training_flops(small_recipe("simmim")) == 3 * (forward(1 + TOKENS) + head) + (
        2 * embedding()
    )


def test_the_teacher_of_dino_is_counted_once_forward():
    one, two = (training_flops(small_recipe("dino", local_crops=n)) for n in (0, 1))
    local = (8 // PATCH) ** 2
    head = 2 * (WIDTH * 32 + 32 * 32 + 32 * 16 + 16 * 32)
    pairs = 2 * 2 * 2 * 32  # the loss itself: a view against two teachers, and its gradient
    crop = pairs + 3 * (forward(1 + local) + head) + 2 * 2 * local * WIDTH * 3 * PATCH**2
    assert two - one == crop
    whole = forward(1 + TOKENS) + head
    assert one == 2 * (pairs + 4 * whole + 3 * embedding())


@pytest.mark.parametrize("objective", ["mae", "ibot"])
def test_every_objective_is_counted(objective):
    assert training_flops(small_recipe(objective)) > 0
