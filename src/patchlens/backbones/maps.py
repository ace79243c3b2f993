"""Models of timm by their feature maps: ConvNeXt, Swin, Hiera, ResNet and others of stages.

A layer is a stage, and its stride is the patch size. Stages differ in stride and width, so one of
them is opened, together with those like it.
"""

import inspect
from collections.abc import Callable
from typing import Any

import torch
from timm.layers.pos_embed import resample_abs_pos_embed
from timm.models.hiera import Hiera
from torch import Tensor, nn
from torch.nn import functional

from patchlens.backbones.contract import (
    ModelBackbone,
    PatchTokens,
    absolute_layers,
)

Size = tuple[int, int]
TABLE = "relative_position_bias_table"


class MapsBackbone(ModelBackbone):
    """A timm model of stages. Its final norm, where it is a layer norm, is of the last stage only.

    Args:
        model: with its weights.
        mean: see `contract.Backbone`.
        std: likewise.
        interpolation: likewise.
        layer: the stage that is opened.
        rebuild: makes the model without its weights for another input size.
        name: for messages.

    Raises:
        ValueError: there is no such stage.
    """

    def __init__(
        self,
        model: Any,
        *,
        mean: list[float],
        std: list[float],
        interpolation: str,
        layer: int,
        rebuild: Callable[[Size], Any],
        name: str,
    ) -> None:
        super().__init__(model, name=name, mean=mean, std=std, interpolation=interpolation)
        stages = stages_of(model)
        self.depth = len(stages)
        [opened] = absolute_layers([layer], self.depth)
        self.patch_size, self.width = stages[opened]
        self.layers = [i for i, stage in enumerate(stages) if stage == stages[opened]]
        self._rebuild = rebuild
        sizes = getattr(model, "set_input_size", None)
        self._takes = set(inspect.signature(sizes).parameters) if sizes is not None else set()
        self._stored = self._size = native_size(model)
        self._tables = {
            name: parameter.detach().clone()
            for name, parameter in model.named_parameters()
            if name.endswith(TABLE)
        }
        self._state = (
            {name: tensor.clone() for name, tensor in model.state_dict().items()}
            if isinstance(model, Hiera)
            else {}
        )
        self._spatial = getattr(model, "tokens_spatial_shape", ())

    @torch.inference_mode()
    def __call__(self, images: Tensor, *, layers: list[int], norm: bool) -> list[PatchTokens]:
        """See `contract.Backbone`; all of `layers` are among `self.layers`."""
        grid, wanted = self._asked(images, layers)
        self._fit((images.shape[-2], images.shape[-1]))
        indices = sorted(set(wanted))
        found = self._model.forward_intermediates(
            self._normalise(images),
            indices=indices,
            norm=False,
            stop_early=True,
            output_fmt="NCHW",
            intermediates_only=True,
        )
        by_layer = dict(zip(indices, found, strict=True))
        return [self._tokens(by_layer[layer], layer, grid, norm) for layer in wanted]

    def _tokens(self, found: Tensor, layer: int, grid: Size, norm: bool) -> PatchTokens:
        if tuple(found.shape[2:]) != grid:
            raise ValueError(
                f"stage {layer} gives {list(found.shape[2:])} instead of {list(grid)} positions"
            )
        tokens = found.permute(0, 2, 3, 1).contiguous()
        final = final_layer_norm(self._model) if norm and layer == self.depth - 1 else None
        if final is not None:
            tokens = functional.layer_norm(
                tokens, final.normalized_shape, final.weight, final.bias, final.eps
            )
        return PatchTokens(tokens, None, None)

    def _fit(self, size: Size) -> None:
        """Set the model to an input size, always from the stored weights."""
        if size == self._size:
            return
        if isinstance(self._model, Hiera):
            model = self._rebuild(size)
            state = dict(self._state)
            if state["pos_embed"].shape != model.pos_embed.shape:
                state["pos_embed"] = resample_abs_pos_embed(
                    state["pos_embed"],
                    new_size=list(model.tokens_spatial_shape),
                    old_size=list(self._spatial),
                    num_prefix_tokens=0,
                )
            model.load_state_dict(state)
            device = next(self._model.parameters()).device
            self._model = model.eval().requires_grad_(False).to(device)
        elif self._takes:
            self._set(self._stored)
            for name, table in self._tables.items():
                self._model.get_parameter(name).data.copy_(table)
            self._set(size)
        self._size = size

    def _set(self, size: Size) -> None:
        """Windows keep their size: timm would make them grow with the image."""
        more = {}
        if "window_size" in self._takes and (window := window_of(self._model)) is not None:
            more = {"window_size": window}
        self._model.set_input_size(size, **more)


def is_pyramid(model: Any) -> bool:
    """Whether a timm model gives feature maps whose strides are known."""
    return hasattr(model, "forward_intermediates") and bool(getattr(model, "feature_info", None))


def stages_of(model: Any) -> list[tuple[int, int]]:
    """Stride and width of every stage."""
    info = model.feature_info
    stages = info if isinstance(info, list) else info.info
    return [(int(stage["reduction"]), int(stage["num_chs"])) for stage in stages]


def native_size(model: Any) -> Size:
    """Height and width of the images that the model was built for."""
    embed = getattr(model, "patch_embed", None)
    size = getattr(embed, "img_size", None) or model.pretrained_cfg["input_size"][1:]
    return int(size[0]), int(size[1])


def window_of(model: Any) -> Size | None:
    """The attention window of a Swin Transformer."""
    found = [getattr(module, "window_size", None) for module in model.modules()]
    return max((size for size in found if isinstance(size, tuple)), default=None)


def final_layer_norm(model: Any) -> nn.LayerNorm | None:
    """The layer norm after the last stage, which may be in the head."""
    for norm in (getattr(model, "norm", None), getattr(getattr(model, "head", None), "norm", None)):
        if isinstance(norm, nn.LayerNorm):
            return norm
    return None
