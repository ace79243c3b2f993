"""What a Hugging Face folder states beside its weights, compared with the settings of the model.

Shapes show neither the number of heads nor the epsilon, the activation, mean and std.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from patchlens.backbones.architecture import is_vit
from patchlens.backbones.contract import IMAGENET_MEAN, IMAGENET_STD
from patchlens.errors import SettingsError
from patchlens.settings.models import FileModel
from patchlens.stored import read_json

# transformers' names of activations, and timm's classes of them.
ACTIVATIONS = {
    "gelu": "GELU",
    "gelu_new": "GELUTanh",
    "gelu_pytorch_tanh": "GELUTanh",
    "quick_gelu": "QuickGELU",
}


def check_stated(path: Path, model: Any, settings: FileModel, where: str) -> None:
    """Refuse settings that differ from `config.json` and `preprocessor_config.json` in the folder.

    Args:
        path: `file` of the model; nothing is compared unless it is a folder.
        model: the timm model of its architecture.
        settings: of the model.
        where: the slot, for the message.

    Raises:
        SettingsError: names the key, what the folder states and what is set.
    """
    if not path.is_dir():
        return
    config, processor = (_json(path / f"{n}.json") for n in ("config", "preprocessor_config"))
    for key, stated, used in _pairs(config, processor, model, settings):
        if stated is not None and stated != used:
            raise SettingsError(f"{where}.{key}: {used}, but {path} states {stated}; correct one")


def _pairs(
    config: dict[str, Any], processor: dict[str, Any], model: Any, settings: FileModel
) -> Iterator[tuple[str, Any, Any]]:
    """(key of the model, what the folder states or None, what is used)."""
    vision, timm_config = _part(config, "vision_config") or config, _part(config, "pretrained_cfg")
    yield "arch", config.get("architecture"), settings.arch
    if is_vit(model):
        yield from _of_vit(vision, model.blocks[0])
    for key, absent, used in (
        ("mean", 0.0, settings.mean or IMAGENET_MEAN),
        ("std", 1.0, settings.std or IMAGENET_STD),
    ):
        said: Any = processor.get(f"image_{key}") or timm_config.get(key)
        if processor.get("do_normalize") is False:
            said = [absent] * 3
        if isinstance(said, list) and all(isinstance(value, int | float) for value in said):
            said = [round(value / white(processor), 6) for value in said]
        yield key, said, [round(value, 6) for value in used]


def _of_vit(vision: dict[str, Any], block: Any) -> Iterator[tuple[str, Any, Any]]:
    """What shapes do not show of a ViT."""
    yield "arch_args.num_heads", vision.get("num_attention_heads"), block.attn.num_heads
    yield "arch", _eps(vision.get("layer_norm_eps")), _eps(getattr(block.norm1, "eps", None))
    activation = getattr(block.mlp, "act", None)
    if activation is not None:
        stated = ACTIVATIONS.get(str(vision.get("hidden_act")))
        yield "arch_args.act_layer", stated, type(activation).__name__


def white(processor: dict[str, Any]) -> float:
    """What the folder's own processor makes of 255, before it subtracts the mean."""
    factor = processor.get("rescale_factor") if processor.get("do_rescale", True) else 1.0
    return 255 * factor if isinstance(factor, float) and factor > 0 else 1.0


def _eps(value: Any) -> str | None:
    return f"eps {value:g}" if isinstance(value, float) else None


def _json(path: Path) -> dict[str, Any]:
    return _part({"": read_json(path, "download it again") if path.is_file() else {}}, "")


def _part(config: dict[str, Any], key: str) -> dict[str, Any]:
    found = config.get(key)
    return found if isinstance(found, dict) else {}
