"""Samples of real datasets and a real ViT, where the folder `shared` lies beside the repository."""

import os
import shutil
from itertools import product
from pathlib import Path

import pytest

from cells import compute
from configured import configured
from patchlens.backbones import weights
from patchlens.datasets import indexing as index
from patchlens.files import file_hash
from patchlens.settings.datasets import Collected, Query, View
from patchlens.settings.features import Features
from patchlens.settings.models import FileModel, Model
from shared import SHARED

FEATURES = Features(layer=-1, layer_sweep=[], norm=True, dtype="float16", batch_size=8)


def sample(name: str) -> Path:
    """A folder of samples."""
    found = SHARED / "data" / name
    if not found.is_dir():
        pytest.skip(f"no samples of {name} in a folder `shared` beside the repository")
    return found.resolve()


def vit() -> FileModel:
    """DINOv2's ViT-S/14."""
    file = (SHARED / "weights/dinov2_vits14.safetensors").resolve()
    if not file.is_file():
        pytest.skip("no weights in a folder `shared` beside the repository")
    return FileModel(
        source="file",
        file=os.fspath(file),
        sha256=file_hash(file, "sha256"),
        arch="vit_small_patch14_dinov2",
        position="dino",
    )


def dataset(kind: str, root: Path, patches: list[int], query: Query) -> Collected:
    """Samples without a support."""
    view = View(mode="whole", grid="equal", patches=patches)
    return Collected(kind=kind, root=os.fspath(root), view=view, support=None, query=query)


def prepare(found: Collected, model: Model, features: Features = FEATURES) -> None:
    """The stages from the folder of samples to ranked features: dataset `d`, model `m`."""
    index.run("d", found)
    weights.run("m", model)
    asked = configured(datasets={"d": found}, features=features, shots=1)
    compute("extract", dataset="d", model="m", settings=asked)
    compute("prune", dataset="d", model="m", settings=asked)


def davis(root: Path, *sequences: str, frames: int | None = None) -> Path:
    """Sequences of DAVIS 2016, or their first frames."""
    given = sample("DAVIS")
    for part, name in product(("JPEGImages/480p", "Annotations/480p"), sequences):
        (root / part / name).mkdir(parents=True)
        for path in sorted((given / part / name).iterdir())[:frames]:
            shutil.copy(path, root / part / name)
    (root / "ImageSets/2016").mkdir(parents=True)
    (root / "ImageSets/2016/val.txt").write_text("\n".join(sequences) + "\n")
    return root
