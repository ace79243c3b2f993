"""MOT15, MOT16, MOT17: miniatures in the official layout, and real frames of MOT17."""

import shutil
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from patchlens.datasets import readers
from patchlens.datasets.catalogue import find
from patchlens.datasets.index import Index
from patchlens.datasets.layout import Layout
from patchlens.errors import DataError, SourceError

CLASSES = find("mot17").classes
Write = Callable[..., Path]
read_mot15, read_mot16, read_mot17 = (
    partial(readers.read, kind) for kind in ("mot15", "mot16", "mot17")
)
LINES = (
    "3,1,11,21,30,40,1,1,0.9\n"  # frame 3 before frame 1: files are sorted by track
    "1,1,10,20,30,40,1,1,1\n"
    "1,2,50,60,7,8,1,7,1\n"  # static person
    "1,3,50,60,7,8,0,1,0\n"  # a pedestrian that is flagged 0
    "1,4,50,60,7,8,0,13,0\n"  # crowd
)


@pytest.fixture
def sequence(tmp_path: Path, picture: Callable[..., None]) -> Write:
    """`sequence("train/MOT17-02-DPM", gt=LINES)`: three frames of a sequence."""

    def write(name: str, gt: str | None = LINES, count: int = 3, length: int | None = 3) -> Path:
        folder = tmp_path / "MOT" / name
        for frame in range(1, count + 1):
            picture(folder / "img1" / f"{frame:06d}.jpg")
        if gt is not None:
            (folder / "gt").mkdir(parents=True, exist_ok=True)
            (folder / "gt" / "gt.txt").write_text(gt, encoding="utf-8")
        if length is not None:
            info = f"[Sequence]\nname={folder.name}\nimDir=img1\nframeRate=30\n"
            info += f"seqLength={length}\nimWidth=8\nimHeight=6\nimExt=.jpg\n\n"
            (folder / "seqinfo.ini").write_text(info, encoding="utf-8")
        return tmp_path / "MOT"

    return write


def complaint(read: Callable[[Path], Layout], root: Path, kind: type = DataError) -> str:
    with pytest.raises(kind) as caught:
        list(read(root).images)
    return str(caught.value)


def test_only_flagged_pedestrians_are_evaluated(sequence: Write) -> None:
    first = next(iter(read_mot17(sequence("train/MOT17-02-DPM")).images))
    named = [(o.instance, CLASSES[o.class_id], o.evaluated) for o in first.objects]
    assert named == [
        ("MOT17-02/1", "pedestrian", True),
        ("MOT17-02/2", "static_person", False),
        ("MOT17-02/3", "pedestrian", False),
        ("MOT17-02/4", "crowd", False),
    ]
    assert first.objects[0].box == (9, 19, 39, 59)
    assert first.objects[0].track == 1


def test_frames_are_in_order_and_one_without_objects_is_an_image_too(sequence: Write) -> None:
    images = list(read_mot16(sequence("train/MOT16-02")).images)
    assert [(i.image_id, i.frame, len(i.objects)) for i in images] == [
        ("MOT16-02/000001", 1, 4),
        ("MOT16-02/000002", 2, 0),
        ("MOT16-02/000003", 3, 1),
    ]
    assert {(i.split, i.sequence) for i in images} == {("train", "MOT16-02")}
    assert images[1].path == "train/MOT16-02/img1/000002.jpg"


def test_detector_copies_are_one_sequence(sequence: Write) -> None:
    for detector in ("SDP", "DPM", "FRCNN"):
        sequence(f"train/MOT17-04-{detector}")
    root = sequence("test/MOT17-01-SDP", gt=None)
    images = list(read_mot17(root).images)
    assert Counter((i.split, i.sequence) for i in images) == {
        ("train", "MOT17-04"): 3,
        ("test", "MOT17-01"): 3,
    }
    assert images[0].path == "train/MOT17-04-DPM/img1/000001.jpg"


def test_copies_whose_ground_truth_differs_only_in_its_order_are_equal(sequence: Write) -> None:
    sequence("train/MOT17-04-DPM")
    root = sequence("train/MOT17-04-SDP", gt="\r\n".join(reversed(LINES.splitlines())))
    assert len(list(read_mot17(root).images)) == 3


def test_copies_that_swap_boxes_are_an_error(sequence: Write) -> None:
    sequence("train/MOT17-04-DPM", gt="1,1, 5,5,5,5,1,1,1\n1,2, 7,7,7,7,1,1,1\n")
    root = sequence("train/MOT17-04-SDP", gt="1,1, 7,7,7,7,1,1,1\n1,2, 5,5,5,5,1,1,1\n")
    assert complaint(read_mot17, root).endswith("gt.txt: differs from that of MOT17-04-DPM")


def test_copies_with_other_boxes_are_an_error(sequence: Write) -> None:
    sequence("train/MOT17-04-DPM")
    root = sequence("train/MOT17-04-SDP", gt=LINES.replace("0.9", "0.8"))
    expected = f"{root}/train/MOT17-04-SDP/gt/gt.txt: differs from that of MOT17-04-DPM"
    assert complaint(read_mot17, root) == expected


def test_the_test_split_has_no_ground_truth(sequence: Write) -> None:
    images = list(read_mot17(sequence("test/MOT17-01-DPM", gt=None)).images)
    assert [(i.split, i.objects) for i in images] == [("test", ())] * 3


def test_train_without_ground_truth_is_an_error(sequence: Write) -> None:
    root = sequence("train/MOT16-02", gt=None)
    expected = f"{root}/train/MOT16-02/gt/gt.txt: no such file"
    assert complaint(read_mot16, root, SourceError) == expected


def test_mot15_has_no_classes_and_may_lack_seqinfo(sequence: Write) -> None:
    gt = "1,1,10,20,30,40,1,-1,-1,-1\n2,1,10,20,30,40,0,-1,-1,-1\n"
    layout = read_mot15(sequence("train/ETH-Bahnhof", gt=gt, length=None))
    images = list(layout.images)
    assert layout.classes == ("pedestrian",)
    assert [[(o.class_id, o.evaluated) for o in i.objects] for i in images] == [
        [(0, True)],
        [(0, False)],
        [],
    ]
    assert images[0].sequence == "ETH-Bahnhof"


def test_mot16_needs_seqinfo(sequence: Write) -> None:
    root = sequence("train/MOT16-02", length=None)
    message = complaint(read_mot16, root, SourceError)
    assert message.startswith(f"{root}/train/MOT16-02/seqinfo.ini: no such file")


@pytest.mark.parametrize(
    ("count", "length", "what"),
    [(3, 4, "frame 4 is missing"), (3, 2, "there are 3 frames"), (1, 3, "frame 2 is missing")],
)
def test_frames_must_be_those_of_seqinfo(
    sequence: Write, count: int, length: int, what: str
) -> None:
    root = sequence("train/MOT16-02", count=count, length=length)
    expected = f"{root}/train/MOT16-02/seqinfo.ini: seqLength is {length}, but {what}"
    assert complaint(read_mot16, root) == expected


@pytest.mark.parametrize(
    ("line", "what"),
    [
        ("4,1,5,5,5,5,1,1,1", "frame 4 has no image in MOT16-02"),
        ("0,1,5,5,5,5,1,1,1", "frame 0 has no image in MOT16-02"),
        ("1,1,5,5,5,5,1,14,1", "class 14; MOTChallenge 2016 (MOT16) has 1 to 13"),
        ("1,1,5,5,5,5,1,0,1", "class 0; MOTChallenge 2016 (MOT16) has 1 to 13"),
        ("1,1,5,5,5,5,1,-1,-1,-1", "class None; MOTChallenge 2016 (MOT16) has 1 to 13"),
    ],
)
def test_a_line_that_does_not_fit_is_named(sequence: Write, line: str, what: str) -> None:
    root = sequence("train/MOT16-02", gt=line + "\n")
    expected = f"{root}/train/MOT16-02/gt/gt.txt, line 1: {what}"
    assert complaint(read_mot16, root) == expected


def test_a_broken_seqinfo(sequence: Write) -> None:
    root = sequence("train/MOT16-02")
    path = root / "train/MOT16-02/seqinfo.ini"
    path.write_text(path.read_text().replace("seqLength=3", "seqLength=three"))
    assert complaint(read_mot16, root).startswith(f"{path}: invalid literal")
    path.write_text("[Sequence]\nname=MOT16-02\n")
    end = "is wrong or missing; take the official file"
    assert complaint(read_mot16, root) == f"{path}: 'imDir' {end}"
    path.write_text("")
    assert complaint(read_mot16, root) == f"{path}: [Sequence] {end}"


def test_nothing_there_says_how_to_obtain_it(tmp_path: Path) -> None:
    assert complaint(read_mot17, tmp_path, SourceError) == (
        f"{tmp_path}: contains no train/*/img1 and no test/*/img1. Download MOT17.zip from "
        "https://motchallenge.net/data/MOT17/ and unpack it"
    )


def test_the_folder_of_the_archive_may_be_left_around_it(sequence: Write) -> None:
    root = sequence("train/MOT16-02").parent
    images = list(read_mot16(root).images)
    assert images[0].path == "MOT/train/MOT16-02/img1/000001.jpg"


def test_real_mot17(shared: Path) -> None:
    images = list(read_mot17(shared / "data" / "MOT17").images)
    assert Counter(i.sequence for i in images) == {
        "MOT17-02": 4,
        "MOT17-04": 8,
        "MOT17-09": 4,
        "MOT17-10": 5,
        "MOT17-13": 5,
    }
    objects = [o for i in images for o in i.objects]
    assert len(objects) == 156 + 792 + 52 + 125 + 181  # lines of the five gt.txt
    assert sum(o.class_id == 0 for o in objects) == 88 + 336 + 24 + 95 + 107
    assert all(o.class_id == 0 for o in objects if o.evaluated)
    # MOT17-02, frame 1: `1,4,1585,-1,336,578,0,9,…` ends with the image (1920 pixels).
    occluder = next(o for o in images[0].objects if o.track == 4)
    assert occluder.box == (1584, -2, 1920, 576)
    assert CLASSES[occluder.class_id] == "occluder"


def test_real_mot17_index(
    shared: Path, tmp_path: Path, indexed_whole: Callable[..., Index]
) -> None:
    root = tmp_path / "MOT17"
    shutil.copytree(shared / "data/MOT17/train/MOT17-09-FRCNN", root / "train/MOT17-09-FRCNN")
    index = indexed_whole(read_mot17(root), root)
    assert list(index.images["frame"]) == [1, 2, 3, 4]
    assert len(index.objects) == 52
    # One number a thing: 13 tracks in four frames.
    assert index.objects.groupby("image_id")["instance"].nunique().tolist() == [13] * 4
    assert index.objects["instance"].nunique() == 13
