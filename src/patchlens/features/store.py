"""The feature store: one safetensors file per model, dataset and split, read by memory map.

One tensor [N, h, w, D] per layer, named `layer_<index>`; the header states images, model (by the
hash of its weights), layers, grid and dtype. safetensors writes only from memory, so the file is
streamed here in its documented format: an 8-byte length, a JSON header, the tensors.
"""

import json
import math
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from patchlens.errors import DataError
from patchlens.files import whole_file
from patchlens.stored import open_tensors, reading

DTYPES = {"float16": "F16", "float32": "F32"}
PIECE = 1 << 24


@dataclass(frozen=True)
class Header:
    """The header of a feature file.

    Attributes:
        dataset, split, model: names in `params.yaml`.
        weights: sha256 of the model's weights.
        image_ids: the images in the order of the first axis.
        grid: patch rows and columns.
        width: D.
        layers: absolute block indices in the file; the first is the headline layer.
        norm: whether the final norm was applied.
        dtype: float16 or float32.
        view: how images became model input, in words.
        patch_size: side of a patch in pixels of the model input.
        precision: of the forward pass; see `settings.features.Features`.
    """

    dataset: str
    split: str
    model: str
    weights: str
    image_ids: list[str]
    grid: tuple[int, int]
    width: int
    layers: list[int]
    norm: bool
    dtype: str
    view: str
    patch_size: int
    precision: str = "fp32"

    @property
    def bytes(self) -> int:
        """The size of all tensors."""
        values = len(self.image_ids) * math.prod(self.grid) * self.width * len(self.layers)
        return values * np.dtype(self.dtype).itemsize

    def protocol(self) -> dict[str, str | int]:
        """The properties of the features that belong to the protocol of a score."""
        precision = {} if self.precision == "fp32" else {"precision": self.precision}
        return {
            "dataset": self.dataset,
            "model": self.model,
            "weights": self.weights[:12],
            "view": self.view,
            "grid": f"{self.grid[0]}×{self.grid[1]}",
            "layer": self.layers[0],
            "norm": str(self.norm),
            "dtype": self.dtype,
            "width": self.width,
            **precision,
        }


def write(header: Header, parts: Mapping[int, Sequence[Path]], out: Path) -> None:
    """Join raw parts (layer -> files, in the order of the images) into a feature file."""
    shape = [len(header.image_ids), *header.grid, header.width]
    size = int(np.prod(shape)) * np.dtype(header.dtype).itemsize
    entries: dict[str, Any] = {
        f"layer_{layer}": {
            "dtype": DTYPES[header.dtype],
            "shape": shape,
            "data_offsets": [i * size, (i + 1) * size],
        }
        for i, layer in enumerate(header.layers)
    }
    about = {key: json.dumps(value) for key, value in vars(header).items()}
    text = json.dumps({"__metadata__": about} | entries).encode()
    text += b" " * (-len(text) % 8)  # the format aligns the tensors
    with whole_file(out) as partial:
        with partial.open("wb") as stream:
            stream.write(len(text).to_bytes(8, "little") + text)
            for layer in header.layers:
                for part in parts[layer]:
                    with part.open("rb") as source:
                        shutil.copyfileobj(source, stream, PIECE)
        written = partial.stat().st_size - len(text) - 8
        if written != size * len(header.layers):
            raise DataError(
                f"{out}: {written} bytes of features instead of {size} per layer; run `dvc "
                "repro extract`"
            )


class FeatureFile:
    """A feature file, opened as a memory map: reading an image reads only its patches."""

    def __init__(self, path: Path) -> None:
        with reading(path):
            opened, fields = open_tensors(path)
            self._file: Any = opened
            self.header = Header(**fields | {"grid": tuple(fields["grid"])})
            self._row = {image_id: i for i, image_id in enumerate(self.header.image_ids)}
            shape = [len(self._row), *self.header.grid, self.header.width]
            for layer in self.header.layers:
                found = self._file.get_slice(f"layer_{layer}").get_shape()
                if found != shape:
                    raise ValueError(f"layer {layer} is {found}, but its header says {shape}")
        self._path = path

    @classmethod
    def held(cls, header: Header, tensors: Mapping[int, NDArray[np.generic]]) -> "FeatureFile":
        """Features in memory instead: layer -> tensor [N, h, w, D], with all else as in a file."""
        file = cls.__new__(cls)
        named = {f"layer_{layer}": tensor for layer, tensor in tensors.items()}
        file._file, file.header = SimpleNamespace(get_slice=named.__getitem__), header
        file._row = {image_id: i for i, image_id in enumerate(header.image_ids)}
        file._path = Path(f"{header.split} features of {header.model}")
        return file

    def patches(self, chunk: int) -> Iterator[NDArray[np.float32]]:
        """All patches [n, D] of the headline layer, those of `chunk` images at a time."""
        ids = self.header.image_ids
        for start in range(0, len(ids), chunk):
            found = self.images(ids[start : start + chunk], self.header.layers[0])
            yield found.reshape(-1, self.header.width)

    def images(self, image_ids: Sequence[str], layer: int) -> NDArray[np.float32]:
        """Patch features [n, h, w, D] of these images at the layer with this absolute index.

        Raises:
            DataError: an image or the layer is not in the file, or a feature is NaN or infinite.
        """
        if layer not in self.header.layers:
            raise DataError(f"{self._path}: no layer {layer}; the file has {self.header.layers}")
        missing = [image_id for image_id in image_ids if image_id not in self._row]
        if missing:
            raise DataError(
                f"{self._path}: no features of image '{missing[0]}'; run `dvc repro extract`"
            )
        tensor = self._file.get_slice(f"layer_{layer}")
        out = np.empty((len(image_ids), *self.header.grid, self.header.width), dtype=np.float32)
        for target, image_id in zip(out, image_ids, strict=True):
            row = self._row[image_id]
            target[...] = tensor[row : row + 1][0]
            if not np.isfinite(target).all():
                raise DataError(f"{self._path}: image '{image_id}' has a NaN or infinite feature")
        return out
