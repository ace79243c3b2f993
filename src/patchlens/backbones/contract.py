"""The contract of every backbone."""

from dataclasses import dataclass
from typing import Any, Protocol, Self

import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

# Of RGB in 0..1: the input normalisation unless the source of a model states another one.
IMAGENET_MEAN = [0.485, 0.456, 0.406]
IMAGENET_STD = [0.229, 0.224, 0.225]


@dataclass(frozen=True)
class PatchTokens:
    """Tokens of one layer.

    Attributes:
        patches: [B, h, w, D], row-major from the top left, without any prefix token.
        cls: [B, D], or None if the model has no class token.
        registers: [B, R, D], or None if the model has none.
    """

    patches: Tensor
    cls: Tensor | None
    registers: Tensor | None


class Backbone(Protocol):
    """A frozen model, whatever its source. Images are uint8 RGB: their range cannot be wrong.

    Attributes:
        name: for messages and tables.
        patch_size: pixels along a side of a patch; of a feature map, its stride.
        width: channels of the tokens before the final norm.
        depth: how many layers there are; 0 for a floor without a network.
        layers: those that can be asked for together, as they have this patch size and width.
        parameters: number of weights.
        mean: of red, green and blue in 0..1, which the model subtracts itself.
        std: likewise, by which it divides.
        interpolation: how images are resized for it, `bicubic` or `bilinear`.
    """

    name: str
    patch_size: int
    width: int
    depth: int
    layers: list[int]
    parameters: int
    mean: list[float]
    std: list[float]
    interpolation: str

    def to(self, device: torch.device) -> Self:
        """Move the weights to a device."""

    def channels(self, norm: bool) -> int:
        """Channels of the tokens: `width`, unless the final norm is a neck that changes it."""
        del norm
        return self.width

    def __call__(self, images: Tensor, *, layers: list[int], norm: bool) -> list[PatchTokens]:
        """Tokens of the blocks `layers` (0-based, negative from the last), in that order.

        Args:
            images: uint8 [B, 3, H, W] on the backbone's device; H and W multiples of `patch_size`.
            layers: indices of blocks.
            norm: whether the model's final norm is applied to the tokens of every layer.

        Raises:
            TypeError: `images` are not uint8.
            ValueError: a size is not a multiple of the patch size, or a layer does not exist.
        """


class Normalise:
    """(x / 255 − mean) / std of uint8 images, as one multiplication and one addition."""

    def __init__(self, mean: list[float], std: list[float]) -> None:
        self._scale = torch.tensor([1 / (255 * s) for s in std]).view(1, 3, 1, 1)
        self._shift = torch.tensor([-m / s for m, s in zip(mean, std, strict=True)]).view(
            1, 3, 1, 1
        )

    def to(self, device: torch.device) -> None:
        """Move the constants to a device."""
        self._scale, self._shift = self._scale.to(device), self._shift.to(device)

    def __call__(self, images: Tensor) -> Tensor:
        """The float32 input of a model, [B, 3, H, W]."""
        return torch.addcmul(self._shift, images.to(self._scale.dtype), self._scale)


def check_input(images: Tensor, patch_size: int) -> tuple[int, int]:
    """The patch grid (rows, columns) of a batch; raises the errors of `Backbone.__call__`."""
    if images.dtype != torch.uint8:
        raise TypeError(f"images must be uint8 RGB in 0..255, not {images.dtype}")
    if images.ndim != 4 or images.shape[1] != 3:
        raise ValueError(f"images must be [B, 3, H, W], not {list(images.shape)}")
    height, width = images.shape[-2:]
    if height % patch_size or width % patch_size:
        raise ValueError(
            f"{height}×{width} pixels are not a multiple of the patch size {patch_size}"
        )
    return height // patch_size, width // patch_size


class ModelBackbone(Backbone):
    """A backbone of one module of a library."""

    _model: Any

    def __init__(
        self, model: Any, *, name: str, mean: list[float], std: list[float], interpolation: str
    ) -> None:
        self._model = model.eval().requires_grad_(False)
        self.name, self.mean, self.std, self.interpolation = name, mean, std, interpolation
        self.parameters = sum(p.numel() for p in model.parameters())
        self._normalise = Normalise(mean, std)

    def to(self, device: torch.device) -> Self:
        """Move the weights to a device."""
        self._model.to(device)
        self._normalise.to(device)
        return self

    def _asked(self, images: Tensor, layers: list[int]) -> tuple[tuple[int, int], list[int]]:
        """The patch grid, and the layers counted from the first; all are among `self.layers`."""
        grid, wanted = check_input(images, self.patch_size), absolute_layers(layers, self.depth)
        if others := sorted(set(wanted) - set(self.layers)):
            raise ValueError(
                f"layer {others[0]} has another stride or width than layer {self.layers[0]}"
            )
        return grid, wanted


def flop(backbone: Backbone, images: Tensor, *, layers: list[int], norm: bool) -> float:
    """FLOP of one pass; one multiply-add counts as two."""
    # The counter misses fused attention on some devices: count plain attention.
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        backbone(images, layers=layers, norm=norm)
    return float(counter.get_total_flops())


def unlike(layer: int, others: list[int]) -> str:
    """Why layers cannot be extracted beside another one."""
    return (
        f"layer {others[0]} has another stride or width than layer {layer}; set layer in the slot "
        "of this model, so that no other is extracted"
    )


def absolute_layers(layers: list[int], depth: int) -> list[int]:
    """Layer indices counted from the first block; none for a model without blocks.

    Raises:
        ValueError: a layer does not exist.
    """
    if depth == 0:
        return []
    for layer in layers:
        if not -depth <= layer < depth:
            raise ValueError(f"layer {layer} does not exist; allowed: {-depth} to {depth - 1}")
    return [layer % depth for layer in layers]
