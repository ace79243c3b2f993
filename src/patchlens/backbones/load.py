"""Opens a converted weight file as the backbone that it describes."""

import json
from pathlib import Path

from safetensors import SafetensorError, safe_open

from patchlens.backbones.contract import Backbone
from patchlens.backbones.pixels import PixelsBackbone
from patchlens.backbones.vit import from_file
from patchlens.errors import DataError


def provenance(path: Path) -> dict[str, str]:
    """The header of a converted weight file: source, origin, sha256, architecture, statistics."""
    if not path.is_file():
        raise DataError(f"{path}: no weights here; run `dvc repro weights` first")
    try:
        with safe_open(path, framework="numpy") as file:
            header = file.metadata() or {}
    except SafetensorError as error:
        raise DataError(f"{path}: not a readable safetensors file ({error})") from None
    if "about" not in header:
        raise DataError(f"{path}: was not written by the weights stage; run `dvc repro weights`")
    about: dict[str, str] = json.loads(header["about"])
    return about


def load(path: Path) -> Backbone:
    """The backbone of a converted weight file, on the CPU."""
    about = provenance(path)
    if about["source"] == "pixels":
        return PixelsBackbone(int(about["patch_size"]))
    return from_file(path, about)
