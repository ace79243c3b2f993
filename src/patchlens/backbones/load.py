"""Opens a converted weight file as the backbone that it describes."""

from pathlib import Path

from safetensors import safe_open

from patchlens.backbones.contract import Backbone
from patchlens.backbones.pixels import PixelsBackbone
from patchlens.backbones.vit import from_file
from patchlens.errors import DataError


def provenance(path: Path) -> dict[str, str]:
    """The header of a converted weight file: source, origin, sha256, architecture, statistics."""
    if not path.is_file():
        raise DataError(f"{path}: no weights here; run `dvc repro weights` first")
    with safe_open(path, framework="numpy") as file:
        return dict(file.metadata())


def load(path: Path) -> Backbone:
    """The backbone of a converted weight file, on the CPU."""
    about = provenance(path)
    if about["source"] == "pixels":
        return PixelsBackbone(int(about["patch_size"]))
    return from_file(path, about)
