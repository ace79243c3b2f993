"""The shape, download size and licence of a model, for the plan."""

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
from patchlens.settings.models import Model, PixelsModel, PythonModel, RegistryModel, TimmModel


@dataclass(frozen=True)
class Shape:
    """The size of a backbone; a floor without a network has no blocks.

    `normed` is the width of its features after the final norm, which SAM's neck reduces; `layer` is
    that of the slot; `alike` are the stages of this stride and width; `patch_flop` is the FLOP of
    one position of a feature map, as counted at the native size.
    """

    patch_size: int
    width: int
    normed: int
    depth: int
    prefix: int
    parameters: int
    layer: int | None = None
    alike: tuple[int, ...] | None = None
    patch_flop: float | None = None

    def flops(self, grid: tuple[int, int]) -> float:
        """FLOP of one view: every weight acts once on every token, plus attention.

        One multiply-add counts as two. Windowed attention costs less than this.
        """
        if self.patch_flop is not None:
            return self.patch_flop * grid[0] * grid[1]
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

    That of a model with code of its own is known once the stage `weights` has run it.

    Raises:
        SettingsError: unknown architecture, tag or entry of the registry.
    """
    where = f"params.yaml: models.{name}"
    if isinstance(model, PixelsModel):
        return Shape(model.patch_size, width=5, normed=5, depth=0, prefix=0, parameters=0)
    if isinstance(model, PythonModel):
        return _measured(paths.weights(ModelName(name)))
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
    try:
        [opened] = absolute_layers([layer], len(stages))
    except ValueError as error:
        raise SettingsError(f"{where}: {error} (its stages); set {where}.layer") from None
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
        patch_flop=counter.get_total_flops() / (height // stride * (breadth // stride)),
    )


def _measured(path: Path) -> Shape | None:
    """What the stage `weights` found out about a model; None before it."""
    if not path.is_file():
        return None
    about = provenance(path)
    return Shape(
        patch_size=int(about["patch_size"]),
        width=int(about["width"]),
        normed=int(about["width"]),
        depth=int(about["depth"]),
        prefix=0,
        parameters=int(about["parameters"]),
        layer=int(about["layer"]) if "layer" in about else None,
    )


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
    if isinstance(model, TimmModel):
        source, licence = source_of(model.tag)
        forbids = NON_COMMERCIAL.search(licence) is not None
        what, address = f"timm {model.tag}", source.address
        return Download(name, what, None, at_least, licence, forbids, address=address)
    return None
