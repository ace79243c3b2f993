"""Opens a converted weight file as the backbone that it describes."""

import json
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from timm.models.vision_transformer_sam import VisionTransformerSAM
from torch import Tensor

from patchlens.backbones import families
from patchlens.backbones.architecture import build, is_vit
from patchlens.backbones.checkpoint import load_strictly, tensor_hash
from patchlens.backbones.contract import Backbone
from patchlens.backbones.maps import MapsBackbone
from patchlens.backbones.pixels import PixelsBackbone
from patchlens.backbones.target import call, locate
from patchlens.backbones.vit import SamBackbone, VitBackbone
from patchlens.backbones.wrap import ModuleBackbone, wrap
from patchlens.errors import DataError
from patchlens.settings.models import PythonModel
from patchlens.stored import open_tensors, reading


def provenance(path: Path) -> dict[str, str]:
    """The header of a converted weight file: source, origin, sha256, architecture, statistics."""
    with reading(path):
        about: dict[str, str] = open_tensors(path)[1]["about"]
        if not {"source", "sha256"} <= about.keys():
            raise ValueError("not written by the weights stage")
        return about


def load(
    path: Path, ground: float | None = None, own: PythonModel | None = None, layer: int = -1
) -> Backbone:
    """The backbone of a converted weight file, on the CPU.

    Args:
        path: the file.
        ground: metres that one side of the input covers, for position mode `gsd`; None means g = 1.
        own: the settings of a model of `source: python`, whose code is run. The file itself never
            says what to run.
        layer: the stage to open, if the model has stages, unless models.<name>.layer says another.

    Raises:
        DataError: names or shapes of the file do not match the architecture; or the code of the
            model gives other weights than at the stage `weights`.
    """
    about = provenance(path)
    if about["source"] == "python":
        if own is None or about["settings"] != stated(own):
            raise DataError(
                f"{path}: made by other settings of `source: python`; run `dvc repro "
                f"weights@{path.stem}`"
            )
        found = open_own(own, path.stem)
        if tensor_hash(state_of(found)) != about["tensors"]:
            raise DataError(
                f"{path.stem}: {own.target} gives other weights than at the stage weights; it must "
                "give the same model whenever it is called"
            )
        return found
    with reading(path):
        if about["source"] in ("pixels", "place"):
            return PixelsBackbone(int(about["patch_size"]), colour=about["source"] == "pixels")
        with safe_open(path, framework="pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        if about["source"] == "hub":
            return families.opened(about, tensors, int(about.get("layer", layer)), path.stem)
        model = build(about["arch"], json.loads(about["arch_args"]))
        load_strictly(model, tensors, str(path))
        settings: dict[str, Any] = {
            "mean": json.loads(about["mean"]),
            "std": json.loads(about["std"]),
            "interpolation": about["interpolation"],
            "name": path.stem,
        }
        if not is_vit(model):
            args = json.loads(about["arch_args"])
            return MapsBackbone(
                model,
                layer=int(about.get("layer", layer)),
                rebuild=lambda size: build(about["arch"], args | {"img_size": size}),
                **settings,
            )
        return backbone(
            model,
            **settings,
            position=about["position"],
            ground=ground,
        )


def backbone(model: Any, **settings: Any) -> Backbone:
    """A timm model with its weights behind the contract; see `VitBackbone` for the settings."""
    kind = SamBackbone if isinstance(model, VisionTransformerSAM) else VitBackbone
    return kind(model, **settings)


def open_own(settings: PythonModel, name: str) -> ModuleBackbone:
    """Run the code of a model of `source: python`, with torch's seed at 0, and wrap what it gives.

    Raises:
        SettingsError: the code fails, or its output has no clear reading.
    """
    where = f"params.yaml: models.{name}"
    target = locate(settings.target, where)
    size = settings.input_size
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = call(target, settings.args, where)
        return wrap(
            model,
            patch_size=settings.patch_size,
            mean=settings.mean,
            std=settings.std,
            interpolation=settings.interpolation,
            prefix_tokens=settings.prefix_tokens,
            output=settings.output,
            input_size=None if size is None else (size[0], size[1]),
            name=where,
        )


def state_of(backbone: ModuleBackbone) -> dict[str, Tensor]:
    """All weights and buffers of an own model."""
    return {
        f"{i}.{name}": tensor
        for i, module in enumerate(backbone.modules)
        for name, tensor in module.state_dict().items()
    }


def stated(settings: PythonModel) -> str:
    """The settings on which the tokens depend, as one text."""
    return settings.model_dump_json(exclude={"role"})
