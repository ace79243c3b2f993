"""iBOT: what is masked, what the teacher sees, and what the two losses count."""

import math
import random

import torch

from patchlens.pretrain.objectives import create
from patchlens.pretrain.objectives.ibot import block_masks
from pretrain.small import PATCH, SIDE, TOKENS, random_crops, small_recipe

WINDOWS = 6


def prepared(**changes):
    made = create(small_recipe("ibot", **changes))
    return made, made.views(random_crops(WINDOWS, 0), torch.Generator().manual_seed(0))


def cross_entropy(taught: torch.Tensor, learnt: torch.Tensor) -> torch.Tensor:
    """Of each row, with the temperatures of the recipe and a centre of 0."""
    return -((taught / 0.04).softmax(-1) * (learnt / 0.1).log_softmax(-1)).sum(-1)


def test_half_of_the_global_crops_are_masked_in_blocks():
    _, batch = prepared()
    shares = batch["mask"].float().mean(dim=(1, 2))
    assert batch["mask"].shape == (2 * WINDOWS, SIDE // PATCH, SIDE // PATCH)
    assert (shares > 0).sum() == WINDOWS
    assert shares.max() <= 0.5


def test_one_window_is_masked_however_small_the_share():
    """Else the mean over no token would be NaN, and the centre with it."""
    _, batch = prepared(mask_share=0.01)
    assert (batch["mask"].flatten(1).any(dim=1)).sum() == 1


def test_masks_are_drawn_by_the_seed_and_leave_pythons_generator_alone():
    random.seed(5)
    expected = random.random()
    random.seed(5)
    masks = block_masks(8, [0.1, 0.5], seed=1)
    assert random.random() == expected
    assert torch.equal(masks, block_masks(8, [0.1, 0.5], seed=1))
    assert not torch.equal(masks, block_masks(8, [0.1, 0.5], seed=2))
    shares = masks.float().mean(dim=(1, 2))
    assert 0.2 < shares.mean() < 0.35
    assert shares.min() > 0


def test_the_student_does_not_see_masked_patches_and_the_teacher_does():
    made, batch = prepared()
    pixels = batch["mask"].repeat_interleave(PATCH, 1).repeat_interleave(PATCH, 2)[:, None]
    changed = torch.where(pixels, torch.zeros(()), batch["global"])
    hidden = torch.nn.functional.pad(batch["mask"].flatten(1), (1, 0))
    tokens = [made.masked.encode(p, mask=hidden) for p in (batch["global"], changed)]
    assert torch.equal(*tokens)
    losses = [made.loss({**batch, "global": p})[1] for p in (batch["global"], changed)]
    assert losses[0]["patch_loss"] != losses[1]["patch_loss"]


def test_the_losses_are_those_of_the_paper():
    """By hand: other global view for class tokens, masked patches averaged image by image."""
    made, batch = prepared()
    loss, logged = made.loss(batch)
    with torch.no_grad():
        taught = made.teacher_head(made.teacher.forward_features(batch["global"]))
        hidden = torch.nn.functional.pad(batch["mask"].flatten(1), (1, 0))
        learnt = made.head(made.masked.encode(batch["global"], mask=hidden))
        local = made.head(made.backbone.forward_features(batch["local"])[:, 0])
    teachers = taught[:, 0].chunk(2)
    students = [*learnt[:, 0].chunk(2), *local.chunk(2)]
    pairs = [
        cross_entropy(t, s).mean()
        for i, t in enumerate(teachers)
        for j, s in enumerate(students)
        if i != j
    ]
    by_patch = cross_entropy(taught[:, 1:], learnt[:, 1:])
    mask = batch["mask"].flatten(1)
    of_images = (by_patch * mask).sum(1) / mask.sum(1).clamp(min=1)
    torch.testing.assert_close(logged["class_loss"], torch.stack(pairs).mean())
    torch.testing.assert_close(logged["patch_loss"], of_images.mean())
    torch.testing.assert_close(loss.detach(), logged["class_loss"] + logged["patch_loss"])


def test_no_gradient_reaches_the_teacher_and_the_mask_token_is_trained():
    made, batch = prepared()
    made.loss(batch)[0].backward()
    assert all(p.grad is None for p in made.teacher.parameters())
    assert all(p.grad is None for p in made.teacher_head.parameters())
    assert made.mask_token.grad.abs().sum() > 0
    assert "mask_token" in dict(made.named_parameters())


def test_the_teacher_is_exported_and_moves_a_little():
    made, _ = prepared()
    before = made.student().blocks[0].mlp.fc1.weight.clone()
    with torch.no_grad():
        made.backbone.blocks[0].mlp.fc1.weight += 1
    made.after_step(0.0)
    moved = made.student().blocks[0].mlp.fc1.weight - before
    torch.testing.assert_close(moved, torch.full_like(moved, 0.1))


def test_seen_counts_global_and_local_crops_and_what_masks_leave():
    made, _ = prepared()
    seen = made.seen(1000)
    assert (seen.crops, seen.teacher_forwards) == (4000, 2000)
    drawn = [made.views(random_crops(64, i), torch.Generator().manual_seed(i)) for i in range(8)]
    hidden = torch.stack([d["mask"].float().mean() for d in drawn]).mean()
    shown = 2 * TOKENS * (1 - float(hidden)) + 2 * (8 // PATCH) ** 2
    assert math.isclose(seen.visible_tokens, 1000 * shown, rel_tol=0.03)
