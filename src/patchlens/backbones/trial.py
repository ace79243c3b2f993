"""What a file of weights must show before it is measured: values, and one forward pass."""

from collections.abc import Mapping

import torch
from torch import Tensor

from patchlens.backbones.checkpoint import some
from patchlens.backbones.contract import Backbone
from patchlens.errors import DataError, PatchlensError, SettingsError
from patchlens.settings.base import brief

GRID = (2, 3)  # patches: not square and not the stored grid, so that positions are resampled


def check_values(tensors: Mapping[str, Tensor], origin: str) -> None:
    """Refuse weights that no training leaves.

    Raises:
        DataError: names the tensors with a NaN or infinite value, and the matrices of zeros.
    """
    broken = [n for n, t in tensors.items() if t.is_floating_point() and not t.isfinite().all()]
    empty = [n for n, t in tensors.items() if t.ndim > 1 and n.endswith("weight") and not t.any()]
    for names, what in ((broken, "NaN or infinite values"), (empty, "nothing but zeros")):
        if names:
            raise DataError(f"{origin}: {what} in {some(names)}; take another file or checkpoint")


def check_forward(backbone: Backbone, norm: bool, where: str, arch: str, origin: str) -> None:
    """Refuse a model that cannot give tokens of two small images of noise, or ignores them.

    Args:
        backbone: the model, on the CPU.
        norm: whether the final norm is applied, as in `features.norm`.
        where: the slot of the model, for messages.
        arch: its architecture, for messages.
        origin: where its weights are from, for messages.

    Raises:
        SettingsError: the architecture fails, or has not one token per patch.
        DataError: tokens are NaN or infinite, or are the same for both images; or there is no norm.
    """
    fixed = getattr(backbone, "input_size", None)
    rows, columns = GRID if fixed is None else (side // backbone.patch_size for side in fixed)
    size = (2, 3, rows * backbone.patch_size, columns * backbone.patch_size)
    images = torch.randint(256, size, dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    layers = backbone.layers
    wanted = (2, rows, columns, backbone.channels(norm))
    try:
        found = [tokens.patches for tokens in backbone(images, layers=layers, norm=norm)]
        if shapes := {tuple(tokens.shape) for tokens in found} - {wanted}:
            raise ValueError(f"tokens {list(shapes.pop())} instead of {list(wanted)}")
    except PatchlensError:
        raise
    except Exception as error:  # whatever the architecture makes of its input
        reason = brief(" ".join(str(error).split()) or type(error).__name__)
        raise SettingsError(
            f"{where}: '{arch}' fails at its first forward pass ({reason}); choose another "
            "architecture, other arch_args or another position"
        ) from None
    for layer, tokens in enumerate(found):
        if not tokens.isfinite().all():
            raise DataError(f"{origin}: the tokens of layer {layer} are NaN or infinite")
        if torch.equal(tokens[0], tokens[1]):
            raise DataError(f"{origin}: the tokens of layer {layer} do not depend on the image")
