"""Opens a converted weight file as the backbone that it describes."""

import json
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from timm.models.vision_transformer_sam import VisionTransformerSAM

from patchlens.backbones.architecture import build
from patchlens.backbones.checkpoint import load_strictly
from patchlens.backbones.contract import Backbone
from patchlens.backbones.pixels import PixelsBackbone
from patchlens.backbones.sam import SamBackbone
from patchlens.backbones.vit import VitBackbone
from patchlens.errors import DataError


def provenance(path: Path) -> dict[str, str]:
    """The header of a converted weight file: source, origin, sha256, architecture, statistics."""
    if not path.is_file():
        raise DataError(f"{path}: weights not found; run `dvc repro weights` first")
    try:
        with safe_open(path, framework="numpy") as file:
            header = file.metadata() or {}
    except SafetensorError as error:
        raise DataError(
            f"{path}: not a readable safetensors file ({error}); run `dvc repro weights`"
        ) from None
    if "about" not in header:
        raise DataError(f"{path}: not written by the weights stage; run `dvc repro weights`")
    about: dict[str, str] = json.loads(header["about"])
    return about


def load(path: Path, ground: float | None = None) -> Backbone:
    """The backbone of a converted weight file, on the CPU.

    Args:
        path: the file.
        ground: metres that one side of the input covers, for position mode `gsd`; None means g = 1.

    Raises:
        DataError: names or shapes of the file do not match the architecture.
    """
    about = provenance(path)
    if about["source"] == "pixels":
        return PixelsBackbone(int(about["patch_size"]))
    try:
        model = build(about["arch"], json.loads(about["arch_args"]))
    except (ValueError, TypeError) as error:
        raise DataError(
            f"{path}: its header names no model ({error}); run `dvc repro -f weights`"
        ) from None
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
