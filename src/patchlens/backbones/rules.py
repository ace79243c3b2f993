"""Named conversions beyond renaming; the mapping of an entry lists them by name.

They run after the renaming.
"""

import re
from collections.abc import Callable

import torch
from torch import Tensor

from patchlens.errors import DataError

Tensors = dict[str, Tensor]
Rule = Callable[[Tensors], Tensors]
SEPARATE = re.compile(r"(blocks\.\d+\.attn)\.[qkv]_proj\.(weight|bias)")


def class_position_into_token(tensors: Tensors) -> Tensors:
    """Add the class token's row of `pos_embed` to `cls_token` and remove it from `pos_embed`.

    For architectures whose position embedding covers the patches only, as timm's DINOv2 with
    registers (timm 1.0.31, `no_embed_class`): the sum of token and position is the same.
    """
    position = tensors["pos_embed"]
    moved = {
        "cls_token": tensors["cls_token"] + position[:, :1],
        "pos_embed": position[:, 1:].clone(),
    }
    return tensors | moved


def leading_axes(tensors: Tensors) -> Tensors:
    """Add the leading axes of timm to positions [N, D] and a class token [D]."""
    width = tensors["pos_embed"].shape[-1]
    names = tensors.keys() & {"cls_token", "pos_embed"}
    return tensors | {name: tensors[name].reshape(1, -1, width) for name in names}


def joined_qkv(tensors: Tensors) -> Tensors:
    """Join weights and biases of q, k and v, which some files store separately.

    Where k has no bias, those of q and v become `q_bias` and `v_bias`, as in timm's BEiT and EVA.
    """
    joined = {name: value for name, value in tensors.items() if not SEPARATE.fullmatch(name)}
    for place, kind in {m.groups() for name in tensors if (m := SEPARATE.fullmatch(name))}:
        names = {part: f"{place}.{part}_proj.{kind}" for part in "qkv"}
        if kind == "bias" and names["k"] not in tensors:
            joined |= {f"{place}.{part}_bias": tensors[names[part]] for part in "qv"}
        else:
            joined[f"{place}.qkv.{kind}"] = torch.cat([tensors[name] for name in names.values()])
    return joined


def masked_key_bias(tensors: Tensors) -> Tensors:
    """DINOv3's `qkv.bias` times its `bias_mask`, cut into the biases of q and v.

    The authors' attention adds bias × mask, and its mask is zero for k (`LinearKMaskedBias`); timm
    has no bias for k at all. If the mask is all zeros, no bias remains for q and v.

    Raises:
        DataError: a bias of k is not masked, so dropping it would change the model.
    """
    result = {n: v for n, v in tensors.items() if not re.search(r"qkv\.bias(_mask)?$", n)}
    for name, bias in tensors.items():
        if not name.endswith("qkv.bias"):
            continue
        mask = tensors[f"{name}_mask"].to(bias.dtype)
        q, k, v = torch.where(mask == 0, torch.zeros_like(bias), bias * mask).chunk(3)
        if k.count_nonzero():
            raise DataError(
                f"{name}: the bias of k is not masked, so this is not a file of DINOv3; remove "
                "the rule"
            )
        start = name.removesuffix("qkv.bias")
        result[f"{start}q_bias"], result[f"{start}v_bias"] = q.clone(), v.clone()
    return result


RULES: dict[str, Rule] = {
    rule.__name__: rule
    for rule in (class_position_into_token, leading_axes, joined_qkv, masked_key_bias)
}
