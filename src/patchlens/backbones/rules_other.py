"""Named conversions of the families that are not plain ViTs; an entry lists them by name."""

import re

import torch

from patchlens.backbones.rules import Rule, Tensors
from patchlens.errors import DataError

# AIMv2 under Apple's names (aim-v2/aim/v2/torch), and under those of transformers, whose separate
# q, k and v are joined first.
APPLE = {
    r"preprocessor\.patchifier\.(.+)": r"patch_embed.\1",
    r"preprocessor\.pos_embed": "pos_embed",
    r"trunk\.post_trunk_norm\.(.+)": r"norm.\1",
    r"trunk\.(blocks\.\d+\.)norm_(\d\..+)": r"\1norm\2",
    r"trunk\.(blocks\.\d+\.mlp\.)fc1(\..+)": r"\1fc1_g\2",
    r"trunk\.(blocks\.\d+\.mlp\.)fc3(\..+)": r"\1fc1_x\2",
    r"trunk\.(blocks\..+)": r"\1",
}
TRANSFORMERS = {
    r"embeddings\.patch_embed\.(.+)": r"patch_embed.proj.\1",
    r"embeddings\.rms_norm\.(.+)": r"patch_embed.norm.\1",
    r"embeddings\.position_embedding\.weight": "pos_embed",
    r"rms_norm\.(.+)": r"norm.\1",
    r"encoder\.layers\.(\d+)\.rms_norm(\d\..+)": r"blocks.\1.norm\2",
    r"encoder\.layers\.(\d+)\.attention\.qkv\.(.+)": r"blocks.\1.attn.qkv.\2",
    r"encoder\.layers\.(\d+)\.attention\.out_proj\.(.+)": r"blocks.\1.attn.proj.\2",
    r"encoder\.layers\.(\d+)\.ffn\.gate_proj\.(.+)": r"blocks.\1.mlp.fc1_g.\2",
    r"encoder\.layers\.(\d+)\.ffn\.up_proj\.(.+)": r"blocks.\1.mlp.fc1_x.\2",
    r"encoder\.layers\.(\d+)\.ffn\.down_proj\.(.+)": r"blocks.\1.mlp.fc2.\2",
}
SEPARATE = re.compile(r"(encoder\.layers\.\d+\.attention)\.[qkv]_proj\.weight")


def leading_axes(tensors: Tensors) -> Tensors:
    """CLIP's class token [D] and positions [1 + N, D] get the axes that timm has before them."""
    moved = {
        "cls_token": tensors["cls_token"].reshape(1, 1, -1),
        "pos_embed": tensors["pos_embed"][None],
    }
    return tensors | moved


def aimv2(tensors: Tensors) -> Tensors:
    """AIMv2's file under either set of names; a name of neither keeps its own."""
    if "embeddings.patch_embed.weight" not in tensors:
        return _translated(tensors, APPLE)
    joined = {name: value for name, value in tensors.items() if not SEPARATE.fullmatch(name)}
    places = [match[1] for name in tensors if (match := SEPARATE.fullmatch(name))]
    for place in dict.fromkeys(places):
        parts = [tensors[f"{place}.{part}_proj.weight"] for part in "qkv"]
        joined[f"{place}.qkv.weight"] = torch.cat(parts)
    moved = _translated(joined, TRANSFORMERS)
    return moved | {"pos_embed": moved["pos_embed"][None]}


def masked_key_bias(tensors: Tensors) -> Tensors:
    """DINOv3's `qkv.bias` times its `bias_mask`, cut into the biases of q and v.

    The authors' attention adds bias × mask, and its mask is zero for k (`LinearKMaskedBias`); timm
    has no bias for k at all. Where a file has a mask of zeros only, no bias is left for q and v.

    Raises:
        DataError: a bias of k is not masked, so that dropping it would change the model.
    """
    result = {n: v for n, v in tensors.items() if not re.search(r"qkv\.bias(_mask)?$", n)}
    for name, bias in tensors.items():
        if not name.endswith("qkv.bias"):
            continue
        mask = tensors[f"{name}_mask"].to(bias.dtype)
        q, k, v = torch.where(mask == 0, torch.zeros_like(bias), bias * mask).chunk(3)
        if k.count_nonzero():
            raise DataError(f"{name}: the bias of k is not masked; this is no file of DINOv3's")
        start = name.removesuffix("qkv.bias")
        result[f"{start}q_bias"], result[f"{start}v_bias"] = q.clone(), v.clone()
    return result


def _translated(tensors: Tensors, names: dict[str, str]) -> Tensors:
    """The tensors under the first translation whose pattern is the whole name."""
    result: Tensors = {}
    for name, value in tensors.items():
        found = (re.fullmatch(pattern, name) for pattern in names)
        fits = next(((m, new) for m, new in zip(found, names.values(), strict=True) if m), None)
        result[fits[0].expand(fits[1]) if fits else name] = value
    return result


RULES: dict[str, Rule] = {
    "leading_axes": leading_axes,
    "aimv2": aimv2,
    "masked_key_bias": masked_key_bias,
}
