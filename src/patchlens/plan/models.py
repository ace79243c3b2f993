"""The shape, download size and licence of a model, for the plan."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode

from patchlens import paths
from patchlens.backbones.architecture import Undrawn, create, is_vit
from patchlens.backbones.contract import absolute_layers
from patchlens.backbones.load import provenance
from patchlens.backbones.maps import native_size, stages_of
from patchlens.backbones.pretrained import NON_COMMERCIAL, check_activation, source_of
from patchlens.backbones.registry.read import find
from patchlens.backbones.registry.show import by_hand
from patchlens.errors import SettingsError
from patchlens.names import ModelName
from patchlens.settings.models import (
    HubModel,
    Model,
    PixelsModel,
    PythonModel,
    RegistryModel,
    TimmModel,
)


@dataclass(frozen=True)
class Shape:
    """The size of a backbone; a floor without a network has no blocks.

    `normed` is the width of its features after the final norm, which SAM's neck reduces; `layer` is
    that of the slot; `alike` are the stages of this stride and width; `measured` is the FLOP of a
    pass where it was counted: a constant, a part per patch, and one per squared number of patches.
    """

    patch_size: int
    width: int
    normed: int
    depth: int
    prefix: int
    parameters: int
    layer: int | None = None
    alike: tuple[int, ...] | None = None
    measured: tuple[float, float, float] | None = None

    def flops(self, grid: tuple[int, int]) -> float:
        """FLOP of one view: every weight acts once on every token, plus attention.

        One multiply-add counts as two. Windowed attention costs less than this.
        """
        if self.measured is not None:
            patches, (once, each, pair) = grid[0] * grid[1], self.measured
            return once + each * patches + pair * patches**2
        tokens = grid[0] * grid[1] + self.prefix
        return 2.0 * self.parameters * tokens + 4.0 * tokens**2 * self.width * self.depth


@dataclass(frozen=True)
class Download:
    """A file that a run downloads.

    Attributes:
        name: the slot of the model, or the dataset.
        what: the model or dataset.
        bytes: the published size; None if it is not published.
        at_least: if no size is published, a rounded one, or the bytes of its parameters in float32.
        licence: as stated by its source.
        non_commercial: whether it forbids commercial use; None if only the licence text says.
        note: what the user must do or know.
        address: of the file of a model; slots with the same address download it once.
    """

    name: str
    what: str
    bytes: int | None
    at_least: int
    licence: str
    non_commercial: bool | None
    note: str = ""
    address: str = ""


def shape(name: str, model: Model, layer: int = -1) -> Shape | None:
    """The size of the backbone in a slot, without downloading or allocating weights.

    That of own code and of the hub's repositories is known once the stage `weights` has run.

    Raises:
        SettingsError: unknown architecture, tag or entry of the registry.
    """
    where = f"params.yaml: models.{name}"
    if isinstance(model, PixelsModel):
        width = 5 if model.source == "pixels" else 4
        return Shape(model.patch_size, width=width, normed=width, depth=0, prefix=0, parameters=0)
    if isinstance(model, PythonModel | HubModel):
        return _measured(where, paths.weights(ModelName(name)), layer)
    key = "tag" if isinstance(model, TimmModel) else "arch"
    if isinstance(model, RegistryModel):
        entry = find(model.model, f"{where}.model")
        arch, args = entry.arch, entry.arch_args
    else:
        arch = model.tag if isinstance(model, TimmModel) else model.arch
        args = model.arch_args
    with torch.device("meta"), Undrawn():
        built = create(where, arch, args, key)
    if isinstance(model, TimmModel):
        check_activation(where, model, built)
    own = getattr(model, "layer", None)
    if not is_vit(built):
        with torch.device("meta"):
            return _of_stages(where, built, layer if own is None else own, own)
    return Shape(
        patch_size=int(built.patch_embed.patch_size[0]),
        width=int(built.embed_dim),
        normed=int(built.num_features),
        depth=len(built.blocks),
        prefix=int(getattr(built, "num_prefix_tokens", 0)),
        parameters=sum(p.numel() for p in built.parameters()),
        layer=own,
    )


def _of_stages(where: str, model: Any, layer: int, own: int | None) -> Shape:
    """The size of a model of stages that is on no device."""
    stages = stages_of(model)
    opened = _opened(where, layer, len(stages))
    stride, width = stages[opened]
    height, breadth = native_size(model)
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        model.eval().forward_intermediates(
            torch.zeros(1, 3, height, breadth), indices=[opened], stop_early=True
        )
    return Shape(
        patch_size=stride,
        width=width,
        normed=width,
        depth=len(stages),
        prefix=0,
        parameters=sum(p.numel() for p in model.parameters()),
        layer=own,
        alike=tuple(i for i, stage in enumerate(stages) if stage == stages[opened]),
        measured=(0.0, counter.get_total_flops() / (height // stride * (breadth // stride)), 0.0),
    )


def _measured(where: str, path: Path, layer: int) -> Shape | None:
    """What the stage `weights` found out about a model; None before it."""
    if not path.is_file():
        return None
    about = provenance(path)
    shapes, own = json.loads(about["shapes"]), about.get("layer")
    opened = _opened(where, int(own or layer), len(shapes))
    stride, width = shapes[opened]
    once, pixel, square = json.loads(about["flop"])
    return Shape(
        patch_size=stride,
        width=width,
        normed=width,
        depth=len(shapes),
        prefix=0,
        parameters=int(about["parameters"]),
        layer=None if own is None else int(own),
        alike=tuple(i for i, shape in enumerate(shapes) if shape == shapes[opened]),
        measured=(once, pixel * stride**2, square * stride**4),
    )


def _opened(where: str, layer: int, depth: int) -> int:
    """The stage to open, counted from the first."""
    try:
        return absolute_layers([layer], depth)[0]
    except ValueError as error:
        raise SettingsError(f"{where}: {error} (its stages); set {where}.layer") from None


def download(name: str, model: Model, size: Shape | None) -> Download | None:
    """The download of the weights stage for a slot; None if nothing is downloaded."""
    at_least = 0 if size is None else size.parameters * 4
    if isinstance(model, RegistryModel):
        entry = find(model.model, f"params.yaml: models.{name}.model")
        if model.file is not None:
            return None
        return Download(
            name,
            model.model,
            entry.source.bytes,
            entry.source.roughly or at_least,
            entry.licence,
            entry.non_commercial,
            by_hand(entry),
            entry.source.address,
        )
    if isinstance(model, HubModel):
        page = f"https://huggingface.co/{model.repo}"
        what = f"{model.repo}, transformers"
        return Download(name, what, None, at_least, f"see {page}", None, address=page)
    if isinstance(model, TimmModel):
        source, licence = source_of(model.tag)
        forbids = NON_COMMERCIAL.search(licence) is not None
        what, address = f"timm {model.tag}", source.address
        return Download(name, what, None, at_least, licence, forbids, address=address)
    return None
