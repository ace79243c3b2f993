"""SimMIM: what is masked is hidden, and only that is predicted."""

import pytest
import torch

from patchlens.pretrain.model import build
from patchlens.pretrain.objectives import create
from pretrain.small import PATCH, SIDE, TOKENS, random_crops, small_recipe


def prepared():
    made = create(small_recipe("simmim"))
    return made, made.views(random_crops(6, 0), torch.Generator().manual_seed(0))


def cells(masked: torch.Tensor) -> torch.Tensor:
    """Bool [n, h, w] of token indices that count the class token."""
    grid = torch.zeros(len(masked), TOKENS, dtype=torch.bool)
    grid.scatter_(1, masked - 1, True)
    return grid.view(len(masked), SIDE // PATCH, SIDE // PATCH)


def painted(batch: dict[str, torch.Tensor], where: torch.Tensor) -> torch.Tensor:
    """The batch's pixels with noise in the patches `where`."""
    pixels = where.repeat_interleave(PATCH, 1).repeat_interleave(PATCH, 2)[:, None]
    noise = torch.randn(batch["pixels"].shape, generator=torch.Generator().manual_seed(9))
    return torch.where(pixels, noise, batch["pixels"])


def test_masks_are_whole_cells_and_the_class_token_is_never_masked():
    _, batch = prepared()
    grid = cells(batch["mask"])
    assert batch["mask"].min() >= 1
    assert grid.flatten(1).sum(1).tolist() == [TOKENS // 2] * 6
    corner = grid[:, ::2, ::2].repeat_interleave(2, 1).repeat_interleave(2, 2)
    assert (grid == corner).all()
    assert len({tuple(row.flatten().tolist()) for row in grid}) > 1


def test_the_encoder_does_not_see_masked_pixels():
    made, batch = prepared()
    hidden = painted(batch, cells(batch["mask"]))
    tokens = [made.masked.encode(p, idx_mask=batch["mask"]) for p in (batch["pixels"], hidden)]
    assert torch.equal(*tokens)
    shown = painted(batch, ~cells(batch["mask"]))
    assert not torch.allclose(tokens[0], made.masked.encode(shown, idx_mask=batch["mask"]))


def test_the_loss_is_the_error_on_masked_patches_alone():
    made, batch = prepared()
    loss, _ = made.loss(batch)
    tokens = made.masked.encode(batch["pixels"], idx_mask=batch["mask"])[:, 1:]
    predicted = made.predict(tokens)
    total, count = 0.0, 0
    side = SIDE // PATCH
    for image, row in enumerate(batch["mask"]):
        for token in (row - 1).tolist():
            y, x = token // side * PATCH, token % side * PATCH
            patch = batch["pixels"][image, :, y : y + PATCH, x : x + PATCH]
            error = predicted[image, token] - patch.permute(1, 2, 0).flatten()
            total, count = total + float(error.detach().abs().sum()), count + error.numel()
    assert float(loss) == pytest.approx(total / count, rel=1e-5)


def test_positions_and_weights_start_as_the_untrained_model():
    made, _ = prepared()
    shared = made.recipe.shared
    fresh = build(shared, made.recipe.seed).state_dict()
    for name, value in made.student().state_dict().items():
        assert torch.equal(value, fresh[name]), name


def test_seen_counts_the_unmasked_tokens():
    made, _ = prepared()
    seen = made.seen(10)
    assert (seen.crops, seen.teacher_forwards, seen.visible_tokens) == (10, 0, 10 * TOKENS // 2)
