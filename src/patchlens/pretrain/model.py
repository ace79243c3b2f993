"""The ViT that all objectives train, and the product's view of it."""

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
    """What `models.<slot>.arch_args` of params.yaml says of an exported model."""
    return {"img_size": shared.crop, **shared.arch.model_dump()}


def build(shared: Shared, seed: int) -> Any:
    """The untrained ViT: weights as `source: untrained` draws them, the same on every machine.

    Positions are 2D sines and cosines and stay as they are, for all objectives alike: so local
    crops and masks see the same positions, and resampling them needs no gradient.
    """
    model = build_timm(ARCH, {**arch_args(shared), "dynamic_img_size": True})
    model.load_state_dict(draw_weights(model, seed))
    initialize_2d_sine_cosine_positional_embedding(model.pos_embed)
    return model


def as_backbone(model: nn.Module) -> VitBackbone:
    """A copy of the trained ViT behind the product's contract, on the CPU and in float32."""
    copied: Any = copy.deepcopy(model).float().cpu()
    # The backbone resamples positions itself; timm must not do so a second time.
    copied.dynamic_img_size = copied.patch_embed.dynamic_img_size = False
    copied.patch_embed.flatten = True
    # Mean and deviation are what `source: file` takes where params.yaml says none.
    found = backbone(
        copied,
        mean=IMAGENET_MEAN,
        std=IMAGENET_STD,
        interpolation="bicubic",
        position="timm",
    )
    assert isinstance(found, VitBackbone)
    return found
