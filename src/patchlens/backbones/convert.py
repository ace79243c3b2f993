"""The weights stage: whatever the source, one safetensors file that says where it came from."""

import hashlib
import json
from pathlib import Path
from typing import Any

import timm
import torch
from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError
from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor, nn

from patchlens.backbones.checkpoint import load_strictly, read, tensor_hash
from patchlens.backbones.untrained import draw_weights
from patchlens.errors import DataError, SettingsError, SourceError
from patchlens.names import nearest
from patchlens.settings.models import FileModel, Model, PixelsModel, TimmModel, UntrainedModel

IMAGENET_MEAN = [0.485, 0.456, 0.406]
IMAGENET_STD = [0.229, 0.224, 0.225]
VIT_PARTS = ("patch_embed", "blocks", "set_input_size")


def convert(name: str, settings: Model, out: Path) -> str:
    """Write the weights of a model and everything its backbone needs to know into `out`.

    Returns:
        The sha256 over the tensors, which names the model in every result.

    Raises:
        SettingsError: timm knows no such architecture or tag, or not these arguments.
        SourceError: the weights cannot be had.
        DataError: the weights do not fit.
    """
    about: dict[str, str]
    if isinstance(settings, PixelsModel):
        tensors: dict[str, Tensor] = {}
        about = {"patch_size": str(settings.patch_size)}
    else:
        where = f"params.yaml: models.{name}"
        if isinstance(settings, TimmModel):
            model, arch = _pretrained(where, settings), settings.tag
            tensors, origin = dict(model.state_dict()), f"timm {settings.tag}"
        else:
            model, arch = create(where, settings.arch, settings.arch_args), settings.arch
            if isinstance(settings, UntrainedModel):
                tensors, origin = draw_weights(model, settings.seed), f"seed {settings.seed}"
            else:
                tensors, origin = _from_file(where, model, settings)
        about = _describe(model, arch, settings) | {"origin": origin}
    about |= {"source": settings.source, "sha256": tensor_hash(tensors)}
    # One entry: safetensors writes several in random order, and the file's md5 would change.
    header = {"about": json.dumps(about, sort_keys=True)}
    save_file({k: v.contiguous() for k, v in tensors.items()}, out, metadata=header)
    return about["sha256"]


def create(where: str, arch: str, arch_args: dict[str, Any], key: str = "arch") -> Any:
    """The timm model without its weights; a wrong name or argument is a `SettingsError`."""
    if not timm.is_model(arch):
        raise SettingsError(f"{where}.{key}: timm knows no '{arch}'; {nearest(arch, _vits())}")
    try:
        with torch.random.fork_rng():
            model = timm.create_model(arch, pretrained=False, num_classes=0, **arch_args)
    except (TypeError, ValueError, AssertionError, RuntimeError) as error:
        raise SettingsError(f"{where}.arch_args: {arch} does not take them ({error})") from None
    is_vit = all(hasattr(model, part) for part in VIT_PARTS)
    if not is_vit or hasattr(model.patch_embed, "backbone"):  # a hybrid has a CNN before its grid
        raise SettingsError(f"{where}.{key}: '{arch}' is no Vision Transformer of one patch grid")
    return model


def _pretrained(where: str, settings: TimmModel) -> Any:
    if not timm.models.is_model_pretrained(settings.tag):
        tags = timm.list_models(pretrained=True)
        raise SettingsError(
            f"{where}.tag: timm has no pretrained '{settings.tag}'; {nearest(settings.tag, tags)}"
        )
    if "." not in settings.tag:
        raise SettingsError(f"{where}.tag: '{settings.tag}' names no weights; append .<tag>")
    bare = create(where, settings.tag, settings.arch_args, "tag")
    try:
        # With the head that the file was saved with, timm loads strictly; with num_classes=0 it
        # would not, and a wrong file would pass in silence.
        model: Any = timm.create_model(settings.tag, pretrained=True, **settings.arch_args)
    except (LocalEntryNotFoundError, HfHubHTTPError, OSError) as error:
        reason = str(error).splitlines()[0]
        raise SourceError(
            f"{where}.tag: the weights of {settings.tag} cannot be had ({reason}). Check the "
            "network; a gated model needs `hf auth login`; a copy in the hub's cache is used too"
        ) from None
    except (RuntimeError, KeyError, SafetensorError) as error:
        raise DataError(f"{where}.tag: {settings.tag}: {error}") from None
    model.reset_classifier(0)
    load_strictly(bare, model.state_dict(), settings.tag)
    return bare


def _from_file(where: str, model: nn.Module, settings: FileModel) -> tuple[dict[str, Tensor], str]:
    path = Path(settings.file)
    tensors = read(path, settings.key, settings.prefix, settings.drop)
    load_strictly(model, tensors, str(path))
    with path.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    if settings.sha256 != digest:
        problem = "is missing" if settings.sha256 is None else f"is not that of {path}"
        raise SettingsError(f"{where}.sha256: {problem}; if you mean this file, set it to {digest}")
    return tensors, f"file {path.name}, sha256 {digest}"


def _describe(
    model: Any, arch: str, settings: TimmModel | FileModel | UntrainedModel
) -> dict[str, str]:
    """What the backbone is built from; only pretrained tags bring their own input statistics."""
    cfg: dict[str, Any] = model.pretrained_cfg if isinstance(settings, TimmModel) else {}
    described = {
        "arch_args": settings.arch_args,
        "mean": settings.mean or list(cfg.get("mean", IMAGENET_MEAN)),
        "std": settings.std or list(cfg.get("std", IMAGENET_STD)),
    }
    found = str(cfg.get("interpolation", "bicubic"))
    return {key: json.dumps(value) for key, value in described.items()} | {
        "arch": arch,
        "interpolation": settings.interpolation or found,
        "position": settings.position,
        "timm": timm.__version__,
        "torch": torch.__version__,
    }


def _vits() -> list[str]:
    return [name for name in timm.list_models() if name.startswith(("vit", "beit", "eva", "deit"))]
