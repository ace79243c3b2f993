"""Annotations as tools write them become a dataset of kind `folder`."""

import json
import zipfile
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image

from annotations import written
from annotations.written import CAR_BOX, SCENES, photos, scene
from patchlens.annotations.convert import Converted, convert, with_splits
from patchlens.datasets import readers
from patchlens.datasets.masks import open_ids
from patchlens.errors import DataError


def converted(tmp_path: Path, given: Path, *names: str) -> Converted:
    folder = photos(tmp_path / "photos", *(names or ("a.png", "b.png")))
    return convert(folder, given, tmp_path / "out")


def mask_of(tmp_path: Path, name: str = "a") -> np.ndarray:
    """The class mask of a picture, with its classes as in `scene`."""
    about = yaml.safe_load((tmp_path / "out/dataset.yaml").read_text(encoding="utf-8"))
    order = {"background": 0, "road": 1, "car": 2}
    ids = open_ids(tmp_path / f"out/masks/{name}.png")
    table = np.full(256, 255)
    for value, label in about["classes"].items():
        table[value] = order[label]
    return table[ids]


@pytest.mark.parametrize("name", SCENES)
def test_every_format_gives_the_scene_that_was_drawn(tmp_path: Path, name: str) -> None:
    form, write = SCENES[name]
    found = converted(tmp_path, write(tmp_path / "labels"))
    assert (found.format, found.labelled, found.unlabelled) == (form, ["a"], ["b"])
    assert sorted(found.classes) == ["background", "car", "road"]
    np.testing.assert_array_equal(mask_of(tmp_path), scene())
    if form != "masks":
        objects = json.loads((tmp_path / "out/objects.json").read_text(encoding="utf-8"))
        boxes = [o["bbox"] for o in objects["annotations"]]
        x0, y0, x1, y1 = CAR_BOX
        close = np.isclose(boxes, [x0, y0, x1 - x0, y1 - y0], atol=1e-3)
        assert close.all(axis=1).any(), boxes
    with_splits(tmp_path / "out", {"query": found.labelled, "rest": found.unlabelled})
    images = {i.image_id: i for i in readers.read("folder", tmp_path / "out").images}
    assert images["a"].mask == "masks/a.png"
    assert images["b"].mask is None
    assert Image.open(tmp_path / "out" / images["a"].path).size == (40, 30)


@pytest.mark.parametrize("name", ["CVAT polygons", "LabelMe polygons", "VOC"])
def test_an_archive_may_hold_annotations_and_pictures(tmp_path: Path, name: str) -> None:
    form, write = SCENES[name]
    folder = tmp_path / "export"
    write(folder)
    photos(folder / ("JPEGImages" if form == "voc" else "photos"), "a.png", "b.png")
    path = tmp_path / "export.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for file in sorted(folder.rglob("*.*")):
            archive.write(file, file.relative_to(folder))
    found = convert(path, path, tmp_path / "out")
    assert (found.format, found.labelled, found.unlabelled) == (form, ["a"], ["b"])
    np.testing.assert_array_equal(mask_of(tmp_path), scene())


def test_annotations_beside_the_pictures_are_found(tmp_path: Path) -> None:
    folder = photos(tmp_path / "all", "a.png", "b.png")
    written.labelme(folder)
    assert convert(folder, folder, tmp_path / "out").labelled == ["a"]


def test_pictures_may_be_turned_and_the_labels_are_of_the_upright_one(tmp_path: Path) -> None:
    folder = photos(tmp_path / "photos", "a.jpg", size=(30, 40))
    image = Image.open(folder / "a.jpg")
    exif = image.getexif()
    exif[274] = 6
    image.save(folder / "a.jpg", exif=exif)
    found = convert(folder, written.labelme(tmp_path / "labels"), tmp_path / "out")
    assert found.labelled == ["a"]
    np.testing.assert_array_equal(mask_of(tmp_path), scene())


def test_equal_names_in_two_folders_get_their_path(tmp_path: Path) -> None:
    for name in ("x", "y"):
        photos(tmp_path / "photos" / name, "a.png")
    folder = tmp_path / "photos"
    assert convert(folder, None, tmp_path / "out").unlabelled == ["x-a", "y-a"]
    path = written.coco(tmp_path / "labels", images=[{"id": 5, "file_name": "y/a.png"}])
    assert convert(folder, path, tmp_path / "out").labelled == ["y-a"]
    path = written.coco(tmp_path / "labels")
    with pytest.raises(DataError, match=r"may be any of x/a\.png, y/a\.png"):
        convert(folder, path, tmp_path / "out")


@pytest.mark.parametrize("form", ["masks", "labelme", "yolo"])
def test_equal_names_are_told_apart_by_the_folder_of_the_annotation(
    tmp_path: Path, form: str
) -> None:
    for name in ("x", "y"):
        photos(tmp_path / "photos" / name, "a.png")
    write = {"masks": written.masks, "labelme": written.labelme, "yolo": written.yolo}[form]
    write(tmp_path / "labels/y")
    if form == "labelme":
        written.labelme(tmp_path / "labels/y", imagePath="a.png")
    if form == "yolo":
        (tmp_path / "labels/y/labels/a.txt").rename(tmp_path / "labels/y/a.txt")
    found = convert(tmp_path / "photos", tmp_path / "labels", tmp_path / "out")
    assert found.labelled == ["y-a"]
    assert found.classes == ["background", "road", "car"]


def test_pictures_without_annotations_make_a_dataset_without_labels(tmp_path: Path) -> None:
    found = convert(photos(tmp_path / "photos", "a.png", "b.jpg"), None, tmp_path / "out")
    assert (found.format, found.classes, found.unlabelled) == ("", [], ["a", "b"])
    with_splits(tmp_path / "out", {"query": found.unlabelled})
    images = list(readers.read("folder", tmp_path / "out").images)
    assert [i.mask for i in images] == [None, None]


def test_a_dataset_is_replaced_as_a_whole(tmp_path: Path) -> None:
    converted(tmp_path, written.coco(tmp_path / "labels"))
    before = sorted(p.name for p in (tmp_path / "out").rglob("*"))
    with pytest.raises(DataError):
        converted(tmp_path, written.text(tmp_path / "broken.json", "{"))
    assert sorted(p.name for p in (tmp_path / "out").rglob("*")) == before


def test_pictures_are_links_and_no_copies(tmp_path: Path) -> None:
    converted(tmp_path, written.coco(tmp_path / "labels"))
    assert (tmp_path / "out/images/a.png").samefile(tmp_path / "photos/a.png")
