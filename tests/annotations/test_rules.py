"""Polygons as pixels, overlaps and what is left out, against what each tool does itself."""

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image, ImageDraw
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO
from scipy.ndimage import binary_dilation

from annotations import written
from annotations.test_convert import converted, mask_of
from annotations.written import CAR, HEIGHT, ROAD, WIDTH, pairs, scene
from patchlens.annotations.pixels import polygon

STAR = [3.2, 12.7, 15.5, 10.1, 19.9, 1.3, 24.1, 10.6, 37.4, 12.2, 26.3, 17.8, 29.6, 28.9,
        20.2, 21.4, 9.1, 28.2, 13.7, 17.5]  # fmt: skip
BOW = [2.5, 2.5, 30.5, 25.5, 30.5, 2.5, 2.5, 25.5]  # crosses itself


def by_labelme(ring: list[float]) -> np.ndarray:
    """`labelme.utils.shape_to_mask`: Pillow fills, and draws the outline too."""
    image = Image.new("1", (WIDTH, HEIGHT))
    ImageDraw.Draw(image).polygon([tuple(p) for p in pairs(ring)], outline=1, fill=1)
    return np.asarray(image)


def by_ultralytics(ring: list[float]) -> np.ndarray:
    """`polygon2mask`: OpenCV fills between points that are cut to whole pixels."""
    mask = np.zeros((HEIGHT, WIDTH), dtype=np.uint8)
    cv2.fillPoly(mask, [np.asarray(ring).reshape(-1, 2).astype(np.int32)], color=1)
    return mask.astype(bool)


def by_coco(ring: list[float]) -> np.ndarray:
    """`COCO.annToMask`, and what CVAT exports masks with."""
    return coco_mask.decode(coco_mask.frPyObjects([ring], HEIGHT, WIDTH))[..., 0].astype(bool)


def edge(ring: list[float]) -> np.ndarray:
    """The pixels that an outline touches, and those beside them."""
    image = Image.new("1", (WIDTH, HEIGHT))
    ImageDraw.Draw(image).line([tuple(p) for p in pairs([*ring, *ring[:2]])], fill=1)
    return binary_dilation(np.asarray(image), np.ones((3, 3)))


@pytest.mark.parametrize("rule", [by_labelme, by_ultralytics, by_coco])
@pytest.mark.parametrize("ring", [STAR, BOW], ids=["star", "bow"])
def test_a_polygon_differs_from_each_tool_only_at_its_edge(rule: Any, ring: list[float]) -> None:
    _, draw = polygon("here", [ring])
    ours, theirs = draw((WIDTH, HEIGHT)), rule(ring)
    assert ours.sum() > 100
    assert not ((ours != theirs) & ~edge(ring)).any()
    if rule is by_coco:
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("name", ["COCO polygons", "COCO compressed RLE", "COCO RLE"])
def test_shapes_of_coco_have_the_pixels_that_its_own_reader_gives(
    tmp_path: Path, name: str
) -> None:
    path = written.SCENES[name][1](tmp_path / "labels")
    converted(tmp_path, path)
    theirs = COCO(str(path))
    car, road = (theirs.annToMask(theirs.anns[i]).astype(bool) for i in (1, 2))
    expected = np.where(car, 2, np.where(road, 1, 0))
    np.testing.assert_array_equal(mask_of(tmp_path), expected)


def ring_of(flat: list[float], label: str) -> dict[str, Any]:
    return {"label": label, "points": pairs(flat), "shape_type": "polygon"}


def test_the_last_shape_of_labelme_is_on_top(tmp_path: Path) -> None:
    shapes = [ring_of(CAR, "car"), ring_of(ROAD, "road")]
    converted(tmp_path, written.labelme(tmp_path / "labels", shapes=shapes))
    expected = scene()
    expected[15:] = 1
    np.testing.assert_array_equal(mask_of(tmp_path), expected)


def test_the_z_order_of_cvat_decides_and_not_the_place_in_the_file(tmp_path: Path) -> None:
    converted(tmp_path, written.cvat(tmp_path / "labels", road_z=2))
    expected = scene()
    expected[15:] = 1
    np.testing.assert_array_equal(mask_of(tmp_path), expected)


def test_a_box_without_an_outline_is_an_object_and_ignored_in_the_mask(tmp_path: Path) -> None:
    shapes = [ring_of(ROAD, "road"), {"label": "car", "points": [[10, 10], [20, 20]],
                                      "shape_type": "rectangle"}]  # fmt: skip
    found = converted(tmp_path, written.labelme(tmp_path / "labels", shapes=shapes))
    expected = scene()
    expected[10:15, 10:20], expected[15:, 10:20] = 255, 1
    np.testing.assert_array_equal(mask_of(tmp_path), expected)
    assert found.boxes == 2
    assert "boxes without an outline: 1" in found.notes[0]


def test_boxes_alone_make_objects_and_no_masks(tmp_path: Path) -> None:
    text = "1 0.375 0.5 0.25 0.333333\n"
    written.text(tmp_path / "labels/a.txt", text)
    written.text(tmp_path / "labels/classes.txt", "road\ncar\n")
    found = converted(tmp_path, tmp_path / "labels")
    assert (found.masks, found.boxes, found.classes) == (0, 1, ["car"])
    assert not (tmp_path / "out/masks").exists()


@pytest.mark.parametrize("flag", ["iscrowd", "ignore"])
def test_crowds_and_ignored_objects_are_kept_and_not_evaluated(tmp_path: Path, flag: str) -> None:
    path = written.coco_compressed(tmp_path / "labels")
    content = json.loads(path.read_text(encoding="utf-8"))
    content["annotations"][0][flag] = 1
    found = converted(tmp_path, written.text(path, content))
    objects = json.loads((tmp_path / "out/objects.json").read_text(encoding="utf-8"))
    assert sorted(o["ignore"] for o in objects["annotations"]) == [0, 1]
    assert found.boxes == 1
    np.testing.assert_array_equal(mask_of(tmp_path), scene())


def test_what_is_difficult_in_voc_is_not_evaluated(tmp_path: Path) -> None:
    folder = written.voc(tmp_path / "labels")
    path = folder / "Annotations/a.xml"
    text = path.read_text(encoding="utf-8").replace("<difficult>0", "<difficult>1")
    path.write_text(text, encoding="utf-8")
    assert converted(tmp_path, folder).boxes == 0


@pytest.mark.parametrize("colours", [False, True])
def test_objects_of_voc_without_xml_are_those_of_their_mask(tmp_path: Path, colours: bool) -> None:
    folder = written.voc(tmp_path / "labels")
    (folder / "Annotations/a.xml").unlink()
    objects = np.where(scene() == 2, 2, 0).astype(np.uint8)
    objects[20:25, 0:5], objects[20:25, 30:40] = 1, 5  # two parts of the road
    colour = np.stack([60 * objects, 0 * objects, 20 * objects], axis=2).astype(np.uint8)
    (folder / "SegmentationObject").mkdir()
    path = folder / "SegmentationObject/a.png"
    Image.fromarray(colour if colours else objects).save(path)
    found = converted(tmp_path, folder)
    assert (found.masks, found.boxes) == (1, 3)
    written_objects = json.loads((tmp_path / "out/objects.json").read_text(encoding="utf-8"))
    names = {c["id"]: c["name"] for c in written_objects["categories"]}
    boxes = {tuple(o["bbox"]): names[o["category_id"]] for o in written_objects["annotations"]}
    expected = {(10, 10, 10, 10): "car", (0, 20, 5, 5): "road", (30, 20, 10, 5): "road"}
    assert boxes == expected
    np.testing.assert_array_equal(mask_of(tmp_path), scene())


def test_a_picture_without_a_shape_is_unlabelled_and_said_so(tmp_path: Path) -> None:
    path = written.coco(tmp_path / "labels")
    content = json.loads(path.read_text(encoding="utf-8"))
    content["images"].append({"id": 6, "file_name": "b.png"})
    found = converted(tmp_path, written.text(path, content))
    assert found.unlabelled == ["b"]
    assert "without a shape, and taken as unlabelled: 1 (b)" in found.notes[-1]


def test_shapes_without_area_are_counted_and_left_out(tmp_path: Path) -> None:
    line = '<polyline label="car" points="1,1;2,2" z_order="0"/>'
    car = f'<polygon label="car" points="{written.joined(CAR)}" z_order="1"/>'
    found = converted(tmp_path, written.cvat(tmp_path / "labels", car + line))
    assert found.notes == ["shapes left out, with no area: 1 × polyline"]
    np.testing.assert_array_equal(mask_of(tmp_path), scene())


def test_rotated_boxes_are_the_boxes_around_them(tmp_path: Path) -> None:
    box = '<box label="car" xtl="10" ytl="14" xbr="20" ybr="16" rotation="90" z_order="1"/>'
    converted(tmp_path, written.cvat(tmp_path / "labels", box))
    objects = json.loads((tmp_path / "out/objects.json").read_text(encoding="utf-8"))
    found = {o["category_id"]: o["bbox"] for o in objects["annotations"]}
    assert [14, 10, 2, 10] in [pytest.approx(b) for b in found.values()]


def test_names_of_classes_may_mean_background_and_ignored(tmp_path: Path) -> None:
    folder = written.masks(tmp_path / "labels")
    written.text(folder / "classes.txt", "0 _background_\n1 road\n2 Unlabelled (void)\n")
    found = converted(tmp_path, folder)
    assert found.classes == ["background", "road"]
    expected = scene()
    expected[expected == 2] = 255
    np.testing.assert_array_equal(mask_of(tmp_path), expected)


def test_shapes_may_be_ignored_or_background_by_their_names(tmp_path: Path) -> None:
    shapes = [
        ring_of(ROAD, "road"),
        ring_of(CAR, "__ignore__"),
        ring_of([0, 0, 9, 0, 9, 9], "_background_"),
    ]
    found = converted(tmp_path, written.labelme(tmp_path / "labels", shapes=shapes))
    assert (found.classes, found.boxes) == (["background", "road"], 1)
    expected = scene()
    expected[expected == 2] = 255
    np.testing.assert_array_equal(mask_of(tmp_path), expected)


def test_values_and_colours_without_names_are_classes_and_said_so(tmp_path: Path) -> None:
    folder = written.masks_colour(tmp_path / "labels")
    (folder / "labelmap.txt").unlink()
    found = converted(tmp_path, folder)
    assert found.classes == ["background", "#00008e", "#804080"]
    assert "no names of classes" in found.notes[0]
