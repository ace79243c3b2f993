"""Models for use from Python, from every source that `models:` in params.yaml has."""

from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from weakref import WeakKeyDictionary

from patchlens.backbones.checkpoint import tensor_hash, weights_hash
from patchlens.backbones.contract import Backbone
from patchlens.backbones.convert import convert
from patchlens.backbones.load import load, provenance, state_of
from patchlens.backbones.registry.read import entries
from patchlens.backbones.wrap import ModuleBackbone
from patchlens.settings.models import Model, PythonModel
from patchlens.settings.validated import conforming

_about: WeakKeyDictionary[Backbone, dict[str, str]] = WeakKeyDictionary()


def load_backbone(
    model: str | Path | Mapping[str, Any], *, cache: str | Path | None = None, **settings: Any
) -> Backbone:
    """A frozen model with its weights, on the CPU.

    Args:
        model: a name of the registry (`patchlens models`), a tag of timm
            (`deit3_base_patch16_224.fb_in22k_ft_in1k`), a repository of transformers on the hub
            (`facebook/dinov2-small`) with its `revision`, the path of a weight file with its
            `arch`, or an entry of `models:` in params.yaml as a dict.
        cache: a folder that keeps downloads; without it, they last until this call ends, except
            for files that the cache of the hub holds already.
        settings: further keys of the entry, such as `arch`, `arch_args`, `mean`, `std`, `position`.

    Returns:
        A callable: images uint8 [B, 3, H, W], `layers` (0-based, −1 is the last) and `norm`
        (whether the final norm is applied) -> tokens of each layer, whose `patches` are
        [B, h, w, D]. It has `name`, `patch_size` (pixels), `width` (D), `depth` and `parameters`.

    Raises:
        SettingsError: the model is unknown, or a key is wrong.
        SourceError: the weights cannot be obtained.
        DataError: the weights do not fit the architecture.
    """
    entry = dict(model) if isinstance(model, Mapping) else _entry(str(model))
    where = Path("load_backbone")
    checked = conforming(entry | settings, Model, where)
    shown = str(
        next(entry[key] for key in ("model", "tag", "repo", "arch", "source") if key in entry)
    )
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory(prefix="patchlens-")))
        out = folder / "model.safetensors"
        convert(shown, checked, out, work=folder if cache is None else Path(cache) / "weights")
        backbone = load(out, own=checked if isinstance(checked, PythonModel) else None)
        backbone.name, _about[backbone] = shown, provenance(out)
    return backbone


def _entry(model: str) -> dict[str, Any]:
    """The entry of `models:` that a name means."""
    if model in entries():
        return {"source": "registry", "model": model}
    if Path(model).is_file():
        return {"source": "file", "file": model, "sha256": weights_hash(Path(model))}
    if "/" in model:
        return {"source": "hub", "repo": model}
    return {"source": "timm", "tag": model}


def about(backbone: Backbone) -> dict[str, str]:
    """The provenance of the weights; of a wrapped module, their hash as they are now."""
    if backbone in _about:
        return _about[backbone]
    tensors = state_of(backbone) if isinstance(backbone, ModuleBackbone) else {}
    return {"source": "python", "sha256": tensor_hash(tensors), "origin": backbone.name}
