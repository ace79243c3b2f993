"""ADE20K: a miniature in the official layout, and the real samples."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from patchlens.datasets import readers
from patchlens.datasets.catalogue import find
from patchlens.datasets.index import Index
from patchlens.errors import DataError, SourceError

read = partial(readers.read, "ade20k")
CLASSES = tuple(find("ade20k").classes)

Make = Callable[..., Index]
SUPPORT = {"split": "training"}


@pytest.fixture
def miniature(tmp_path: Path, picture: Any, mask: Any) -> Path:
    root = tmp_path / "ade"
    ids = np.zeros((6, 8), np.uint8)
    ids[1:3], ids[3:] = 1, 150
    for split, short in (("training", "train"), ("validation", "val")):
        for number in (1, 2):
            stem = f"ADE_{short}_{number:08}"
            picture(root / "ADEChallengeData2016/images" / split / f"{stem}.jpg")
            mask(root / "ADEChallengeData2016/annotations" / split / f"{stem}.png", ids)
    return root


def test_zero_is_ignored_and_classes_start_at_one(miniature: Path, indexed: Make) -> None:
    index = indexed(read(miniature), miniature, SUPPORT, split="validation")
    found = index.mask("ADE_val_00000001")
    assert found[:, 0].tolist() == [255, 0, 0, 149, 149, 149]
    assert (index.classes[0], index.classes[149]) == ("wall", "flag")
    assert index.pixels["training"][149] == 2 * 24
    assert index.pixels["training"][150] == 2 * 8  # ignored


@pytest.mark.parametrize("stranger", [151, 255])
def test_an_id_above_150_is_named_with_its_file(
    miniature: Path, indexed: Make, mask: Any, stranger: int
) -> None:
    path = miniature / "ADEChallengeData2016/annotations/training/ADE_train_00000002.png"
    mask(path, stranger)
    with pytest.raises(DataError) as caught:
        indexed(read(miniature), miniature, SUPPORT, split="validation")
    assert str(caught.value).startswith(f"{path}: contains id {stranger}, which is not among")


def test_root_may_be_the_folder_of_the_archive_or_the_one_above(miniature: Path) -> None:
    above, inside = read(miniature), read(miniature / "ADEChallengeData2016")
    assert [i.image_id for i in above.images] == [i.image_id for i in inside.images]
    first = next(iter(inside.images))
    assert (first.path, first.split) == ("images/training/ADE_train_00000001.jpg", "training")


def test_one_split_is_enough(miniature: Path, tmp_path: Path) -> None:
    (miniature / "ADEChallengeData2016/images/training").rename(tmp_path / "elsewhere")
    assert {i.split for i in read(miniature).images} == {"validation"}


@pytest.mark.parametrize(("gone", "left"), [("images", "annotations"), ("annotations", "images")])
def test_images_and_annotations_pair(miniature: Path, gone: str, left: str) -> None:
    folder = miniature / "ADEChallengeData2016" / gone / "validation"
    next(folder.iterdir()).unlink()
    pair = rf"{gone}/validation: no file '(ADE_val_\d+)\.\*' to pair with .*{left}/validation/\1\."
    with pytest.raises(DataError, match=pair):
        read(miniature)


def test_nothing_there(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"ADEChallengeData2016\.zip"):
        read(tmp_path)


def test_names_are_the_official_ones_in_their_order(shared: Path) -> None:
    table = shared / "data/ADEChallengeData2016/objectInfo150.txt"
    rows = [line.split("\t") for line in table.read_text().splitlines()[1:]]
    assert [int(row[0]) for row in rows] == list(range(1, 151))
    assert tuple(row[4].split(",")[0].strip() for row in rows) == CLASSES


def test_real_samples(shared: Path, tmp_path: Path) -> None:
    from patchlens.datasets.build import build

    root = shared / "data/ADEChallengeData2016"
    layout = read(root)
    assert {i.split for i in layout.images} == {"validation"}
    build("ade", layout, root, None, None, tmp_path)
    index = Index(tmp_path, root)
    for image_id, row in index.images.iterrows():
        raw = np.asarray(Image.open(root / row["mask"])).astype(int)
        expected = np.where(raw == 0, 255, raw - 1)
        np.testing.assert_array_equal(index.mask(str(image_id)), expected)
        assert index.image(str(image_id)).size == (row["width"], row["height"])
