"""The supervised ceiling: labels of patches as the evaluation makes them, ignored ones left out."""

import numpy as np
import torch

from minicity.spec import CLASSES, IGNORE
from patchlens.pretrain.objectives import create
from patchlens.pretrain.objectives.supervised import patch_targets
from patchlens.tasks.segmentation.labels import patch_labels
from pretrain.small import TOKENS, random_crops, small_recipe


def objective():
    return create(small_recipe("supervised"))


def test_targets_are_the_labels_of_the_evaluation():
    """Ties, patches of ignored pixels and exact halves among them."""
    values = np.array([0, 1, 1, 9, IGNORE, IGNORE], np.uint8)
    masks = np.random.default_rng(0).choice(values, (64, 8, 12))
    found = patch_targets(torch.from_numpy(masks), 2)
    expected = [patch_labels(mask, (4, 6), len(CLASSES), "majority") for mask in masks]
    assert (found.numpy().reshape(64, 4, 6) == np.stack(expected)).all()
    assert (found == IGNORE).any()


def test_ignored_patches_do_not_count():
    made = objective()
    batch = made.views(random_crops(4, 0, labels=True), torch.Generator().manual_seed(0))
    half = batch["targets"].clone()
    half[:, TOKENS // 2 :] = IGNORE
    loss, _ = made.loss({**batch, "targets": half})
    logits = made.head(made.backbone.forward_features(batch["pixels"])[:, 1 : 1 + TOKENS // 2])
    kept = torch.nn.functional.cross_entropy(logits.flatten(0, 1), half[:, : TOKENS // 2].flatten())
    torch.testing.assert_close(loss, kept)


def test_a_batch_without_a_label_is_no_nan():
    made = objective()
    batch = made.views(random_crops(4, 0, labels=True), torch.Generator().manual_seed(0))
    loss, _ = made.loss({**batch, "targets": torch.full_like(batch["targets"], IGNORE)})
    assert loss == 0


def test_labels_follow_their_pixels_through_crop_and_flip():
    """With two flat colours the class of a patch can be read off its brightness."""
    batch = objective().views(random_crops(32, 1, labels=True), torch.Generator().manual_seed(3))
    bright = batch["pixels"].mean(dim=1).unfold(1, 4, 4).unfold(2, 4, 4).mean(dim=(3, 4))
    bright, classes = bright.flatten(), batch["targets"].flatten()
    assert set(classes.tolist()) == {0, 1}
    guessed = (bright > (bright.min() + bright.max()) / 2).long()
    assert (guessed == classes).float().mean() > 0.95
