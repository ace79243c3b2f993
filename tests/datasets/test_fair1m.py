"""FAIR1M: oriented boxes, fine and coarse classes, the parts of the release."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from patchlens.datasets import fair1m, readers
from patchlens.datasets.catalogue import find
from patchlens.datasets.fair1m import COARSE, FINE
from patchlens.datasets.index import Index
from patchlens.errors import DataError, SourceError

read = partial(readers.read, "fair1m")
CLASSES = tuple(find("fair1m").classes)

DIAMOND = ["4,1", "6,3", "4,5", "2,3"]
Write = Callable[..., Path]


def described(*objects: tuple[str, list[str]]) -> str:
    """An annotation as the release writes it."""
    items = "".join(
        f"""<object><coordinate>pixel</coordinate><type>rectangle</type><description>None
        </description><possibleresult><name>{name}</name></possibleresult><points>
        {"".join(f"<point>{point}</point>" for point in points)}</points></object>"""
        for name, points in objects
    )
    return (
        '<?xml version="1.0" encoding="utf-8"?><annotation><source><filename>0.tif</filename>'
        f"</source><objects>{items}</objects></annotation>"
    )


@pytest.fixture
def part(tmp_path: Path) -> Write:
    """`part("validation", xml)`: image 0 of a part and its annotation."""

    def write(name: str, xml: str | None, labels: str = "labelXml") -> Path:
        root = tmp_path / "fair1m"
        (root / name / "images").mkdir(parents=True)
        Image.fromarray(np.zeros((6, 8, 3), np.uint8)).save(root / name / "images/0.tif")
        if xml is not None:
            (root / name / labels).mkdir()
            (root / name / labels / "0.xml").write_text(xml, encoding="utf-8")
        return root

    return write


def complaint(root: Path, kind: type[Exception] = DataError) -> str:
    with pytest.raises(kind) as caught:
        list(read(root).images)
    return str(caught.value)


def test_an_oriented_box_keeps_its_corners_and_has_a_box_around_them(part: Write) -> None:
    root = part("validation", described(("Boeing737", [*DIAMOND, DIAMOND[0]])))
    [image] = read(root).images
    [plane] = image.objects
    assert plane.polygon == (4, 1, 6, 3, 4, 5, 2, 3)
    assert plane.box == (2, 1, 6, 5)
    assert (CLASSES[plane.class_id], plane.fine_class) == ("Airplane", "Boeing737")
    assert plane.evaluated


def test_a_large_picture_is_cut_into_squares_with_an_object(
    part: Write, indexed_whole: Callable[..., Index]
) -> None:
    """The picture has 8×6 pixels, its squares 4×4."""
    boxes = {"A220": ["0,0", "2,0", "2,2", "0,2"], "A330": ["3,4", "6,4", "6,6", "3,6"]}
    root = part("validation", described(*boxes.items()))
    pixels = np.arange(6 * 8 * 3, dtype=np.uint8).reshape(6, 8, 3)
    Image.fromarray(pixels).save(root / "validation/images/0.tif")
    facts = find("fair1m")
    [whole] = fair1m.read(root, facts, tile=8).images
    assert (whole.window, whole.sequence, len(whole.objects)) == (None, None, 2)
    first, second = fair1m.read(root, facts, tile=4).images
    assert (first.window, first.objects[0].box) == ((0, 0, 4, 4), (0, 0, 2, 2))
    # Its centre is (4.5, 5): in the last square, which is moved up, and ends it at the left.
    assert second.image_id == "validation/0_1_1"
    assert (second.window, second.objects[0].box) == ((4, 2, 8, 6), (0, 2, 2, 4))
    assert second.objects[0].polygon == (-1, 2, 2, 2, 2, 4, -1, 4)
    assert first.sequence == second.sequence == "validation/0"
    index = indexed_whole(fair1m.read(root, facts, tile=4), root)
    np.testing.assert_array_equal(np.asarray(index.image(second.image_id)), pixels[2:6, 4:8])
    assert index.images.loc[second.image_id, ["height", "width"]].tolist() == [4, 4]
    assert index.content(first.image_id) != index.content(second.image_id)
    assert index.copies == []  # of one file, but not the same part of it


def test_images_of_test_are_all_squares(part: Write) -> None:
    images = list(fair1m.read(part("test", None), find("fair1m"), tile=4).images)
    assert [image.window for image in images] == [
        *((0, 0, 4, 4), (4, 0, 8, 4), (0, 2, 4, 6), (4, 2, 8, 6))
    ]


def test_37_fine_classes_in_5_coarse_ones() -> None:
    assert CLASSES == ("Ship", "Vehicle", "Airplane", "Court", "Road")
    assert len(COARSE) == sum(len(names) for names in FINE.values()) == 37
    assert COARSE["Dry Cargo Ship"] == "Ship"
    assert COARSE["Truck Tractor"] == "Vehicle"
    assert COARSE["Bridge"] == "Road"


def test_parts_share_names_of_images_but_no_id(part: Write) -> None:
    part("train/part1", described(("Van", DIAMOND)))
    part("train/part2", described(("Bus", DIAMOND), ("Bus", DIAMOND)), labels="labelXmls")
    part("test", None)
    root = part("validation", described())
    images = list(read(root).images)
    assert [(i.image_id, i.split, len(i.objects)) for i in images] == [
        ("train/part1/0", "train", 1),
        ("train/part2/0", "train", 2),
        ("validation/0", "val", 0),
        ("test/0", "test", 0),
    ]
    assert len({o.instance for i in images for o in i.objects}) == 3
    assert images[1].path == "train/part2/images/0.tif"


@pytest.mark.parametrize(
    ("xml", "message"),
    [
        (
            '<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>',
            "declares a document type or entities, ",
        ),
        ("<annotation>", "is not valid XML (no element found: line 1, column 12)"),
        (described(("Boing737", DIAMOND)), "object 1: unknown class 'Boing737'; allowed: "),
        (described(("Van", DIAMOND), ("Van", DIAMOND[:3])), "object 2: does not have four corners"),
        (described(("Van", ["1,1", *DIAMOND])), "object 1: does not have four corners"),
        (described(("Van", ["1;1"] * 4)), "object 1: could not convert string to float: '1;1'"),
    ],
)
def test_a_malformed_annotation_is_named(part: Write, xml: str, message: str) -> None:
    root = part("validation", xml)
    assert complaint(root).startswith(f"{root}/validation/labelXml/0.xml: {message}")


def test_missing_annotations(part: Write) -> None:
    root = part("train/part1", None)
    message = complaint(root, SourceError)
    assert message.startswith(f"{root}/train/part1/labelXml: no such folder. Register at")
    (root / "train/part1/labelXml").mkdir()
    expected = f"{root}/train/part1/images/0.tif: no '0.xml' in {root}/train/part1/labelXml"
    assert complaint(root) == expected
    assert complaint(root / "train/part1", SourceError).startswith(
        f"{root}/train/part1: contains no"
    )


def test_the_index_keeps_the_corners(part: Write, indexed_whole: Callable[..., Index]) -> None:
    root = part("validation", described(("Van", DIAMOND)))
    objects = indexed_whole(read(root), root).objects
    assert list(objects.loc[0, "polygon"]) == [4, 1, 6, 3, 4, 5, 2, 3]
    assert objects.loc[0, ["x0", "y0", "x1", "y1"]].tolist() == [2, 1, 6, 5]
