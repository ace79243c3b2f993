"""A timm model by its tag: the file comes as any other does, and timm loads it strictly."""

import re
from pathlib import Path
from typing import Any

import timm
from safetensors import SafetensorError

from patchlens.backbones.architecture import create, keep_periods
from patchlens.backbones.checkpoint import load_strictly
from patchlens.backbones.obtain import Obtained, obtain
from patchlens.backbones.registry.entry import Source
from patchlens.errors import DataError, SettingsError
from patchlens.names import nearest
from patchlens.settings.models import TimmModel

NON_COMMERCIAL = re.compile(r"(^|-)nc(-|$)|non-?commercial", re.IGNORECASE)


def pretrained(
    name: str, settings: TimmModel, *, work: Path, record: Path | None
) -> tuple[Any, Obtained]:
    """The timm model without its head, with the weights of the tag, and the file they are from.

    Args:
        name: of the slot in `models:`.
        settings: tag and arguments.
        work: folder for downloads.
        record: see `obtain`.

    Raises:
        SettingsError: timm has no such tag, or the architecture does not take the arguments.
        SourceError: the file cannot be had, or is another one than before.
        DataError: it does not fit.
    """
    where, tag = f"params.yaml: models.{name}", settings.tag
    if not timm.models.is_model_pretrained(tag):
        tags = timm.list_models(pretrained=True)
        raise SettingsError(f"{where}.tag: timm has no pretrained '{tag}'; {nearest(tag, tags)}")
    if "." not in tag:
        raise SettingsError(f"{where}.tag: '{tag}' names no weights; append .<tag>")
    bare = create(where, tag, settings.arch_args, "tag")
    source, licence = source_of(tag)
    non_commercial = NON_COMMERCIAL.search(licence) is not None
    file = obtain(name, source, licence, non_commercial, work=work, record=record)
    try:
        # With the head that the file was saved with, timm loads strictly; with num_classes=0 it
        # would not, and a wrong file would pass in silence.
        model: Any = timm.create_model(
            tag,
            pretrained=True,
            pretrained_cfg_overlay={"file": str(file.path)},
            **settings.arch_args,
        )
    except (RuntimeError, KeyError, SafetensorError) as error:
        raise DataError(f"{where}.tag: {tag}: {error}") from None
    model.reset_classifier(0)
    keep_periods(model)
    load_strictly(bare, model.state_dict(), tag)
    return bare, file


def source_of(tag: str) -> tuple[Source, str]:
    """Where timm has the file of a tag, and its licence as timm states it."""
    cfg: Any = timm.models.get_pretrained_cfg(tag)
    licence = cfg.license or "not stated by timm"
    if cfg.hf_hub_id is None:
        return Source(kind="url", url=cfg.url), licence
    repo, _, revision = cfg.hf_hub_id.partition("@")
    file = cfg.hf_hub_filename or "model.safetensors"
    return Source(kind="hub", repo=repo, revision=revision or None, file=file), licence
