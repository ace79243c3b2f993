"""What the authors of the plain ViTs say of their models and files, written a second time.

They are heads, patch, nesting, statistics and the resizing of positions. A slip in the registry
differs from them.
"""

import argparse
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import torch

from backbones.official import HALF, IMAGENET, Shapes, Weights, drawn, linear_shapes, vit_shapes
from backbones.reference import ground

HEAD = 4  # width of a head


def flat(weights: Weights) -> dict[str, Any]:
    return dict(weights)


def below(key: str, prefix: str = "", **others: Any) -> Callable[[Weights], dict[str, Any]]:
    """A nested file: the weights in `key` behind `prefix`, and what else the authors save."""
    return lambda weights: others | {key: {f"{prefix}{n}": w for n, w in weights.items()}}


def state(weights: Weights) -> Weights:
    """Other weights under the same names: to take these would be wrong."""
    return {name: weight + 1 for name, weight in weights.items()}


def mocov3(weights: Weights) -> dict[str, Any]:
    named = {f"module.base_encoder.{n}": w for n, w in weights.items()}
    named |= {f"module.momentum_encoder.{n}": w for n, w in state(weights).items()}
    named |= {"module.predictor.0.weight": torch.zeros(3, 3)}
    return {"epoch": 300, "arch": "vit_small", "state_dict": named, "optimizer": {"state": {}}}


def siamese(key: str) -> Callable[[Weights], dict[str, Any]]:
    """MSN and I-JEPA save two encoders; the other one holds other weights."""

    def nest(weights: Weights) -> dict[str, Any]:
        pair = {"encoder": state(weights), "target_encoder": state(weights)} | {key: weights}
        named = {k: {f"module.{n}": w for n, w in v.items()} for k, v in pair.items()}
        return named | {"opt": {"state": {}}, "epoch": 5, "loss": 0.25, "scaler": None, "lr": 1e-3}

    return nest


def scalemae(weights: Weights) -> dict[str, Any]:
    surplus = {"mask_token": torch.zeros(1, 1, 8), "mask_token_decoder": torch.zeros(1, 1, 8)}
    surplus |= {"decoder_embed.weight": torch.zeros(8, 8), "decoder_norm.bias": torch.zeros(8)}
    surplus |= {"decoder_pos_embed": torch.zeros(1, 17, 8), "fpn.fpn1.0.weight": torch.zeros(8)}
    surplus |= {"decoder_blocks.0.norm1.weight": torch.zeros(8)}
    surplus |= {f"{head}.convs.0.weight": torch.zeros(8) for head in ("fcn_high", "fcn_low")}
    saved = argparse.Namespace(output_dir="out", blr=1.5e-4)
    return {"model": weights | surplus, "optimizer": {}, "epoch": 799, "scaler": {}, "args": saved}


@dataclass(frozen=True)
class Case:
    """What the authors say of a model.

    `extra` are names beside the backbone's; `nest` makes the file of the weights.
    """

    heads: int
    patch: int = 16
    mode: str = "mae"
    nest: Callable[[Weights], dict[str, Any]] = flat
    interpolation: str = "bicubic"
    statistics: tuple[list[float], list[float]] = IMAGENET
    extra: Callable[[int], Shapes] = lambda width: {}
    options: tuple[tuple[str, Any], ...] = ()
    swiglu: bool = False
    suffix: str = ".pth"

    @property
    def width(self) -> int:
        return self.heads * HEAD


def head(width: int) -> Shapes:
    return linear_shapes("head", 10, width)


def moco_head(width: int) -> Shapes:
    layers = {f"head.{i}.weight": (8, width) for i in (0, 3, 6)}
    return layers | {"head.1.running_mean": (8,), "head.1.num_batches_tracked": ()}


def projector(width: int) -> Shapes:
    shapes = {f"fc.{name}.weight": (8, width) for name in ("fc1", "fc2", "fc3")}
    return shapes | {"fc.bn1.weight": (8,), "fc.bn1.running_var": (8,), "fc.bn2.bias": (8,)}


def mask_token(width: int) -> Shapes:
    return {"mask_token": (1, width)}


def mask_and_registers(width: int) -> Shapes:
    return mask_token(width) | {"register_tokens": (1, 4, width)}


def masked_embed(width: int) -> Shapes:
    return {"masked_embed": (1, width)}


SCALE = (("layer_scale", True),)
DINO = Case(6, mode="dino")
DINOV2 = Case(6, 14, "dino", extra=mask_token, options=SCALE)
REGISTERS = replace(DINOV2, mode="timm", extra=mask_and_registers)
GIANT = {"heads": 24, "swiglu": True, "options": (*SCALE, ("swiglu", 256))}
IBOT = Case(6, mode="dino", nest=below("state_dict"))
STUDENT = replace(IBOT, extra=masked_embed)
MAE = Case(12, nest=below("model"))
MOCOV3 = Case(12, nest=mocov3, extra=moco_head, interpolation="bilinear")
MSN = Case(6, nest=siamese("target_encoder"), extra=projector, interpolation="bilinear")
NO_CLASS = (("prefix", 0),)
CONTEXT = Case(16, 14, "timm", siamese("encoder"), options=NO_CLASS)
TARGET = replace(CONTEXT, nest=siamese("target_encoder"))
# MLP of ViT-g/16: 1408 · 48 / 11 = 6144; the same ratio at the tiny width of 64.
VIT_G = {"patch": 16, "options": (*NO_CLASS, ("hidden", 279))}
AUGREG = Case(6, mode="timm", statistics=HALF, extra=head, suffix=".safetensors")
DEIT = Case(3, nest=below("model"), extra=head)

CASES = {
    "dino_vits16": DINO,
    "dino_vits8": replace(DINO, patch=8),
    "dino_vitb16": replace(DINO, heads=12),
    "dino_vitb8": replace(DINO, heads=12, patch=8),
    "dinov2_vits14": DINOV2,
    "dinov2_vitb14": replace(DINOV2, heads=12),
    "dinov2_vitl14": replace(DINOV2, heads=16),
    "dinov2_vitg14": replace(DINOV2, **GIANT),
    "dinov2_vits14_reg": REGISTERS,
    "dinov2_vitb14_reg": replace(REGISTERS, heads=12),
    "dinov2_vitl14_reg": replace(REGISTERS, heads=16),
    "dinov2_vitg14_reg": replace(REGISTERS, **GIANT),
    "ibot_vits16": IBOT,
    "ibot_vitb16": replace(IBOT, heads=12),
    "ibot_vitb16_rand": replace(IBOT, heads=12),
    "ibot_vitl16": replace(IBOT, heads=16),
    "ibot_vitl16_rand": replace(IBOT, heads=16),
    "ibot_vitb16_in22k": replace(STUDENT, heads=12),
    "ibot_vitl16_in22k": replace(STUDENT, heads=16, nest=flat),
    "ijepa_vith14_encoder": CONTEXT,
    "ijepa_vith14_target_encoder": TARGET,
    "ijepa_vith16_448_encoder": replace(CONTEXT, patch=16),
    "ijepa_vith16_448_target_encoder": replace(TARGET, patch=16),
    "ijepa_vith14_in22k_encoder": CONTEXT,
    "ijepa_vith14_in22k_target_encoder": TARGET,
    "ijepa_vitg16_in22k_encoder": replace(CONTEXT, **VIT_G),
    "ijepa_vitg16_in22k_target_encoder": replace(TARGET, **VIT_G),
    "mae_vitb16": MAE,
    "mae_vitl16": replace(MAE, heads=16),
    "mae_vith14": replace(MAE, heads=16, patch=14),
    "mocov3_vits16": MOCOV3,  # 12 heads, as the B
    "mocov3_vitb16": MOCOV3,
    "msn_vits16": MSN,
    "msn_vitb16": replace(MSN, heads=12),
    "msn_vitl16": replace(MSN, heads=16),
    "msn_vitb4": replace(MSN, heads=12, patch=4),
    "msn_vitl7": replace(MSN, heads=16, patch=7),
    "scalemae_vitl16": Case(16, mode="gsd", nest=scalemae),
    "scalemae_vitl16_torchgeo": Case(16, mode="gsd"),
    "augreg_vits16_in21k": AUGREG,
    "augreg_vitb16_in21k": replace(AUGREG, heads=12),
    "augreg_vitb8_in21k": replace(AUGREG, heads=12, patch=8),
    "augreg_vitl16_in21k": replace(AUGREG, heads=16),
    "augreg_vitb16_in1k": replace(AUGREG, heads=12),
    "deit_vitt16": DEIT,
    "deit_vits16": replace(DEIT, heads=6),
    "deit_vitb16": replace(DEIT, heads=12),
}


@cache
def weights_of(name: str) -> Weights:
    """Random weights under the names of the official file, those beside the backbone too."""
    case = CASES[name]
    shapes = vit_shapes(case.width, case.patch, **dict(case.options)) | case.extra(case.width)
    weights = drawn(shapes)
    if case.mode == "gsd":  # fixed sines, as the authors' model saves them
        sines = ground((4, 4), case.width, (1.0, 1.0)).float()
        weights["pos_embed"] = torch.cat([torch.zeros(1, 1, case.width), sines], 1)
    return weights
