"""The weights stage: one safetensors file with its provenance, whatever the source."""

import hashlib
import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import timm
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from patchlens.backbones.architecture import create, with_periods
from patchlens.backbones.checkpoint import contents, load_strictly, tensor_hash, weights_hash
from patchlens.backbones.conformance import check, check_forward, check_values, small_grid
from patchlens.backbones.contract import IMAGENET_MEAN, IMAGENET_STD, flop
from patchlens.backbones.families import FamilyBackbone
from patchlens.backbones.load import load, open_own, state_of, stated
from patchlens.backbones.mapping import mapped
from patchlens.backbones.obtain import Obtained, obtain
from patchlens.backbones.pretrained import pretrained
from patchlens.backbones.record import Record
from patchlens.backbones.registry.entry import Entry
from patchlens.backbones.registry.read import find
from patchlens.backbones.repository import from_repository
from patchlens.backbones.stated import check_stated
from patchlens.backbones.target import locate
from patchlens.backbones.untrained import draw_weights
from patchlens.backbones.verify import unexpected
from patchlens.backbones.wrap import ModuleBackbone
from patchlens.errors import SettingsError, SourceError
from patchlens.files import check_space, file_hash
from patchlens.progress import log
from patchlens.settings.models import (
    FileModel,
    HubModel,
    Model,
    PixelsModel,
    PythonModel,
    RegistryModel,
    TimmModel,
    UntrainedModel,
)
from patchlens.settings.sources import Elsewhere


def convert(
    name: str,
    settings: Model,
    out: Path,
    *,
    work: Path,
    norm: bool = True,
    record: Path | None = None,
    code: Path | None = None,
    sources: Mapping[str, Elsewhere] | None = None,
) -> Record:
    """Write the weights of a model and the settings of its backbone into `out`.

    Args:
        name: the slot in `models:`.
        settings: the model in the slot.
        out: the safetensors file.
        work: folder for downloads.
        norm: `features.norm`, which the model must be able to follow.
        record: see `obtain`.
        sources: see `obtain`.
        code: the list of what the code of a model of `source: python` uses.

    Returns:
        The record that later runs compare their weights with.

    Raises:
        SettingsError: unknown architecture, tag or entry of the registry, or invalid arguments.
        SourceError: the weights cannot be obtained.
        DataError: the weights do not fit, or give no usable tokens.
    """
    where = f"params.yaml: models.{name}"
    file: Obtained | None = None
    if isinstance(settings, PixelsModel):
        tensors: dict[str, Tensor] = {}
        about = {"patch_size": str(settings.patch_size), "origin": settings.source}
    elif isinstance(settings, PythonModel):
        return _from_python(name, where, settings, out, norm, code)
    elif isinstance(settings, RegistryModel):
        tensors, about, file = _from_registry(name, where, settings, work, record, sources)
    elif isinstance(settings, HubModel):
        hub, tensors, about, file = from_repository(name, where, settings, work, record)
        about |= _sizes(hub)
    else:
        if isinstance(settings, TimmModel):
            model, file = pretrained(name, settings, work=work, record=record, sources=sources)
            arch, tensors = settings.tag, dict(model.state_dict())
            origin = f"timm {settings.tag}: {file.origin}, sha256 {file.sha256}"
        else:
            model, arch = create(where, settings.arch, settings.arch_args), settings.arch
            if isinstance(settings, UntrainedModel):
                tensors, origin = draw_weights(model, settings.seed), f"seed {settings.seed}"
            else:
                tensors, origin = _from_file(name, model, settings)
        about = _describe(model, arch, settings) | {"origin": origin}
    about |= _layer(settings) | {"source": settings.source, "sha256": tensor_hash(tensors)}
    _write(out, tensors, about)
    if tensors:
        check_values(tensors, about["origin"])
        with torch.random.fork_rng(devices=[]):  # timm draws weights before it loads these
            first = load(out)
            check_forward(first, norm, where, about["arch"], about["origin"])
            check(first, norm, where)
            for layer in [i for i in range(first.depth) if i not in first.layers]:  # other stages
                if "layer" not in about:
                    backbone = load(out, layer=layer)
                    check_forward(backbone, norm, where, about["arch"], about["origin"])
    came = Record(about["origin"]) if file is None else file.record
    return replace(came, tensors=about["sha256"])


def _write(out: Path, tensors: dict[str, Tensor], about: dict[str, str]) -> None:
    # One entry: safetensors writes several in random order, which would change the md5.
    header = {"about": json.dumps(about, sort_keys=True)}
    size = sum(tensor.nbytes for tensor in tensors.values())
    check_space("the converted weights", [(out.parent, size)])
    save_file(_apart(tensors), out, metadata=header)


def _from_python(
    name: str, where: str, settings: PythonModel, out: Path, norm: bool, code: Path | None
) -> Record:
    """Write what is known of an own model: its weights stay where its code finds them."""
    file = locate(settings.target, where).file
    digest = file_hash(file, "sha256")
    log.warning("%s: runs the code of %s, sha256 %s (trust_code)", name, file, digest)
    backbone = open_own(settings, name)
    tensors = state_of(backbone)
    used = hashlib.sha256(code.read_bytes()).hexdigest() if code is not None else digest
    weights = tensor_hash(tensors)
    about = {
        "source": settings.source,
        "settings": stated(settings),
        "origin": f"{settings.target}, code {used}, weights {weights}",
        "arch": settings.target,
        "tensors": weights,
        "sha256": hashlib.sha256(f"{stated(settings)}{used}{weights}".encode()).hexdigest(),
        "torch": torch.__version__,
    } | _layer(settings)
    check_values(tensors, about["origin"])
    check_forward(backbone, norm, where, about["arch"], about["origin"])
    check(backbone, norm, where)
    about |= _sizes(backbone)
    _write(out, {}, about)
    return Record(about["origin"], tensors=about["sha256"])


def _sizes(backbone: ModuleBackbone | FamilyBackbone) -> dict[str, str]:
    """What the plan needs: stride and width of each layer, parameters, and the FLOP of an image.

    These are a constant, a part per pixel, and a part per squared number of pixels, as attention
    costs, from images of three sizes. All is per pixel where the model does not take the larger.
    """
    sides = [side * backbone.patch_size for side in small_grid(backbone)]
    pixels = sides[0] * sides[1]

    def counted(scale: int) -> float:
        image = torch.zeros(1, 3, *(scale * side for side in sides), dtype=torch.uint8)
        return flop(backbone, image, layers=backbone.layers[:1], norm=False)

    first = linear = counted(1)
    once = square = 0.0
    with suppress(Exception):  # whatever a model says of a size that it does not take
        second, third = counted(2) - first, counted(3) - first  # 3 b + 15 c, and 8 b + 80 c
        square = (third - 8 * second / 3) / 40
        linear = second / 3 - 5 * square
        once = first - linear - square
    each = [once, linear / pixels, square / pixels**2]
    shapes = getattr(backbone, "shapes", [(backbone.patch_size, backbone.width)] * backbone.depth)
    sizes = {"shapes": shapes, "parameters": backbone.parameters, "flop": each}
    return {key: json.dumps(value) for key, value in sizes.items()}


def _layer(settings: Model) -> dict[str, str]:
    layer = getattr(settings, "layer", None)
    return {} if layer is None else {"layer": str(layer)}


def _apart(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """The same values without shared memory, which safetensors refuses."""
    apart, seen = dict[str, Tensor](), set[int]()
    for name, tensor in tensors.items():
        place = tensor.untyped_storage().data_ptr()
        whole = tensor.contiguous()
        apart[name] = whole.clone() if place in seen else whole
        seen.add(place)
    return apart


def load_entry(entry: Entry, path: Path, where: str) -> tuple[Any, dict[str, Tensor]]:
    """The model that an entry of the registry describes, with the weights of its official file.

    Args:
        entry: architecture, its arguments and the mapping of names.
        path: the official file.
        where: the setting that names the entry, for messages.

    Returns:
        The timm model, and its tensors in the precision of the file.
    """
    model = create(where, entry.arch, entry.arch_args)
    tensors = mapped(contents(path, entry.mapping.pickled), entry.mapping, str(path))
    load_strictly(model, tensors, str(path))
    return model, tensors


def _from_registry(
    name: str,
    where: str,
    settings: RegistryModel,
    work: Path,
    record: Path | None,
    sources: Mapping[str, Elsewhere] | None,
) -> tuple[dict[str, Tensor], dict[str, str], Obtained]:
    entry = find(settings.model, f"{where}.model")
    file = obtain(
        name,
        entry.source,
        entry.licence,
        entry.non_commercial,
        work=work,
        file=None if settings.file is None else Path(settings.file),
        sha256=settings.sha256,
        record=record,
        sources=sources,
    )
    _, tensors = load_entry(entry, file.path, where)
    # Claims look up weights by texts in `origin`: the name in the registry comes first.
    about = {
        "origin": f"{settings.model}: {file.origin}, sha256 {file.sha256}",
        "arch": entry.arch,
        "arch_args": json.dumps(entry.arch_args),
        "mean": json.dumps(entry.mean),
        "std": json.dumps(entry.std),
        "interpolation": settings.interpolation or entry.interpolation,
        "position": settings.position or entry.position,
        "licence": entry.licence,
        "objective": entry.objective,
        "data": entry.data,
        "citation": entry.citation,
        "timm": timm.__version__,
        "torch": torch.__version__,
    }
    return tensors, about, file


def _from_file(name: str, model: nn.Module, settings: FileModel) -> tuple[dict[str, Tensor], str]:
    path, where = Path(settings.file), f"params.yaml: models.{name}"
    digest = _digest(where, path)
    check_pinned(where, settings)
    if fault := unexpected(name, digest, settings.sha256):
        raise SourceError(f"{path}: {fault}")
    check_stated(path, model, settings, where)
    tensors = mapped(contents(path, settings.mapping.pickled), settings.mapping, str(path))
    tensors = with_periods(model, tensors, str(path))
    load_strictly(model, tensors, str(path))
    return tensors, f"file {path.name}, sha256 {digest}"


def check_pinned(where: str, settings: FileModel) -> None:
    """Refuse a file of the user whose hash is not in the settings.

    Raises:
        SettingsError: the message gives the hash if the file is there.
    """
    if settings.sha256 is not None:
        return
    path = Path(settings.file)
    digest = _digest(where, path) if path.exists() else f"the sha256 of {path}"
    raise SettingsError(f"{where}.sha256: missing; if this is the right file, set it to {digest}")


def _digest(where: str, path: Path) -> str:
    try:
        return weights_hash(path)
    except SourceError as error:
        raise SourceError(f"{error}; place it there or correct {where}.file") from None


def _describe(
    model: Any, arch: str, settings: TimmModel | FileModel | UntrainedModel
) -> dict[str, str]:
    """The settings of the backbone; only pretrained tags have their own input statistics."""
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
