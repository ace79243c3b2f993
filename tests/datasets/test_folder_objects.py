"""The user's own objects: json in COCO's style, instance masks."""

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from patchlens.datasets import readers
from patchlens.datasets.index import Index
from patchlens.errors import DataError, SourceError

UNDRAWN = "; draw it, or take the image out of splits"

read = partial(readers.read, "folder")

COCO = {
    "info": {"year": 2026},
    "images": [{"id": 10, "file_name": "a.png", "width": 8}, {"id": 11, "file_name": "b.jpg"}],
    "categories": [{"id": 3, "name": "car", "supercategory": "vehicle"}],
    "annotations": [
        {"id": 1, "image_id": 10, "category_id": 3, "bbox": [0.5, 1, 3, 4], "area": 12},
        {"id": 2, "image_id": 11, "category_id": 3, "bbox": [1, 1, 2, 2], "iscrowd": 1},
        {"id": 3, "image_id": 11, "category_id": 3, "bbox": [0, 0, 1, 1], "instance": 7,
         "fine_class": "van"},
    ],
}  # fmt: skip
Change = Callable[..., Path]


@pytest.fixture
def boxes(own: Path) -> Change:
    """`boxes(images=[...])`: `own` without masks, with COCO under changed keys."""

    def write(**changes: Any) -> Path:
        describe(own, objects="boxes.json")
        if (own / "masks").is_dir():
            (own / "masks").rename(own / "unused")
        (own / "boxes.json").write_text(json.dumps(COCO | changes), encoding="utf-8")
        return own

    return write


@pytest.fixture
def instances(own: Path, mask: Callable[..., None]) -> Change:
    """`instances(how, a=ids)`: `own` with instance masks, all 0 where no ids are given."""

    def write(how: str | None, **ids: Any) -> Path:
        describe(own, instances=how)
        for stem in "abcde":
            mask(own / "instances" / f"{stem}.png", ids.get(stem, 0))
        return own

    return write


def describe(root: Path, **keys: Any) -> None:
    path = root / "dataset.yaml"
    content = yaml.safe_load(path.read_text()) | keys
    path.write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")


def complaint(root: Path, kind: type[Exception] = DataError) -> str:
    with pytest.raises(kind) as caught:
        read(root)
    return str(caught.value)


def patch(x: int, value: int = 5) -> Any:
    """A mask with one object of four pixels, in column x and x + 1 of rows 1 and 2."""
    ids = np.zeros((6, 8), np.uint16)
    ids[1:3, x : x + 2] = value
    return ids


def test_boxes_of_a_json(boxes: Change) -> None:
    images = {i.image_id: i for i in read(boxes()).images}
    found = [
        (o.instance, o.class_id, o.fine_class, o.box, o.evaluated)
        for i in images.values()
        for o in i.objects
    ]
    assert found == [
        ("a/1", 1, "", (0.5, 1, 3.5, 5), True),
        ("b/2", 1, "", (1, 1, 3, 3), False),
        ("7", 1, "van", (0, 0, 1, 1), True),
    ]
    assert images["c"].objects == ()
    assert all(i.mask is None for i in images.values())


def test_masks_may_be_there_beside_the_boxes_and_are_then_complete(own: Path) -> None:
    (own / "boxes.json").write_text(json.dumps(COCO), encoding="utf-8")
    describe(own, objects="boxes.json")
    assert {i.mask for i in read(own).images} == {f"masks/{s}.png" for s in "abcde"}
    (own / "masks/d.png").unlink()
    assert complaint(own) == f"{own}/images/d.jpg: no mask 'd.*' in masks/{UNDRAWN}"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"images": [{"id": 10, "file_name": "a.jpg"}]},
            "image 10: images/ has no 'a.jpg'; allowed: a.png, b.jpg, c.png, d.jpg, e.png; "
            "did you mean 'd.jpg'?",
        ),
        ({"images": COCO["images"] * 2}, "image id 10 occurs twice"),
        ({"categories": COCO["categories"] * 2}, "category id 3 occurs twice"),
        ({"annotations": COCO["annotations"] * 2}, "annotation id 1 occurs twice"),
        (
            {"categories": [*COCO["categories"], COCO["categories"][0] | {"id": 99}]},
            f"category name {COCO['categories'][0]['name']} occurs twice",
        ),
        (
            {"categories": [{"id": 3, "name": "cars"}]},
            "category 3: 'cars' is not in classes; allowed: car, road; did you mean 'car'?",
        ),
        ({"categories": []}, "annotation 1: category_id 3 is not in categories"),
        ({"images": COCO["images"][1:]}, "annotation 1: image_id 10 is not in images"),
        ({"annotations": {}}, "annotations: Input should be a valid list"),
        (
            {"annotations": [COCO["annotations"][0] | {"bbox": [1, 2, 3]}]},
            "annotations.0.bbox: List should have at least 4 items after validation, not 3; write "
            "x, y, width, height in pixels: polygons and turned boxes are not read",
        ),
        (
            {"annotations": [COCO["annotations"][0] | {"bbox": [1, 2, -1, 3]}]},
            "annotation 1: a box is -1 wide and 3 high; corners and sizes may be confused",
        ),
        (
            {"annotations": [COCO["annotations"][0] | {"bbox": [1, 2, float("nan"), 3]}]},
            "annotation 1: the corners of a box are not finite numbers: 1.0, 2.0, nan, 5.0",
        ),
    ],
)
def test_a_json_that_does_not_fit(boxes: Change, changes: dict[str, Any], message: str) -> None:
    root = boxes(**changes)
    assert complaint(root) == f"{root}/boxes.json: {message}"


def test_a_json_that_is_none(boxes: Change) -> None:
    root = boxes()
    (root / "boxes.json").write_text("{")
    assert complaint(root).startswith(f"{root}/boxes.json: is not valid JSON (")
    (root / "boxes.json").write_text("[]")
    assert complaint(root).startswith(f"{root}/boxes.json: (whole file): Input should be")
    (root / "boxes.json").unlink()
    assert complaint(root, SourceError) == f"{root}/boxes.json: no such file"


def test_instances_of_a_table(instances: Change, indexed: Callable[..., Index]) -> None:
    root = instances("things.csv", a=patch(4, 300), d=patch(0, 300))
    (root / "things.csv").write_text("instance,class,fine_class\n300,car,van\n9,road,\n")
    layout = read(root)
    assert layout.instances == {300: (1, "van"), 9: (0, "")}
    objects = indexed(layout, root).objects
    assert objects[["image_id", "instance", "class_id", "fine_class"]].to_numpy().tolist() == [
        ["a", 300, 1, "van"],
        ["d", 300, 1, "van"],
    ]
    assert objects.loc[0, ["x0", "y0", "x1", "y1"]].tolist() == [4, 1, 6, 3]


def test_without_masks_a_table_is_enough(instances: Change) -> None:
    root = instances("things.csv", a=patch(4))
    (root / "masks").rename(root / "unused")
    (root / "things.csv").write_text("instance,class\n5,car\n")
    first = next(iter(read(root).images))
    assert (first.mask, first.instances) == (None, "instances/a.png")


def test_the_class_of_most_pixels(instances: Change) -> None:
    # In `own`, the masks of a, b, d are car from column 4 on, and road left of it.
    ids = patch(3)
    ids[1, 5] = 5  # two pixels of road, three of car
    root = instances("majority", a=ids, b=patch(4), c=patch(0, 9))
    assert read(root).instances == {5: (1, ""), 9: (0, "")}


def test_ignored_pixels_have_no_say(instances: Change) -> None:
    ids = np.zeros((6, 8), np.uint8)
    ids[0, :] = 5  # row 0 of the masks is 255
    ids[1, 7] = 5
    assert read(instances("majority", a=ids)).instances == {5: (1, "")}
    ids[1, 7] = 0
    root = instances("majority", a=ids)
    expected = f"{root}/instances/a.png: instance 5 has no labelled pixel in masks/"
    assert complaint(root) == expected


def test_a_number_that_is_two_things(instances: Change) -> None:
    root = instances("majority", a=patch(4), b=patch(0))
    assert complaint(root) == (
        f"{root}/instances/b.png: instance 5 is mostly 'road' here and mostly 'car' in "
        f"{root}/instances/a.png; a number must mean one object in all images, "
        "or write instance_scope: image in dataset.yaml"
    )


def test_majority_needs_masks(instances: Change) -> None:
    root = instances("majority", a=patch(4))
    (root / "masks").rename(root / "unused")
    assert complaint(root) == (
        f"{root}/instances/a.png: its image has no mask in masks/, which defines the class"
    )


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ("id,class\n5,car\n", ": has no column 'instance'"),
        ("instance\n5\n", ": has no column 'class'"),
        ("instance,class\n0,car\n", ", line 2: instance '0' is not an integer above 0"),
        ("instance,class\nx,car\n", ", line 2: instance 'x' is not an integer above 0"),
        ("instance,class\n5,car\n5,car\n", ", line 3: instance 5 occurs twice"),
        ("instance,class\n5,cat\n", ", line 2: 'cat' is not in classes; allowed: car, road; did"),
        ("instance,class\n5\n", ", line 2: '' is not in classes"),
    ],
)
def test_a_table_that_does_not_fit(instances: Change, table: str, message: str) -> None:
    root = instances("things.csv", a=patch(4))
    (root / "things.csv").write_text(table)
    assert complaint(root).startswith(f"{root}/things.csv{message}")


def test_missing_instance_masks(instances: Change, tmp_path: Path) -> None:
    root = instances("things.csv")
    assert complaint(root, SourceError) == f"{root}/things.csv: no such file"
    (root / "instances/b.png").unlink()
    assert complaint(root) == f"{root}/images/b.jpg: no instance mask 'b.*' in instances/{UNDRAWN}"
    (root / "instances").rename(tmp_path / "elsewhere")
    assert complaint(root, SourceError) == f"{root}/instances: no such folder"


def test_objects_and_instances_exclude_each_other(own: Path) -> None:
    describe(own, objects="boxes.json", instances="majority")
    expected = f"{own}/dataset.yaml: objects and instances both define the objects; keep one"
    assert complaint(own) == expected
