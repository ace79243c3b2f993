"""The ViT that all objectives train, and the same as a backbone."""

import copy
from typing import Any

from lightly.models.utils import initialize_2d_sine_cosine_positional_embedding
from torch import nn

from patchlens.backbones.architecture import build as build_timm
from patchlens.backbones.contract import IMAGENET_MEAN, IMAGENET_STD
from patchlens.backbones.load import backbone
from patchlens.backbones.untrained import draw_weights
from patchlens.backbones.vit import VitBackbone
from patchlens.pretrain.shared import Shared

ARCH = "vit_tiny_patch16_224"


def arch_args(shared: Shared) -> dict[str, int]:
    """`models.<slot>.arch_args` in params.yaml for an exported model."""
    return {"img_size": shared.crop, **shared.arch.model_dump()}


def build(shared: Shared, seed: int) -> Any:
    """The untrained ViT: weights as `source: untrained` draws them, the same on every machine.

    Positions are fixed 2D sines and cosines for all objectives: local crops and masks see the same
    positions, and resampling them needs no gradient.
    """
    model = build_timm(ARCH, {**arch_args(shared), "dynamic_img_size": True})
    model.load_state_dict(draw_weights(model, seed))
    initialize_2d_sine_cosine_positional_embedding(model.pos_embed)
    return model


def as_backbone(model: nn.Module) -> VitBackbone:
    """A copy of the trained ViT as a backbone, on the CPU and in float32."""
    copied: Any = copy.deepcopy(model).float().cpu()
    # The backbone resamples positions itself; timm must not do so a second time.
    copied.dynamic_img_size = copied.patch_embed.dynamic_img_size = False
    copied.patch_embed.flatten = True
    # Mean and deviation are the defaults of `source: file`.
    found = backbone(
        copied,
        mean=IMAGENET_MEAN,
        std=IMAGENET_STD,
        interpolation="bicubic",
        position="timm",
    )
    assert isinstance(found, VitBackbone)
    return found
