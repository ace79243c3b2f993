"""DINO and MAE: what the student, the teacher and the decoder see, and the losses by hand."""

from typing import Any

import pytest
import torch
from torch import Tensor

from patchlens.pretrain.objectives import OBJECTIVES, create
from patchlens.pretrain.objectives.dino import Dino
from patchlens.pretrain.objectives.mae import Mae
from pretrain.small import PATCH, SIDE, TOKENS, random_crops, small_recipe

WINDOWS = 6


def prepared(objective: str, **changes: Any) -> tuple[Any, dict[str, Tensor]]:
    made = create(small_recipe(objective, **changes))
    return made, made.views(random_crops(WINDOWS, 0), torch.Generator().manual_seed(0))


def patches(pixels: Tensor) -> Tensor:
    """[n, tokens, 3·p²] with the channel last, row by row."""
    cut = pixels.unfold(2, PATCH, PATCH).unfold(3, PATCH, PATCH)
    return cut.permute(0, 2, 3, 4, 5, 1).reshape(len(pixels), TOKENS, -1)


def test_dino_sees_two_global_and_some_local_crops() -> None:
    made, batch = prepared("dino")
    assert isinstance(made, Dino)
    assert batch["global"].shape == (2 * WINDOWS, 3, SIDE, SIDE)
    assert batch["local"].shape == (2 * WINDOWS, 3, 8, 8)
    assert not torch.equal(*batch["global"].chunk(2))
    assert not torch.equal(*batch["local"].chunk(2))
    seen = made.seen(WINDOWS)
    assert (seen.crops, seen.teacher_forwards) == (4 * WINDOWS, 2 * WINDOWS)
    assert seen.visible_tokens == WINDOWS * (2 * TOKENS + 2 * (8 // PATCH) ** 2)
    alone, batch = prepared("dino", local_crops=0)
    assert set(batch) == {"global"}
    assert torch.isfinite(alone.loss(batch)[0])


def test_loss_of_dino_by_hand() -> None:
    made, batch = prepared("dino")
    made.criterion.center.copy_(0.1 * torch.randn(32, generator=torch.Generator().manual_seed(1)))
    center = made.criterion.center.clone()

    def outputs(backbone: Any, head: Any, name: str) -> tuple[Tensor, ...]:
        return head(backbone.forward_features(batch[name])[:, 0]).chunk(2)

    taught = outputs(made.teacher, made.teacher_head, "global")
    learnt = [*outputs(made.backbone, made.head, "global")]
    learnt += outputs(made.backbone, made.head, "local")
    terms = [
        -(((t - center[0, 0]) / 0.04).softmax(-1) * (s / 0.1).log_softmax(-1)).sum(-1).mean()
        for i, t in enumerate(taught)
        for j, s in enumerate(learnt)
        if i != j
    ]
    assert len(terms) == 6
    loss, logged = made.loss(batch)
    torch.testing.assert_close(loss, torch.stack(terms).mean())
    shares = ((torch.cat(taught) - center[0, 0]) / 0.04).softmax(-1)
    entropy = -(shares * shares.clamp_min(1e-30).log()).sum(-1).mean()
    torch.testing.assert_close(logged["teacher_entropy"], entropy)
    assert not torch.equal(made.criterion.center, center)  # the centre has moved


def test_teacher_begins_as_the_student_and_follows_without_gradient() -> None:
    made, batch = prepared("dino")
    pairs = [(made.backbone, made.teacher), (made.head, made.teacher_head)]
    for student, teacher in pairs:
        for one, other in zip(student.parameters(), teacher.parameters(), strict=True):
            assert torch.equal(one, other)
            assert one is not other
            assert not other.requires_grad
    made.loss(batch)[0].backward()
    assert all(p.grad is None for _, teacher in pairs for p in teacher.parameters())
    before = [teacher.state_dict()[name].clone() for _, teacher in pairs for name in _some(teacher)]
    with torch.no_grad():
        for parameter in made.parameters():
            parameter += 0.5 if parameter.requires_grad else 0
    made.after_step(0.0)  # momentum 0.9
    after = [teacher.state_dict()[name] for _, teacher in pairs for name in _some(teacher)]
    for old, new in zip(before, after, strict=True):
        torch.testing.assert_close(new, old + 0.05)
    assert made.student() is made.teacher


def _some(module: Any) -> list[str]:
    """Names of parameters that are trained in the student."""
    return [n for n, _ in module.named_parameters() if "pos_embed" not in n and "_g" not in n]


def test_dino_reports_a_collapsed_teacher() -> None:
    made, batch = prepared("dino")
    made.entropy.grace = 1
    made.teacher_head.last_layer.weight_v.data.fill_(1)  # all prototypes alike: uniform
    made.loss(batch)
    assert "uniform" in made.collapse()


def test_mae_hides_patches_from_the_encoder() -> None:
    made, batch = prepared("mae")
    assert isinstance(made, Mae)
    assert batch["keep"].shape == (WINDOWS, 1 + TOKENS // 2)
    assert (batch["keep"] == 0).sum() == WINDOWS  # the class token stays
    together = torch.cat([batch["keep"], batch["mask"]], dim=1).sort(dim=1).values
    assert torch.equal(together, torch.arange(TOKENS + 1).expand(WINDOWS, -1))
    assert made.seen(WINDOWS).visible_tokens == batch["keep"].numel() - WINDOWS
    assert (made.seen(WINDOWS).crops, made.seen(WINDOWS).teacher_forwards) == (WINDOWS, 0)
    found: list[Tensor] = []
    made.predict.register_forward_hook(lambda *args: found.append(args[2].detach()))
    for name in ("mask", "keep"):
        pixels = batch["pixels"].clone()
        number = int(batch[name][0].max()) - 1
        row, column = (PATCH * place for place in divmod(number, SIDE // PATCH))
        pixels[0, :, row : row + PATCH, column : column + PATCH] += 1
        made.loss(batch)
        made.loss(batch | {"pixels": pixels})
    assert torch.equal(found[0], found[1])
    assert not torch.equal(found[2][0], found[3][0])
    assert torch.equal(found[2][1:], found[3][1:])


@pytest.mark.parametrize("normalise", [True, False])
def test_loss_of_mae_by_hand(normalise: bool) -> None:
    made, batch = prepared("mae", normalise_target=normalise)
    made.predict.weight.data.zero_()
    made.predict.bias.data.fill_(0.25)
    cut = patches(batch["pixels"])
    hidden = torch.stack([cut[i, batch["mask"][i] - 1] for i in range(WINDOWS)])
    if normalise:
        deviation = (hidden.var(-1, keepdim=True) + 1e-6).sqrt()
        hidden = (hidden - hidden.mean(-1, keepdim=True)) / deviation
    loss, logged = made.loss(batch)
    torch.testing.assert_close(loss, (hidden - 0.25).square().mean())
    assert logged == {}


def test_masks_differ_between_crops_and_steps() -> None:
    made, batch = prepared("mae")
    generator = torch.Generator().manual_seed(0)
    again = made.views(random_crops(WINDOWS, 0), generator)
    other = made.views(random_crops(WINDOWS, 0), generator)
    assert torch.equal(again["keep"], batch["keep"])
    assert not torch.equal(other["keep"], batch["keep"])
    assert len({tuple(row.sort().values.tolist()) for row in batch["keep"]}) > 1


def test_all_objectives_begin_with_the_same_backbone() -> None:
    one, other = (create(small_recipe(name)).backbone.state_dict() for name in ("dino", "mae"))
    assert all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize("objective", sorted(OBJECTIVES))
def test_the_seed_alone_decides_every_weight(objective: str) -> None:
    recipe = small_recipe(objective)
    made = []
    for state in (1, 2):
        torch.manual_seed(state)
        made.append(create(recipe).state_dict())
    one, again = made
    assert all(torch.equal(one[name], again[name]) for name in one)
    other = create(recipe.model_copy(update={"seed": 1})).state_dict()
    drawn = [n for n in one if n.endswith("weight") and one[n].ndim > 1]
    assert not [name for name in drawn if torch.equal(one[name], other[name])]
