"""The common index: what every other room knows of a dataset.

A folder with images.parquet (one row an image), objects.parquet (one row an object),
support.parquet (the few-shot choice, once a seed), query.parquet (the scored images with their
bootstrap unit) and dataset.json (class names, what the values of a mask file mean).
"""

import json
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image

from patchlens.datasets.layout import IGNORE
from patchlens.errors import DataError

Mask = NDArray[np.uint8]


class Index:
    """A dataset as its index describes it; pixels are read from `root` on demand.

    Attributes:
        classes: class names; a class id is a position in it.
        images: image_id -> split, path, mask, instances, sequence, frame, group, height, width.
        objects: image_id, instance, class_id, fine_class, x0, y0, x1, y1 (exclusive), area.
        support: seed, pool, rank, image_id.
        query: image_id, unit.
    """

    def __init__(self, folder: Path, root: Path) -> None:
        if not (folder / "dataset.json").is_file():
            raise DataError(f"{folder}: no index here; run `dvc repro index` first")
        about = json.loads((folder / "dataset.json").read_text(encoding="utf-8"))
        self.root = root
        self.classes: list[str] = about["classes"]
        self.palette: list[list[int]] = about["palette"]
        self._labels = {int(value): label for value, label in about["labels"].items()}
        self.images = pd.read_parquet(folder / "images.parquet").set_index("image_id")
        self.objects = pd.read_parquet(folder / "objects.parquet")
        self.support = pd.read_parquet(folder / "support.parquet")
        self.query = pd.read_parquet(folder / "query.parquet")

    @property
    def seeds(self) -> list[int]:
        """The support seeds in the order of the settings."""
        return [int(seed) for seed in self.support["seed"].unique()]

    def support_ids(self, seed: int, shots: int) -> list[str]:
        """Image ids of the first `shots` of each pool, without repeats, in order of the choice."""
        chosen = self.support[(self.support["seed"] == seed) & (self.support["rank"] < shots)]
        return list(dict.fromkeys(chosen["image_id"]))

    def image(self, image_id: str) -> Image.Image:
        """The image in RGB."""
        return read_image(self.root / str(self.images.at[image_id, "path"]))

    def mask(self, image_id: str) -> Mask:
        """Class ids [H, W] at the original resolution, `IGNORE` (255) where nothing counts."""
        return read_mask(self.root / str(self.images.at[image_id, "mask"]), self._labels)

    def instance_mask(self, image_id: str) -> NDArray[np.int64]:
        """Instance ids [H, W] at the original resolution, as in `objects`; 0 elsewhere."""
        return read_ids(self.root / str(self.images.at[image_id, "instances"]))


def read_image(path: Path) -> Image.Image:
    """Decode a whole image to RGB; a missing, empty or broken file is a `DataError`."""
    try:
        with Image.open(path) as image:
            return image.convert("RGB")
    except (OSError, SyntaxError, ValueError) as error:
        raise DataError(f"{path}: cannot be read as an image ({_reason(path, error)})") from None


def read_mask(path: Path, labels: dict[int, int]) -> Mask:
    """Class ids [H, W] of a one-channel mask file, each of its values translated by `labels`.

    Raises:
        DataError: the file cannot be read, has colours, or holds a value outside `labels`.
    """
    values = read_ids(path)
    unknown = max(labels) + 1  # stands for every value outside the table, negative ones too
    lookup = np.full(unknown + 1, -1, dtype=np.int16)
    for value, label in labels.items():
        lookup[value] = label
    mask = lookup[np.where((values < 0) | (values > unknown), unknown, values)]
    if (mask < 0).any():
        stranger = int(values[mask < 0][0])
        allowed = ", ".join(str(v) for v in sorted(labels))
        raise DataError(f"{path}: holds id {stranger}, which is outside the classes ({allowed})")
    return mask.astype(np.uint8)


def read_ids(path: Path) -> NDArray[np.int64]:
    """The values [H, W] of a one-channel image: palette indices, 8-bit or 16-bit grey."""
    try:
        with Image.open(path) as image:
            values = np.asarray(image)
    except (OSError, SyntaxError, ValueError) as error:
        raise DataError(f"{path}: cannot be read as a mask ({_reason(path, error)})") from None
    if values.ndim != 2:
        raise DataError(f"{path}: has {values.shape[2]} channels; a mask holds one id a pixel")
    return values.astype(np.int64)


def present(mask: Mask) -> list[int]:
    """The class ids that occur in a mask."""
    return [int(c) for c in np.unique(mask) if c != IGNORE]


def _reason(path: Path, error: Exception) -> str:
    if not path.exists():
        return "no such file"
    if path.stat().st_size == 0:
        return "the file is empty"
    return str(error) or type(error).__name__
