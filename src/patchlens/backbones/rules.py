"""Named conversions that a renaming cannot say; a registry entry lists them by name."""

from collections.abc import Callable

from torch import Tensor

Tensors = dict[str, Tensor]
Rule = Callable[[Tensors], Tensors]


def class_position_into_token(tensors: Tensors) -> Tensors:
    """The class token's row of `pos_embed` is added to `cls_token`, and cut off `pos_embed`.

    For architectures whose position embedding covers the patches only, as timm's DINOv2 with
    registers (timm 1.0.31, `no_embed_class`): the sum of token and position is the same.
    """
    position = tensors["pos_embed"]
    moved = {
        "cls_token": tensors["cls_token"] + position[:, :1],
        "pos_embed": position[:, 1:].clone(),
    }
    return tensors | moved


RULES: dict[str, Rule] = {"class_position_into_token": class_position_into_token}
