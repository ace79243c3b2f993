"""BDD100K semantic segmentation on a miniature in the official layout."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from patchlens.datasets import readers
from patchlens.datasets.catalogue import find
from patchlens.datasets.index import Index
from patchlens.errors import DataError, SourceError

read = partial(readers.read, "bdd100k_seg")

Make = Callable[..., Index]


@pytest.fixture
def miniature(tmp_path: Path, picture: Any, mask: Any) -> Path:
    root = tmp_path / "bdd"
    ids = np.zeros((6, 8), np.uint8)
    ids[0], ids[1] = 255, 18
    for split, stems in (("train", "ab"), ("val", "c"), ("test", "d")):
        for stem in stems:
            picture(root / "bdd100k/images/10k" / split / f"{stem}.jpg")
            if split != "test":
                mask(root / "bdd100k/labels/sem_seg/masks" / split / f"{stem}.png", ids)
    return root


def test_masks_are_train_ids_and_255_is_ignored(miniature: Path, indexed: Make) -> None:
    index = indexed(read(miniature), miniature, {"split": "train"}, split="val")
    assert index.mask("c")[:, 0].tolist() == [255, 18, 0, 0, 0, 0]
    assert index.classes == find("cityscapes").classes
    assert index.images.at["c", "mask"] == "bdd100k/labels/sem_seg/masks/val/c.png"
    assert pd.isna(index.images.at["d", "mask"])


def test_label_ids_are_refused(miniature: Path, indexed: Make, mask: Any) -> None:
    path = miniature / "bdd100k/labels/sem_seg/masks/train/b.png"
    mask(path, 19)
    with pytest.raises(DataError) as caught:
        indexed(read(miniature), miniature, {"split": "train"}, split="val")
    assert str(caught.value).startswith(f"{path}: contains id 19, which is not among")


@pytest.mark.parametrize(
    ("gone", "message"),
    [
        (
            "images/10k/train/a.jpg",
            r"images/10k/train: no file 'a\.\*' to pair with .*masks/train/a\.png",
        ),
        (
            "labels/sem_seg/masks/train/a.png",
            r"masks/train: no file 'a\.\*' to pair with .*10k/train/a\.jpg",
        ),
    ],
)
def test_images_and_masks_pair(miniature: Path, gone: str, message: str) -> None:
    (miniature / "bdd100k" / gone).unlink()
    with pytest.raises(DataError, match=message):
        read(miniature)


def test_missing_masks_and_missing_images(miniature: Path, tmp_path: Path) -> None:
    (miniature / "bdd100k/labels").rename(tmp_path / "labels")
    with pytest.raises(SourceError, match="labels/sem_seg/masks/train: no such folder"):
        read(miniature)
    with pytest.raises(SourceError, match="Log in at bdd-data"):
        read(tmp_path / "labels")
