"""Building a timm model without weights, with clear errors for names and arguments."""

from typing import Any, cast

import timm
import torch
from timm.layers.pos_embed_sincos import RotaryEmbeddingDinoV3
from timm.models.vision_transformer_sam import VisionTransformerSAM
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from patchlens.backbones.maps import is_pyramid
from patchlens.errors import SettingsError, said
from patchlens.names import nearest
from patchlens.progress import log
from patchlens.settings.base import brief
from patchlens.settings.models import ARCH_ARGS

VIT_PARTS = ("patch_embed", "blocks", "set_input_size")
SAM_EPS = 1e-6
PERIODS = "rope.periods"
DRAWS = {"normal_", "uniform_", "erfinv_", "mul_", "add_", "clamp_", "zero_", "fill_"}
KINDS = ("vit", "beit", "eva", "deit", "aimv2", "samvit")


def create(where: str, arch: str, arch_args: dict[str, Any], key: str = "arch") -> Any:
    """The timm model without its weights; a wrong name or argument is a `SettingsError`."""
    if not timm.is_model(arch):
        raise SettingsError(f"{where}.{key}: timm has no model '{arch}'; {nearest(arch, _vits())}")
    try:
        with torch.random.fork_rng():
            model = build(arch, arch_args)
    except Exception as error:  # whatever a constructor of timm makes of odd arguments
        reason = brief(said(error))
        raise SettingsError(f"{where}.arch_args: {arch} does not accept them ({reason})") from None
    # A hybrid has a CNN before its patch grid.
    hybrid = hasattr(getattr(model, "patch_embed", None), "backbone")
    if hybrid or not (is_vit(model) or is_pyramid(model)):
        raise SettingsError(
            f"{where}.{key}: '{arch}' is neither a ViT with a single patch grid nor a model of "
            "stages with feature maps; choose another one"
        )
    return model


class Undrawn(TorchFunctionMode):
    """With `torch.device("meta")`: shapes without values, which it takes seconds to draw there."""

    def __torch_function__(
        self, function: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        """Return the tensor itself where it would be given values."""
        drawn = args and function.__name__ in DRAWS
        return args[0] if drawn else function(*args, **(kwargs or {}))


def is_vit(model: Any) -> bool:
    """Whether a timm model has one grid of patches, that can be set to any size."""
    return isinstance(model, VisionTransformerSAM) or all(hasattr(model, p) for p in VIT_PARTS)


def build(arch: str, arch_args: dict[str, Any]) -> Any:
    """The timm model without head and weights, as its authors run it; errors are those of timm.

    Arguments that timm would load or call, such as `checkpoint_path`, never reach it, wherever they
    come from: params.yaml, or the header of a file of weights.

    Raises:
        ValueError: timm has no such model, or an argument is not among `ARCH_ARGS`.
    """
    if not timm.is_model(arch):
        raise ValueError(f"timm has no model '{brief(arch)}'")
    if unknown := sorted(arch_args.keys() - ARCH_ARGS):
        raise ValueError(f"{brief(unknown[0])}: {nearest(unknown[0], ARCH_ARGS)}")
    model = timm.create_model(arch, pretrained=False, num_classes=0, **arch_args)
    keep_periods(model)
    if isinstance(model, VisionTransformerSAM):
        # timm's default is 1e-5 and its arguments cannot say otherwise; build_sam.py has 1e-6.
        for module in model.modules():
            if isinstance(module, nn.LayerNorm):
                module.eps = SAM_EPS
    return model


def keep_periods(model: Any) -> None:
    """Make the RoPE periods of DINOv3 part of the weights, as in the official files.

    The authors trained with periods rounded to bfloat16 and publish these; timm computes its own
    in float32 and does not load them (see its layers/pos_embed_sincos.py). The periods differ by
    up to 0.4 %.
    """
    rope = getattr(model, "rope", None)
    if isinstance(rope, RotaryEmbeddingDinoV3):
        rope.register_buffer("periods", cast(Tensor, rope.periods), persistent=True)


def with_periods(model: Any, tensors: dict[str, Tensor], origin: str) -> dict[str, Tensor]:
    """The tensors with timm's RoPE periods of DINOv3 where the file has none, which is logged.

    transformers and timm do not save them.
    """
    periods = model.state_dict().get(PERIODS)
    if periods is None or PERIODS in tensors:
        return tensors
    log.warning(
        "%s: no %s; timm's are taken, which differ by up to 0.4 %% from the authors'",
        origin,
        PERIODS,
    )
    return tensors | {PERIODS: periods}


def _vits() -> list[str]:
    return [name for name in timm.list_models() if name.startswith(KINDS)]
