"""Opens a converted weight file as the backbone that it describes."""

import json
from pathlib import Path
from typing import Any

from safetensors import safe_open
from timm.models.vision_transformer_sam import VisionTransformerSAM

from patchlens.backbones.architecture import build
from patchlens.backbones.checkpoint import load_strictly
from patchlens.backbones.contract import Backbone
from patchlens.backbones.pixels import PixelsBackbone
from patchlens.backbones.sam import SamBackbone
from patchlens.backbones.vit import VitBackbone
from patchlens.stored import open_tensors, reading


def provenance(path: Path) -> dict[str, str]:
    """The header of a converted weight file: source, origin, sha256, architecture, statistics."""
    with reading(path):
        about: dict[str, str] = open_tensors(path)[1]["about"]
        if not {"source", "sha256"} <= about.keys():
            raise ValueError("not written by the weights stage")
        return about


def load(path: Path, ground: float | None = None) -> Backbone:
    """The backbone of a converted weight file, on the CPU.

    Args:
        path: the file.
        ground: metres that one side of the input covers, for position mode `gsd`; None means g = 1.

    Raises:
        DataError: names or shapes of the file do not match the architecture.
    """
    with reading(path):
        about = provenance(path)
        if about["source"] == "pixels":
            return PixelsBackbone(int(about["patch_size"]))
        model = build(about["arch"], json.loads(about["arch_args"]))
        with safe_open(path, framework="pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        load_strictly(model, tensors, str(path))
        return backbone(
            model,
            mean=json.loads(about["mean"]),
            std=json.loads(about["std"]),
            interpolation=about["interpolation"],
            position=about["position"],
            ground=ground,
        )


def backbone(model: Any, **settings: Any) -> Backbone:
    """A timm model with its weights behind the contract; see `VitBackbone` for the settings."""
    kind = SamBackbone if isinstance(model, VisionTransformerSAM) else VitBackbone
    return kind(model, **settings)
