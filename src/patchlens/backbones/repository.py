"""A repository of transformers on the hub: its config, its processor and its safetensors."""

import json
import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from patchlens.backbones.checkpoint import (
    INDEX,
    read_safetensors,
    some,
    weight_files,
    weight_map,
    weights_hash,
)
from patchlens.backbones.families import (
    FAMILIES,
    Family,
    FamilyBackbone,
    arguments,
    attention,
    configured,
    kind_of,
    library,
)
from patchlens.backbones.hub import AbsentError
from patchlens.backbones.obtain import Obtained, obtain
from patchlens.backbones.record import read_record
from patchlens.backbones.registry.entry import Source
from patchlens.backbones.stated import white
from patchlens.backbones.verify import changed
from patchlens.errors import DataError, SettingsError, SourceError, said
from patchlens.settings.base import brief
from patchlens.settings.models import HubModel
from patchlens.stored import read_json

CONFIG, PROCESSOR, WEIGHTS = "config.json", "preprocessor_config.json", "model.safetensors"
RESAMPLE = {2: "bilinear", 3: "bicubic"}  # as Pillow numbers them
DIGITS = re.compile(r"\d+")


def from_repository(
    name: str, where: str, settings: HubModel, work: Path, record: Path | None
) -> tuple[FamilyBackbone, dict[str, Tensor], dict[str, str], Obtained]:
    """The model of a repository with its weights, as its class in transformers loads them.

    Args:
        name: of the slot in `models:`.
        where: the slot, for messages.
        settings: of the model.
        work: folder for downloads.
        record: see `obtain`.

    Returns:
        The backbone, its tensors, the header of its converted file, and the file of its weights.

    Raises:
        SettingsError: it is of no known family, or does not state what its input is.
        SourceError: a file cannot be obtained, there are no safetensors, or they have changed.
        DataError: the weights do not fit the config.
    """
    repository = _Repository(name, settings, work)
    config = _json(repository.bring(CONFIG).path)
    kind = kind_of(config, where)
    family = FAMILIES[kind]
    given = arguments(family, config, where)
    input_of = _input(where, settings, repository)
    file = repository.weights(record)
    model = _loaded(family, given, file.path, where)
    about = {
        "origin": f"{settings.repo}: {file.origin}, sha256 {file.sha256}",
        "arch": family.model,
        "family": kind,
        "config": json.dumps(given, sort_keys=True),
        "mean": json.dumps(input_of["mean"]),
        "std": json.dumps(input_of["std"]),
        "interpolation": str(input_of["interpolation"]),
        "position": "transformers",
        "licence": repository.licence,
        "transformers": library(where).__version__,
        "torch": torch.__version__,
    }
    tensors = dict(model.state_dict())
    layer = -1 if settings.layer is None else settings.layer
    return FamilyBackbone(family, model, layer=layer, name=name, **input_of), tensors, about, file


class _Repository:
    """The files of one commit; each is checked against the hub's own hash."""

    def __init__(self, name: str, settings: HubModel, work: Path) -> None:
        self._name, self._settings, self._work = name, settings, work
        self.licence = f"see https://huggingface.co/{settings.repo}"

    def _source(self, file: str) -> Source:
        own = self._settings
        return Source(kind="hub", repo=own.repo, revision=own.revision, file=file)

    def bring(self, file: str) -> Obtained:
        return obtain(self._name, self._source(file), self.licence, False, work=self._work)

    def weights(self, record: Path | None) -> Obtained:
        """The safetensors, or the index of several; these must be those of an earlier run."""
        repo, revision = self._settings.repo, self._settings.revision
        try:
            found = self.bring(WEIGHTS)
        except AbsentError:
            try:
                found = self.bring(WEIGHTS + INDEX)
            except AbsentError:
                raise SourceError(
                    f"{repo} has no {WEIGHTS} at {revision}, and pickles are not read; take a "
                    f"revision that has (https://huggingface.co/{repo}/commits), or convert it"
                ) from None
            found = self._shards(found)
        known = None if record is None else read_record(record)
        if known is not None and known.source != found.record.source:
            known = None
        if fault := changed(found.sha256, known, record):
            raise SourceError(f"{found.origin}: {fault}")
        return found

    def _shards(self, index: Obtained) -> Obtained:
        for file in sorted(set(weight_map(index.path).values())):
            shard = self.bring(file)
            if shard.path.parent != index.path.parent:
                raise SourceError(
                    f"{shard.path}: lies apart from {index.path}; remove both, then run again"
                )
        digest = weights_hash(index.path)
        size = sum(file.stat().st_size for file in weight_files(index.path))
        return replace(index, sha256=digest, record=replace(index.record, sha256=digest, size=size))


def _input(where: str, settings: HubModel, repository: _Repository) -> dict[str, Any]:
    """Mean, std and interpolation: as set, or else as the processor of the repository says."""
    said: dict[str, Any] = {}
    if None in (settings.mean, settings.std, settings.interpolation):
        with suppress(AbsentError):
            said = _json(repository.bring(PROCESSOR).path)
    plain = said.get("do_normalize") is False
    stated: dict[str, Any] = {
        "mean": [0.0] * 3 if plain else said.get("image_mean"),
        "std": [1.0] * 3 if plain else said.get("image_std"),
        "interpolation": RESAMPLE.get(said.get("resample", -1)),
    }
    for key in ("mean", "std"):
        values = stated[key]
        usable = isinstance(values, list) and len(values) == 3
        if usable and all(isinstance(value, int | float) for value in values):
            stated[key] = [value / white(said) for value in values]
        else:
            stated[key] = None
    found = {key: getattr(settings, key) or value for key, value in stated.items()}
    if lacks := [key for key, value in found.items() if value is None]:
        raise SettingsError(
            f"{where}.{lacks[0]}: {settings.repo} does not state {' or '.join(lacks)} "
            f"({PROCESSOR}); set {'it' if len(lacks) == 1 else 'them'} here"
        )
    return found


def _loaded(family: Family, given: Mapping[str, Any], path: Path, where: str) -> Any:
    """The class with all its weights; transformers translates names of older files."""
    kind = getattr(library(where), family.model)
    config = configured(family, given, where)
    tensors: dict[str, Tensor] = {}
    for file in weight_files(path):
        tensors |= read_safetensors(file)
    try:
        with torch.random.fork_rng(devices=[]):
            model, info = kind.from_pretrained(
                None,
                config=config,
                state_dict=tensors,
                output_loading_info=True,
                **attention(kind),
                **family.build,
            )
    except Exception as error:  # whatever transformers makes of the file
        raise DataError(f"{where}: {family.model} cannot load it: {brief(said(error))}") from None
    if lost := sorted(info["missing_keys"]):
        raise DataError(f"{where}: {WEIGHTS} lacks {some(lost)}; this is no {family.model}")
    patterns = {DIGITS.sub("N", name) for name in model.state_dict()}
    starts = tuple(f"{start}." for start in (kind.base_model_prefix, "vision_model"))
    bare = {name: _without(name, starts) for name in info["unexpected_keys"]}
    if more := sorted(name for name, own in bare.items() if DIGITS.sub("N", own) in patterns):
        raise DataError(
            f"{where}: {WEIGHTS} has more blocks than {CONFIG} says: {some(more)}; one of the two "
            "is of another model"
        )
    return model.eval()


def _without(name: str, starts: tuple[str, ...]) -> str:
    return next((name.removeprefix(start) for start in starts if name.startswith(start)), name)


def _json(path: Path) -> dict[str, Any]:
    found = read_json(path, "remove it, then run again")
    if not isinstance(found, dict):
        raise DataError(f"{path}: is no JSON object; remove it, then run again")
    return found
