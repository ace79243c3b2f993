"""A timm model by its tag: its file is obtained like any other, and loaded strictly.

timm itself does not load every tag strictly: not if the head differs, nor SigLIP without its pool.
A file with other names would then leave a random model. So timm only translates the names.
"""

import re
import sys
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import timm
from safetensors import SafetensorError
from timm.models import deit, load_state_dict
from timm.models.vision_transformer import _RADIO_ALIGN_CORNERS
from torch import Tensor, nn

from patchlens.backbones.architecture import create, is_vit, keep_periods
from patchlens.backbones.checkpoint import contents, load_strictly
from patchlens.backbones.obtain import Obtained, obtain
from patchlens.backbones.registry.entry import Source
from patchlens.errors import DataError, SettingsError
from patchlens.names import nearest
from patchlens.progress import log
from patchlens.settings.models import TimmModel
from patchlens.settings.sources import Elsewhere

NON_COMMERCIAL = re.compile(r"(^|-)nc(-|$)|non-?commercial|apple-amlr", re.IGNORECASE)


def pretrained(
    name: str,
    settings: TimmModel,
    *,
    work: Path,
    record: Path | None,
    sources: Mapping[str, Elsewhere] | None = None,
) -> tuple[Any, Obtained]:
    """The timm model without its head, with the weights of the tag, and the file they are from.

    Args:
        name: of the slot in `models:`.
        settings: tag and arguments.
        work: folder for downloads.
        record: see `obtain`.
        sources: see `obtain`.

    Raises:
        SettingsError: timm has no such tag, its model differs from that of the authors, or the
            architecture does not take the arguments.
        SourceError: the file cannot be obtained, or differs from the one of an earlier run.
        DataError: the file does not fit the architecture.
    """
    where, tag = f"params.yaml: models.{name}", settings.tag
    check_tag(where, tag)
    bare = create(where, tag, settings.arch_args, "tag")
    check_activation(where, settings, bare)
    source, licence = source_of(tag)
    non_commercial = NON_COMMERCIAL.search(licence) is not None
    file = obtain(name, source, licence, non_commercial, work=work, record=record, sources=sources)
    whole, tensors = _translated(where, settings, file.path)
    load_strictly(whole, tensors, f"{where}.tag: {tag}")
    whole.reset_classifier(0)
    keep_periods(whole)
    load_strictly(bare, whole.state_dict(), tag)
    return bare, file


def check_tag(where: str, tag: str) -> None:
    """Refuse a tag that does not name pretrained weights of timm.

    Raises:
        SettingsError: names the closest tag.
    """
    if not timm.models.is_model_pretrained(tag):
        tags = timm.list_models(pretrained=True)
        raise SettingsError(f"{where}.tag: timm has no pretrained '{tag}'; {nearest(tag, tags)}")
    if "." not in tag:
        raise SettingsError(f"{where}.tag: '{tag}' does not name weights; append .<tag>")


def check_activation(where: str, settings: TimmModel, model: Any) -> None:
    """Refuse an activation that differs from the authors', which no shape shows; warn of periods.

    Raises:
        SettingsError: names the tag, argument or registry entry to use instead.
    """
    tag, stated = settings.tag, "act_layer" in settings.arch_args
    quick = tag.replace("_clip_", "_clip_quickgelu_")
    if quick != tag and timm.models.is_model_pretrained(quick) and not stated:
        raise SettingsError(
            f"{where}.tag: '{tag}' was trained with QuickGELU, but timm computes another GELU; set "
            f"the tag to {quick}, or use clip_* of the registry (`patchlens models`)"
        )
    if not is_vit(model):
        return
    exact = isinstance(model.blocks[0].mlp.act, nn.GELU)  # timm's approximations are other classes
    if "siglip" in tag and exact and not stated:
        raise SettingsError(
            f"{where}.tag: '{tag}': SigLIP was trained with the tanh approximation of GELU, "
            "but timm computes the exact one; set arch_args: {act_layer: gelu_tanh} (gelu for a "
            "model fine-tuned with it), or use siglip2_* of the registry (`patchlens models`)"
        )
    if "dinov3" in tag:
        log.warning(
            "%s: timm recomputes the periods of RoPE; dinov3_* of the registry keep the file's",
            tag,
        )


def _translated(where: str, settings: TimmModel, path: Path) -> tuple[Any, dict[str, Tensor]]:
    """The model with the head that the file was saved with, and the file under timm's names."""
    contents(path)  # says what else the file is, which timm does not
    model: Any = timm.create_model(settings.tag, pretrained=False, **settings.arch_args)
    try:
        tensors = conversion(settings.tag)(load_state_dict(str(path)), model)
    except (RuntimeError, KeyError, SafetensorError) as error:
        raise DataError(f"{where}.tag: {settings.tag}: {error}") from None
    pooled = getattr(model, "attn_pool", None) is not None
    # Files of SigLIP hold a pool that the architecture does not use if it averages instead.
    return model, {n: v for n, v in tensors.items() if pooled or not n.startswith("attn_pool.")}


def conversion(tag: str) -> Callable[[dict[str, Any], Any], dict[str, Tensor]]:
    """Timm's function that renames the content of a tag's file to the names of its model.

    Each module of architectures has one, and its constructors choose some arguments by the name of
    the architecture; timm itself calls it only as part of a load that is not strict.
    """
    arch = tag.partition(".")[0]
    module = sys.modules[timm.models.model_entrypoint(arch).__module__]
    more: dict[str, Any] = {}
    if module is deit:
        more = {"adapt_layer_scale": True}
    elif "flexi" in arch or "radio" in arch:
        more = {"interpolation": "bilinear", "antialias": False}
    if "radio" in arch:
        more["align_corners"] = any(name in arch for name in _RADIO_ALIGN_CORNERS)
    named = getattr(module, "checkpoint_filter_fn", None)  # those without one have timm's names
    return partial(named, **more) if named is not None else lambda content, _: content


def source_of(tag: str) -> tuple[Source, str]:
    """The address of the file of a tag, and its licence as timm states it."""
    cfg: Any = timm.models.get_pretrained_cfg(tag)
    licence = cfg.license or "not stated by timm"
    if cfg.hf_hub_id is None:
        return Source(kind="url", url=cfg.url), licence
    repo, _, revision = cfg.hf_hub_id.partition("@")
    file = cfg.hf_hub_filename or "model.safetensors"
    return Source(kind="hub", repo=repo, revision=revision or None, file=file), licence
