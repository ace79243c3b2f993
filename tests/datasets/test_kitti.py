"""KITTI tracking: inclusive boxes, DontCare, what is evaluated, and two real frames."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from patchlens.datasets import readers
from patchlens.datasets.catalogue import find
from patchlens.datasets.index import Index
from patchlens.datasets.layout import ImageEntry
from patchlens.errors import DataError, SourceError

read = partial(readers.read, "kitti_tracking")
CLASSES = tuple(find("kitti_tracking").classes)

REST = "-1.9 {box} 1.5 1.8 4.9 2.9 1.5 6.3 -1.5"
Write = Callable[..., Path]


def line(start: str, box: str = "1 2 4 5") -> str:
    return f"{start} {REST.format(box=box)}\n"


@pytest.fixture
def sequence(tmp_path: Path, picture: Callable[..., None]) -> Write:
    """`sequence(labels)`: a root with frames 0, 1, 2 of training sequence 0001."""

    def write(labels: str | None, folder: str = "training") -> Path:
        root = tmp_path / "kitti"
        for frame in range(3):
            picture(root / folder / f"image_02/0001/{frame:06d}.png")
        if labels is not None:
            (root / folder / "label_02").mkdir(parents=True)
            (root / folder / "label_02/0001.txt").write_text(labels)
        return root

    return write


def images_of(root: Path) -> list[ImageEntry]:
    return list(read(root).images)


def test_the_last_pixel_of_a_box_belongs_to_it(sequence: Write) -> None:
    # A box that the image cuts ends at its last pixel: 7 of 8, 5 of 6.
    first, *_ = images_of(sequence(line("0 3 Car 0 0", "1.5 2 7 5")))
    [car] = first.objects
    assert car.box == (1.5, 2, 8, 6)
    assert (car.instance, car.track, CLASSES[car.class_id]) == ("train_0001/3", 3, "Car")


@pytest.mark.parametrize(
    ("start", "name", "evaluated"),
    [
        ("0 3 Car 0 0", "Car", True),
        ("0 3 Car 0 2", "Car", True),
        ("0 3 Car 0 3", "Car", False),
        ("0 3 Car 1 0", "Car", False),
        ("0 3 Pedestrian 0 0", "Pedestrian", True),
        ("0 3 Van 0 0", "Van", False),
        ("0 3 Person_sitting 0 0", "Person_sitting", False),
        ("0 3 Person 0 0", "Person_sitting", False),
        ("0 3 Cyclist 0 0", "Cyclist", False),
        ("0 -1 DontCare -1 -1", "DontCare", False),
        ("0 -1 Car 0 0", "Car", False),
    ],
)
def test_what_is_evaluated(sequence: Write, start: str, name: str, evaluated: bool) -> None:
    first, *_ = images_of(sequence(line(start)))
    assert [(CLASSES[o.class_id], o.evaluated) for o in first.objects] == [(name, evaluated)]


def test_regions_without_a_track_are_things_of_their_own(sequence: Write) -> None:
    first, *_ = images_of(sequence(line("0 -1 DontCare -1 -1") * 2))
    assert [o.track for o in first.objects] == [None, None]
    assert len({o.instance for o in first.objects}) == 2


def test_frames_are_0_based_and_a_frame_without_objects_is_an_image(sequence: Write) -> None:
    images = images_of(sequence(line("2 3 Car 0 0")))
    assert [(i.image_id, i.frame, len(i.objects)) for i in images] == [
        ("train_0001/000000", 0, 0),
        ("train_0001/000001", 1, 0),
        ("train_0001/000002", 2, 1),
    ]


def test_test_sequences_have_no_labels_and_share_no_id_with_training(sequence: Write) -> None:
    sequence(line("0 3 Car 0 0"))
    images = images_of(sequence(None, folder="testing"))
    assert [(i.split, i.sequence) for i in images[::3]] == [
        ("train", "train_0001"),
        ("test", "test_0001"),
    ]
    assert len({i.image_id for i in images}) == 6
    assert all(i.objects == () for i in images if i.split == "test")


def test_training_without_labels(sequence: Write) -> None:
    root = sequence(None)
    with pytest.raises(SourceError) as caught:
        images_of(root)
    start = f"{root}/training/label_02/0001.txt: no such file. Register at"
    assert str(caught.value).startswith(start)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("0 3 Car 0 0 1 2 3 4\n", "line 1: has 9 columns instead of 17"),
        (line("0 3 Cat 0 0"), "line 1: unknown type 'Cat'; allowed: "),
        (line("0 3 Car 0 0", "9 2 4 5"), "line 1: a box is -4 wide and 4 high"),
        (line("0 3 Car 0 0", "a 2 4 5"), "line 1: 'a' is not a number"),
        (line("0 3 Car 0 0") + line("3 3 Car 0 0"), "line 2: frame 3 has no image"),
        (line("0 3 Car 0 0") * 2, "line 2: track 3 is in frame 0 twice"),
    ],
)
def test_a_malformed_line_is_named(sequence: Write, text: str, message: str) -> None:
    root = sequence(text)
    with pytest.raises(DataError) as caught:
        images_of(root)
    assert str(caught.value).startswith(f"{root}/training/label_02/0001.txt, {message}")


def test_real_kitti(shared: Path) -> None:
    images = images_of(shared / "data" / "kitti_tracking")
    assert [(i.frame, i.sequence) for i in images] == [(0, "train_0001"), (1, "train_0001")]
    ignored = [o for o in images[0].objects if CLASSES[o.class_id] == "DontCare"]
    assert len(ignored) == 5
    assert not any(o.evaluated for o in ignored)
    # The image is 1242×375, and car 0 reaches its right and lower edge.
    car = next(o for o in images[0].objects if o.track == 0)
    assert car.box == pytest.approx((776.295323, 167.346734, 1242, 375))
    assert [o.evaluated for i in images for o in i.objects if o.track == 0] == [True, False]


def test_real_kitti_index(shared: Path, indexed_whole: Callable[..., Index]) -> None:
    root = shared / "data" / "kitti_tracking"
    index = indexed_whole(read(root), root)
    assert len(index.objects) == 25
    assert index.images["width"].tolist() == [1242, 1242]
