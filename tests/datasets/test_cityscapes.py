"""Cityscapes on a miniature in the official layout."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from patchlens.datasets import readers
from patchlens.datasets.catalogue import find
from patchlens.datasets.cityscapes import LABELS, PALETTE
from patchlens.datasets.index import Index
from patchlens.errors import DataError, SourceError

read = partial(readers.read, "cityscapes")
CLASSES = tuple(find("cityscapes").classes)

Make = Callable[..., Index]
# labelId -> trainId of the official table, written down by hand; all others are ignored.
TRAIN_IDS = {7: 0, 8: 1, 11: 2, 12: 3, 13: 4, 17: 5, 19: 6, 20: 7, 21: 8, 22: 9, 23: 10, 24: 11,
             25: 12, 26: 13, 27: 14, 28: 15, 31: 16, 32: 17, 33: 18}  # fmt: skip


TWO = np.repeat(np.array([[7], [8]], np.uint8), [5, 1], axis=0).repeat(8, axis=1)  # road, sidewalk


class City:
    """Writes frames of a Cityscapes folder."""

    def __init__(self, root: Path, picture: Any, mask: Any) -> None:
        self.root, self.picture, self.mask = root, picture, mask

    def add(self, split: str, city: str, number: int, ids: Any = TWO, instances: Any = 7) -> str:
        stem = f"{city}_{number:06}_000019"
        self.picture(self.root / "leftImg8bit" / split / city / f"{stem}_leftImg8bit.png")
        folder = self.root / "gtFine" / split / city
        self.mask(folder / f"{stem}_gtFine_labelIds.png", ids)
        array = np.full((6, 8), instances, np.uint16) if np.isscalar(instances) else instances
        self.mask(folder / f"{stem}_gtFine_instanceIds.png", array)
        return stem


@pytest.fixture
def city(tmp_path: Path, picture: Any, mask: Any) -> City:
    return City(tmp_path / "cityscapes", picture, mask)


@pytest.fixture
def two(city: City) -> City:
    """One image of train and one of val."""
    city.add("train", "aachen", 0)
    city.add("val", "lindau", 0)
    return city


def test_ids_become_the_19_train_ids(city: City, indexed: Make) -> None:
    ids = np.arange(34, dtype=np.uint8)
    ids = np.append(ids, np.zeros(14, np.uint8)).reshape(6, 8)
    stem = city.add("train", "aachen", 0, ids)
    city.add("val", "lindau", 0)
    index = indexed(read(city.root), city.root, {"split": "train"}, split="val")
    expected = np.array([TRAIN_IDS.get(int(v), 255) for v in ids.ravel()]).reshape(6, 8)
    np.testing.assert_array_equal(index.mask(stem), expected)
    assert len(CLASSES) == len(PALETTE) == 19
    assert {k: v for k, v in LABELS.items() if v != 255} == TRAIN_IDS
    assert set(LABELS) == set(range(34))  # the licence plate (-1) is never drawn


def test_all_label_ids_are_classes_where_that_is_asked_for(city: City, indexed: Make) -> None:
    """Authors of scripts probe 33 of them; 0 is unlabeled."""
    ids = np.append(np.arange(34, dtype=np.uint8), np.zeros(14, np.uint8)).reshape(6, 8)
    caravan = np.full((6, 8), 7, np.uint16)
    caravan[:, 4:] = 29001
    stem = city.add("train", "aachen", 0, ids, caravan)
    city.add("val", "lindau", 0)
    index = indexed(readers.read("cityscapes_ids", city.root), city.root, {"split": "train"},
                    split="val")  # fmt: skip
    expected = np.where(ids == 0, 255, ids.astype(int) - 1)
    np.testing.assert_array_equal(index.mask(stem), expected)
    assert len(index.classes) == 33
    for train_id, name in enumerate(CLASSES):  # the names of both lists mean the same ids
        [label_id] = [i for i, t in TRAIN_IDS.items() if t == train_id]
        assert index.classes[label_id - 1] == name
    assert [index.classes[c] for c in index.objects["class_id"]] == ["caravan"]


@pytest.mark.parametrize("stranger", [34, 255])
def test_an_id_outside_the_table_is_named_with_its_file(
    two: City, indexed: Make, stranger: int
) -> None:
    stem = two.add("train", "aachen", 1, stranger)
    with pytest.raises(DataError) as caught:
        indexed(read(two.root), two.root, {"split": "train"}, split="val")
    path = two.root / "gtFine/train/aachen" / f"{stem}_gtFine_labelIds.png"
    assert str(caught.value).startswith(f"{path}: contains id {stranger}, which is not among")


def test_images_carry_city_sequence_and_frame(two: City) -> None:
    first, second = read(two.root).images
    assert (first.image_id, first.split, first.group) == ("aachen_000000_000019", "train", "aachen")
    assert (first.sequence, first.frame) == ("aachen_000000", 19)
    assert first.path == "leftImg8bit/train/aachen/aachen_000000_000019_leftImg8bit.png"
    assert first.mask == "gtFine/train/aachen/aachen_000000_000019_gtFine_labelIds.png"
    assert (second.split, second.group) == ("val", "lindau")


def test_instances_are_those_of_one_image(two: City, indexed: Make) -> None:
    ids = np.full((6, 8), 7, np.uint16)
    ids[0, :2] = 26  # cars that cannot be told apart
    ids[1:3, 2:5] = 26000
    ids[4, 4] = 26001
    ids[5, 0] = 24000
    ids[5, 7] = 29000  # a caravan, which is not evaluated
    for number in (1, 2):
        two.add("train", "aachen", number, 26, ids)
    index = indexed(read(two.root), two.root, {"split": "train"}, split="val")
    rows = index.objects
    assert list(rows["class_id"]) == [11, 13, 13] * 2
    assert list(rows["mask_value"]) == [24000, 26000, 26001] * 2
    assert list(rows["instance"]) == [1, 2, 3, 4, 5, 6]  # the same value is another car elsewhere
    assert rows["track"].isna().all()
    car = rows.iloc[1]
    assert [car["x0"], car["y0"], car["x1"], car["y1"], car["area"]] == [2, 1, 5, 3, 6]


def test_an_instance_of_a_class_without_instances_is_an_error(two: City, indexed: Make) -> None:
    two.add("train", "aachen", 1, 7, 7000)
    with pytest.raises(DataError, match="contains instance 7000, which the dataset does not list"):
        indexed(read(two.root), two.root, {"split": "train"}, split="val")


@pytest.mark.parametrize("shots", [2, 4, 8])
def test_few_shots_of_each_city(city: City, indexed: Make, shots: int) -> None:
    for split, names in (("train", ("aachen", "bochum")), ("val", ("frankfurt", "lindau"))):
        for name in names:
            for number in range(12):
                city.add(split, name, number)
    index = indexed(
        read(city.root),
        city.root,
        {"split": "train", "images": 8, "per": "group"},
        split="val",
        images=10,
        per="group",
    )
    cities = index.images["group"]
    assert len(index.seeds) > 0
    for seed in index.seeds:
        chosen = cities[index.support_ids(seed, shots)]
        assert chosen.value_counts().to_dict() == {"aachen": shots, "bochum": shots}
    scored = cities[list(index.query["image_id"])]
    assert scored.value_counts().to_dict() == {"frankfurt": 10, "lindau": 10}


def test_annotations_of_test_are_dummies_and_not_used(two: City, indexed: Make) -> None:
    stem = two.add("test", "berlin", 0, 99, 99)
    index = indexed(read(two.root), two.root, {"split": "train"}, split="val")
    assert pd.isna(index.images.at[stem, "mask"])
    with pytest.raises(DataError, match=f"image '{stem}' has no mask"):
        index.mask(stem)


@pytest.mark.parametrize(
    ("gone", "message"),
    [
        ("gtFine/{}_gtFine_labelIds.png", "_gtFine_labelIds.png: missing, but"),
        ("gtFine/{}_gtFine_instanceIds.png", "_gtFine_instanceIds.png: missing, but"),
        ("leftImg8bit/{}_leftImg8bit.png", "_leftImg8bit.png: missing, but"),
    ],
)
def test_a_file_without_its_pair(two: City, gone: str, message: str) -> None:
    two.add("train", "aachen", 1)
    folder, suffix = gone.split("{}")
    (two.root / folder / "train/aachen" / f"aachen_000000_000019{suffix}").unlink()
    with pytest.raises(DataError) as caught:
        read(two.root)
    assert message in str(caught.value)
    assert "aachen_000000_000019" in str(caught.value)


def test_images_without_annotations(two: City, tmp_path: Path) -> None:
    (two.root / "gtFine").rename(tmp_path / "elsewhere")
    with pytest.raises(SourceError) as caught:
        read(two.root)
    assert str(caught.value).startswith(
        f"{two.root}/gtFine/train/aachen: no such folder, but images of aachen exist. Register"
    )


def test_nothing_there_says_how_to_get_it(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"contains no leftImg8bit\. Register at cityscapes"):
        read(tmp_path)


def test_another_name_is_an_error(two: City, picture: Any, mask: Any) -> None:
    picture(two.root / "leftImg8bit/val/lindau/street_leftImg8bit.png")
    for suffix in ("labelIds", "instanceIds"):
        mask(two.root / "gtFine/val/lindau" / f"street_gtFine_{suffix}.png")
    with pytest.raises(DataError, match="the name is not <city>_<sequence>_<frame>"):
        read(two.root)


def test_annotations_of_a_city_without_images(two: City, tmp_path: Path) -> None:
    two.add("train", "bochum", 0)
    (two.root / "leftImg8bit/train/bochum").rename(tmp_path / "elsewhere")
    with pytest.raises(SourceError) as caught:
        read(two.root)
    assert str(caught.value).startswith(
        f"{two.root}/leftImg8bit/train/bochum: no such folder, but annotations of bochum exist"
    )
