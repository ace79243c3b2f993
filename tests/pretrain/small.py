"""The smallest recipes that keep all that a run has: 16-pixel crops, 2 blocks of width 24."""

from typing import Any

import torch

from patchlens.pretrain.recipes import Dino, Ibot, Mae, Simmim, Supervised
from patchlens.pretrain.settings import Recipe
from patchlens.pretrain.shared import Arch, Augment, Frames, Probe, Shared

SIDE = 16
PATCH = 4
TOKENS = (SIDE // PATCH) ** 2
OWN = {"batch": 8, "learning_rate": 2e-3, "weight_decay": 0.0, "warmup": 0.0}
DISTILLED = OWN | {
    "prototypes": 32,
    "hidden": 32,
    "bottleneck": 16,
    "student_temperature": 0.1,
    "teacher_temperature": 0.04,
    "center_momentum": 0.9,
    "momentum": [0.9, 1.0],
    "local_crops": 2,
    "local_crop": 8,
    "local_scale": [0.1, 0.4],
}
RECIPES: dict[str, Any] = {
    "dino": Dino(**DISTILLED),
    "mae": Mae(
        **OWN,
        mask_ratio=0.5,
        decoder_width=16,
        decoder_depth=1,
        decoder_heads=2,
        normalise_target=True,
    ),
    "ibot": Ibot(**DISTILLED, mask_ratio=[0.2, 0.5], mask_share=0.5),
    "simmim": Simmim(**OWN, mask_ratio=0.5, mask_patch=2),
    "supervised": Supervised(**OWN),
}


def small_recipe(objective: str, **changes: Any) -> Recipe:
    """A recipe; `changes` are of its own part."""
    shared = Shared(
        arch=Arch(patch_size=PATCH, embed_dim=24, depth=2, num_heads=2),
        crop=SIDE,
        crops=800,
        train=Frames(first_seed=1_000_000, stills=2, videos=0, frames=1, every=1),
        probe=Probe(first_seed=2_000_000, bank=1, query=1, k=1, every=0.5),
        augment=Augment(window=24, scale=[0.4, 1.0], flip=0.5, jitter=0.2, grey=0.1),
        clip=3.0,
        log_every=5,
        checkpoint_minutes=5.0,
    )
    return Recipe(
        objective=objective,
        size="cpu",
        seed=0,
        device="cpu",
        shared=shared,
        own=RECIPES[objective].model_copy(update=changes),
    )


def random_crops(count: int, seed: int, labels: bool = False) -> torch.Tensor:
    """Crops uint8 [n, 3 or 4, 24, 24] of two flat colours, whose class is the colour's."""
    generator = torch.Generator().manual_seed(seed)
    left = torch.arange(24) < 12
    classes = torch.randint(0, 2, (count, 1, 1, 2), generator=generator)
    mask = torch.where(left, classes[..., :1], classes[..., 1:]).expand(-1, -1, 24, -1)
    noise = torch.randint(0, 40, (count, 3, 24, 24), generator=generator)
    crops = (mask * 160 + noise).to(torch.uint8)
    return torch.cat([crops, mask.to(torch.uint8)], dim=1) if labels else crops
