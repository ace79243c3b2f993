"""Half precision as on a GPU: under CPU autocast every objective has the loss that it has without.

Types that do not fit each other, and logits that bf16 would round, show here without a GPU.
"""

import pytest
import torch

from patchlens.pretrain.objectives import create
from pretrain.small import RECIPES, random_crops, small_recipe


@pytest.mark.parametrize("objective", sorted(RECIPES))
def test_bf16_gives_nearly_the_same_loss_and_gradient(objective):
    losses, gradients = [], []
    for enabled in (False, True):
        made = create(small_recipe(objective))
        crops = random_crops(8, 0, labels=made.labels)
        batch = made.views(crops, torch.Generator().manual_seed(0))
        with torch.autocast("cpu", torch.bfloat16, enabled=enabled):
            loss, logged = made.loss(batch)
            loss.backward()
        assert loss.dtype == torch.float32
        assert not any(value.requires_grad for value in logged.values())
        losses.append(float(loss))
        gradients.append(torch.cat([p.grad.flatten() for p in made.backbone.blocks.parameters()]))
    assert losses[1] == pytest.approx(losses[0], rel=0.02)
    alike = torch.nn.functional.cosine_similarity(gradients[0], gradients[1], dim=0)
    assert alike > 0.98


@pytest.mark.parametrize("objective", ["dino", "ibot"])
def test_prototypes_are_compared_in_full_precision(objective):
    """bf16 has three digits: over temperature 0.04 they would not tell prototypes apart."""
    made = create(small_recipe(objective))
    seen = []
    names = [name for name in ("criterion", "patch_criterion") if hasattr(made, name)]
    for name in names:
        getattr(made, name).register_forward_pre_hook(lambda _, inputs: seen.extend(inputs[:2]))
    batch = made.views(random_crops(8, 0), torch.Generator().manual_seed(0))
    with torch.autocast("cpu", torch.bfloat16):
        made.loss(batch)
    tensors = [t for given in seen for t in (given if isinstance(given, list) else [given])]
    assert len(seen) == 2 * len(names)
    assert {tensor.dtype for tensor in tensors} == {torch.float32}
