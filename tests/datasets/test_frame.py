"""Boxes in the frame of their image, and identity as the file says: one gate for all readers."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from PIL import Image

from patchlens.datasets import indexing, readers
from patchlens.datasets.boxes import Frame, check_size
from patchlens.datasets.layout import ImageEntry, ObjectEntry
from patchlens.errors import DataError
from patchlens.settings.datasets import Collected

SIZE = (96, 64)
PLACES = [(8, 8), (64, 8), (8, 40), (64, 40)]  # of boxes of 24×16, as x, y
RIGHT = [(x, y, x + 24, y + 16) for x, y in PLACES] * 3
Box = tuple[float, float, float, float]


def as_size(read: Callable[..., tuple[float, ...]]) -> list[Box]:
    """What a reader of x, y, width, height makes of the boxes, written in another way."""
    return [
        (x, y, x + w, y + h)
        for x, y, w, h in (read(*box) for box in RIGHT)  # type: ignore[misc]
    ]


def judged(boxes: list[Box], *, official: bool = False) -> str:
    frame = Frame()
    for number, start in enumerate(range(0, len(boxes), 4)):
        objects = tuple(
            ObjectEntry(f"{number}/{i}", 0, box) for i, box in enumerate(boxes[start : start + 4])
        )
        frame.add([(ImageEntry(str(number), "all", f"{number}.png", objects=objects), SIZE)])
    try:
        frame.check(Path("root"), official=official)
    except DataError as error:
        return str(error)
    return ""


WRONG = {
    "corners": (as_size(lambda x0, y0, x1, y1: (x0, y0, x1, y1)), "fit as x0, y0, x1, y1"),
    "centres": (
        as_size(lambda x0, y0, x1, y1: (x0 + 12, y0 + 8, 24, 16)),
        "fit as centre, width and height",
    ),
    "corners, two of three": (
        [(8, 8, 20, 18), (64, 40, 152, 96), (60, 30, 150, 90)],
        "fit as x0, y0, x1, y1",
    ),
    "corners for a centre": (
        [(x0 - x1 / 2, y0 - y1 / 2, x0 + x1 / 2, y0 + y1 / 2) for x0, y0, x1, y1 in RIGHT],
        "fit as corners, read as a centre and a size",
    ),
    "shares": (
        [(x0 / 96, y0 / 64, x1 / 96, y1 / 64) for x0, y0, x1, y1 in RIGHT],
        "are shares of the image (0 to 1)",
    ),
    "shares counted from 1": (
        [(x0 / 96 - 1, y0 / 64 - 1, x1 / 96 - 1, y1 / 64 - 1) for x0, y0, x1, y1 in RIGHT],
        "are shares of the image (0 to 1)",
    ),
    "shares as corners": (
        as_size(lambda x0, y0, x1, y1: (x0 / 96, y0 / 64, x1 / 96, y1 / 64)),
        "are shares of the image (0 to 1)",
    ),
    "y before x": (
        as_size(lambda x0, y0, x1, y1: (y0, x0, y1 - y0, x1 - x0)),
        "fit as y before x, or as drawn on a turned picture",
    ),
    "drawn on a turned picture": (
        [(64 - y1, x0, 64 - y0, x1) for x0, y0, x1, y1 in RIGHT],
        "fit as y before x, or as drawn on a turned picture",
    ),
    "twice as large": (
        [(2 * x0, 2 * y0, 2 * x1, 2 * y1) for x0, y0, x1, y1 in RIGHT],
        "may belong to pictures of another size",
    ),
    "a single share": ([(0.25, 0.25, 0.75, 0.5)], "are shares of the image (0 to 1)"),
    "a single corner": ([(64, 40, 152, 96)], "fit as x0, y0, x1, y1"),
}


@pytest.mark.parametrize(("boxes", "cause"), WRONG.values(), ids=WRONG)
def test_boxes_in_another_frame_are_refused_with_the_cause(boxes: list[Box], cause: str) -> None:
    message = judged(boxes)
    assert cause in message
    assert message.startswith("root: ")
    assert f" of {len(boxes)} boxes " in message
    assert "the image is 96×64" in message
    assert len(message.splitlines()) == 1


FINE = {
    "right": RIGHT,
    "one of two": [(8, 8, 32, 24), (64, 40, 152, 96)],
    "two strays": [*RIGHT, (90, 60, 190, 160), (-80, 0, 10, 10)],
    "whole images": [(0, 0, 96, 64)] * 12,
    "a pixel too large": [(-1, -1, 97, 65)] * 12,
    "cut by the border": [(-20, 10, 30, 40), (70, 10, 120, 40), (10, 40, 40, 80)] * 4,
    "one pixel": [(0, 0, 1, 1), (5, 5, 6, 6)],
    "none": [],
}


@pytest.mark.parametrize("boxes", FINE.values(), ids=FINE)
def test_honest_boxes_pass(boxes: list[Box]) -> None:
    assert judged(boxes) == ""


@pytest.mark.parametrize(
    ("scale", "warns"), [((100 / 960, 100 / 640), True), ((0.4, 0.4), True), ((1, 1), False)]
)
def test_boxes_that_keep_to_a_corner_are_a_loud_warning(
    scale: tuple[float, float], warns: bool, caplog: pytest.LogCaptureFixture
) -> None:
    (x, y), many = scale, 2 * RIGHT
    assert judged([(x0 * x, y0 * y, x1 * x, y1 * y) for x0, y0, x1, y1 in many]) == ""
    said = f"root: all {len(many)} boxes lie in the top left quarter of their images"
    assert (said in caplog.text) is warns


def test_boxes_that_leave_without_a_known_cause_are_a_warning(
    caplog: pytest.LogCaptureFixture,
) -> None:
    assert judged(FINE["cut by the border"]) == ""
    assert "root: 12 of 12 boxes leave their images, such as" in caplog.text
    caplog.clear()
    assert judged(FINE["cut by the border"], official=True) == ""
    for name in FINE.keys() - {"cut by the border"}:
        assert judged(FINE[name]) == ""
    assert caplog.text == ""


def test_official_boxes_outside_are_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    away = [*RIGHT, *[(-60.0, 0.0, 10.0, 10.0)] * 12]
    assert judged(away, official=True) == ""
    assert judged(WRONG["centres"][0], official=True) == ""
    assert "their numbers fit as centre, width and height" in caplog.text
    for name in ("corners", "shares"):  # no official file has them
        assert judged(WRONG[name][0], official=True) == judged(WRONG[name][0]) != ""
    assert "12 of 24 boxes lie mostly outside their images (at most 20% may)" in caplog.text
    assert "may belong to pictures of another size" in judged(away)


@pytest.mark.parametrize(
    ("stated", "cause"),
    [
        ((192, 128), "resized after labelling"),
        ((64, 96), "turned"),
        ((90, 90), "cropped or is another picture"),
    ],
)
def test_another_size_than_stated_names_both_and_the_cause(
    stated: tuple[int, int], cause: str
) -> None:
    entry = ImageEntry("a", "all", "a.png", drawn_on=stated, labels="o.json")
    with pytest.raises(DataError, match=cause) as caught:
        check_size(entry, SIZE, Path("root"))
    assert f"root/a.png: is 96×64, but o.json says {stated[0]}×{stated[1]}: " in str(caught.value)
    check_size(entry, stated, Path("root"))
    check_size(ImageEntry("a", "all", "a.png"), SIZE, Path("root"))


def save(path: Path, size: tuple[int, int] = SIZE) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, (9, 9, 9)).save(path)


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def coco(root: Path, boxes: list[Box], **about: Any) -> None:
    save(root / "images/a.png")
    listed = [
        {"id": i, "image_id": 1, "category_id": 1, "bbox": box} for i, box in enumerate(boxes)
    ]
    content = {
        "images": [{"id": 1, "file_name": "a.png"} | about],
        "categories": [{"id": 1, "name": "car"}],
        "annotations": listed,
    }
    write(root / "objects.json", json.dumps(content))
    write(root / "dataset.yaml", "classes: [car]\nobjects: objects.json\nsplits: {all: [a]}\n")


def tracks(root: Path, boxes: list[Box], **_: Any) -> None:
    save(root / "images/v/1.png")
    lines = [f"1,{i},{x},{y},{w},{h},1,1,1" for i, (x, y, w, h) in enumerate(boxes)]
    write(root / "tracks/v.txt", "\n".join(lines))
    about = "classes: [car]\nsequences: [v]\ntracks: {1: car}\nsplits: {all: [v]}\n"
    write(root / "dataset.yaml", about)


def mot16(root: Path, boxes: list[Box], width: int = 96, height: int = 64) -> None:
    here = root / "train/MOT16-02"
    save(here / "img1/000001.jpg")
    lines = [f"1,{i},{x},{y},{w},{h},1,1,1" for i, (x, y, w, h) in enumerate(boxes)]
    write(here / "gt/gt.txt", "\n".join(lines))
    size = f"imWidth={width}\nimHeight={height}\n"
    write(here / "seqinfo.ini", f"[Sequence]\nimDir=img1\nseqLength=1\n{size}")


def cub200(root: Path, boxes: list[Box], **_: Any) -> None:
    rows = range(1, len(boxes) + 1)
    for i in rows:
        save(root / f"images/1/{i}.jpg")
    write(root / "images.txt", "".join(f"{i} 1/{i}.jpg\n" for i in rows))
    write(root / "classes.txt", "1 crow\n")
    for name in ("image_class_labels", "train_test_split"):
        write(root / f"{name}.txt", "".join(f"{i} 1\n" for i in rows))
    shown = [f"{i} {x} {y} {w} {h}\n" for i, (x, y, w, h) in enumerate(boxes, 1)]
    write(root / "bounding_boxes.txt", "".join(shown))


MAKERS = {"coco": coco, "tracks": tracks, "mot16": mot16, "cub200": cub200}
KIND = {"coco": "folder", "tracks": "folder"}


def index(name: str, root: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The message with which the stage refuses a dataset, or ""."""
    monkeypatch.chdir(root.parent)
    settings = {
        "kind": KIND.get(name, name),
        "root": root.name,
        "view": {"mode": "whole", "grid": "paper", "pixels": [8, 8]},
        "support": None,
        "query": None,
    }
    try:
        indexing.run("own", Collected.model_validate(settings))  # type: ignore[arg-type]
    except DataError as error:
        return str(error)
    return ""


@pytest.mark.parametrize("name", MAKERS)
def test_every_reader_has_the_gate(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    right: list[Any] = [(x, y, 24, 16) for x, y in PLACES]
    MAKERS[name](tmp_path / "right", right)
    assert index(name, tmp_path / "right", monkeypatch) == ""
    MAKERS[name](tmp_path / "ends", [(x, y, x + 24, y + 16) for x, y in PLACES])
    assert "3 of 4 boxes leave their images" in index(name, tmp_path / "ends", monkeypatch)
    MAKERS[name](tmp_path / "unit", [(x / 96, y / 64, 0.25, 0.25) for x, y in PLACES])
    assert "4 of 4 boxes lie within the first pixels" in index(name, tmp_path / "unit", monkeypatch)
    MAKERS[name](tmp_path / "flat", [*right, (9, 9, 3, 0), (9, 9, 0, 3)])
    assert index(name, tmp_path / "flat", monkeypatch) == ""


@pytest.mark.parametrize("name", ["coco", "mot16"])
def test_every_stated_size_is_compared(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    MAKERS[name](tmp_path / "own", [(8, 8, 24, 16)], width=192, height=128)  # type: ignore[arg-type]
    assert "is 96×64, but" in (said := index(name, tmp_path / "own", monkeypatch))
    assert "says 192×128: it was resized" in said


# The json: what is evaluated, which image, which object.


def edited(root: Path, change: Callable[[dict[str, Any]], None]) -> list[ImageEntry]:
    coco(root, [(8, 8, 24, 16), (64, 8, 24, 16)])
    content = json.loads((root / "objects.json").read_text())
    change(content)
    write(root / "objects.json", json.dumps(content))
    return list(readers.read("folder", root).images)


@pytest.mark.parametrize(
    ("keys", "evaluated"),
    [
        ({"iscrowd": 1}, False),
        ({"ignore": 1}, False),
        ({"ignore": True}, False),
        ({"iscrowd": None, "ignore": None, "fine_class": None, "instance": None}, True),
        ({"iscrowd": 0, "ignore": 0, "attributes": []}, True),
        ({"segmentation": None, "area": None, "id": 5.0}, True),
    ],
)
def test_what_is_evaluated(keys: dict[str, Any], evaluated: bool, tmp_path: Path) -> None:
    [found] = edited(tmp_path, lambda c: c["annotations"][0].update(keys))
    assert [o.evaluated for o in found.objects] == [evaluated, True]


@pytest.mark.parametrize(
    ("prefix", "good"),
    [("images/", True), ("images\\", True), ("./", True), ("/home/me/images/", True),
     ("C:\\me\\", True), ("", True), ("x-", False)],
)  # fmt: skip
def test_folders_before_a_name(prefix: str, good: bool, tmp_path: Path) -> None:
    def change(content: dict[str, Any]) -> None:
        content["images"][0]["file_name"] = f"{prefix}a.png"

    if good:
        assert len(edited(tmp_path, change)[0].objects) == 2
    else:
        with pytest.raises(DataError, match=r"images/ has no 'x-a\.png'"):
            edited(tmp_path, change)


def test_names_in_two_folders_are_not_guessed(tmp_path: Path) -> None:
    save(tmp_path / "images/b.png")

    def change(content: dict[str, Any]) -> None:
        content["images"] = [
            {"id": 1, "file_name": "train/a.png"},
            {"id": 2, "file_name": "val/b.png"},
        ]

    with pytest.raises(DataError, match=r"'train/a\.png' and 'val/b\.png' are in different"):
        edited(tmp_path, change)


def test_an_image_under_two_ids_is_refused(tmp_path: Path) -> None:
    def change(content: dict[str, Any]) -> None:
        content["images"].append({"id": 2, "file_name": "images/a.png"})

    with pytest.raises(DataError, match=r"images 1 and 2 are both 'images/a\.png'; keep one"):
        edited(tmp_path, change)


def test_unused_categories_do_no_harm(tmp_path: Path) -> None:
    unused = {"id": 9, "name": "never used"}
    [found] = edited(tmp_path, lambda c: c["categories"].append(unused))
    assert len(found.objects) == 2


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"annotations": None}, "has no boxes; take the annotations of a labelled split"),
        ({"annotations": []}, "has no boxes; take"),
        ({"iscrowd": 1}, "none of its 2 boxes is evaluated"),
        ({"ignore": 1}, "none of its 2 boxes is evaluated"),
        ({"bbox": [1, 1, 0, 4]}, "none of its 2 boxes is evaluated"),
    ],
)
def test_a_json_without_a_box_to_measure_is_refused(
    change: dict[str, Any], message: str, tmp_path: Path
) -> None:
    def edit(content: dict[str, Any]) -> None:
        for record in [content] if "annotations" in change else content["annotations"]:
            record.update(change)

    with pytest.raises(DataError, match=rf"objects\.json: {message}"):
        edited(tmp_path, edit)


# Identity


def video(root: Path, key: str, value: Any, scope: str | None = None) -> list[ImageEntry]:
    for name in ("v/1", "v/2", "w/1", "still"):
        save(root / f"images/{name}.png")
    names = ["v/1.png", "v/2.png", "w/1.png"] + (["still.png"] if scope else [])
    outer, _, inner = key.partition(".")
    content = {
        "images": [{"id": i, "file_name": name} for i, name in enumerate(names)],
        "categories": [{"id": 1, "name": "car"}],
        "annotations": [
            {"id": i, "image_id": i, "category_id": 1, "bbox": [8, 8, 24, 16]}
            | {outer: {inner: value} if inner else value}
            for i in range(len(names))
        ],
    }
    write(root / "objects.json", json.dumps(content))
    about = {"classes": ["car"], "sequences": ["v", "w"], "objects": "objects.json"}
    about |= {"splits": {"all": ["v", "w", "still"]}} | ({"instance_scope": scope} if scope else {})
    write(root / "dataset.yaml", yaml.safe_dump(about))
    return list(readers.read("folder", root).images)


KEYS = ["track_id", "instance_id", "attributes.track_id", "attributes.instance_id"]


@pytest.mark.parametrize("key", KEYS)
def test_a_track_is_one_object_in_its_sequence(key: str, tmp_path: Path) -> None:
    found = [[(o.instance, o.track) for o in i.objects] for i in video(tmp_path, key, 7)]
    assert found == [[("v/7", 7)], [("v/7", 7)], [("w/7", 7)], []]


@pytest.mark.parametrize(
    ("scope", "names"),
    [("dataset", ["7"] * 4), ("image", ["v/1/7", "v/2/7", "w/1/7", "still/7"])],
)
def test_the_scope_of_a_number_is_as_stated(scope: str, names: list[str], tmp_path: Path) -> None:
    found = video(tmp_path, "track_id", 7, scope)
    assert [o.instance for i in found for o in i.objects] == names


@pytest.mark.parametrize("key", KEYS)
def test_a_number_below_zero_is_no_object(key: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"has the number -1 of an object; objects without one"):
        video(tmp_path, key, -1)


def test_a_number_without_a_scope_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="image is in no sequence; write instance_scope: dataset"):
        edited(tmp_path, lambda c: c["annotations"][0].update(track_id=3))


def test_a_name_goes_before_a_number(tmp_path: Path) -> None:
    [found] = edited(tmp_path, lambda c: c["annotations"][0].update(instance="mug", track_id=3))
    assert found.objects[0].instance == "mug"


def numbered(root: Path, values: list[list[int]], **keys: Any) -> Any:
    for position, row in enumerate(values):
        ids = np.zeros((6, 8), np.uint8)
        for column, value in enumerate(row):
            ids[:, 2 * column] = value
        for folder, content in (("instances", ids), ("masks", (ids > 0).astype(np.uint8))):
            (root / folder).mkdir(parents=True, exist_ok=True)
            Image.fromarray(content).save(root / folder / f"{position}.png")
        save(root / f"images/{position}.png", (8, 6))
    names = [str(position) for position in range(len(values))]
    about = {"classes": ["no", "cell"], "instances": "majority", "splits": {"all": names}} | keys
    write(root / "dataset.yaml", yaml.safe_dump(about))
    return readers.read("folder", root)


@pytest.mark.parametrize("values", [[[1], [1]], [[1, 2, 3], [1, 2], [1]], [[1, 2], [], [1, 5]]])
def test_numbers_that_begin_at_1_everywhere_need_a_scope(
    values: list[list[int]], tmp_path: Path
) -> None:
    with pytest.raises(DataError, match=r"instance 1 is in every image; write in dataset\.yaml"):
        numbered(tmp_path / "open", values)
    for scope in ("dataset", "image"):
        layout = numbered(tmp_path / scope, values, instance_scope=scope)
        assert layout.instance_scope == scope


def test_numbers_of_the_dataset_need_no_scope(tmp_path: Path) -> None:
    assert numbered(tmp_path, [[1, 2], [3]]).instances == {1: (1, ""), 2: (1, ""), 3: (1, "")}


def test_a_scope_of_sequences_needs_sequences(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"is in no sequence, but dataset\.yaml has instance_scope"):
        numbered(tmp_path, [[1]], instance_scope="sequence")


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"instance_scope": "video"}, "instance_scope: 'video' is unknown; allowed: dataset, "),
        ({"tracks_format": "visdrone"}, "tracks_format is about tracks, which is missing"),
        ({"tracks_format": "visdrom"}, "did you mean 'visdrone'?"),
    ],
)
def test_what_is_stated_is_checked(keys: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        numbered(tmp_path, [[1]], **keys)
    assert message in str(caught.value)


# Columns

ROWS = {
    "motchallenge": ("{f},{t},9,9,16,8,{flag},{c},1.0", {4: "car"}),
    "visdrone": ("{f},{t},9,9,16,8,{flag},{c},0,0", {4: "car"}),
    "uavdt": ("{f},{t},9,9,16,8,1,2,{c}", {3: "car"}),
    "mot15": ("{f},{t},9,9,16,8,{flag},7.5,2.5,0", {4: "car"}),
}


def tracked(root: Path, rows: list[str], first: int = 1, **keys: Any) -> list[ImageEntry]:
    for number in range(first, first + 3):
        save(root / f"images/v/{number:06d}.png")
    write(root / "tracks/v.txt", "\n".join(rows) + "\n")
    about = {"classes": ["person", "car"], "sequences": ["v"], "splits": {"all": ["v"]}} | keys
    write(root / "dataset.yaml", yaml.safe_dump(about))
    return list(readers.read("folder", root).images)


@pytest.mark.parametrize("form", ROWS)
def test_columns_are_those_of_the_stated_format(form: str, tmp_path: Path) -> None:
    row, classes = ROWS[form]
    [label] = classes
    rows = [row.format(f=f, t=7, c=label, flag=f % 2) for f in (1, 2, 3)]
    found = tracked(tmp_path, rows, tracks=classes, tracks_format=form)
    objects = [o for i in found for o in i.objects]
    assert [(o.class_id, o.track, o.box) for o in objects] == [(1, 7, (8, 8, 24, 16))] * 3
    active = [True] * 3 if form == "uavdt" else [True, False, True]
    assert [o.evaluated for o in objects] == active


@pytest.mark.parametrize("form", ["visdrone", "uavdt"])
def test_classes_of_a_fixed_list_may_be_left_out(form: str, tmp_path: Path) -> None:
    row, classes = ROWS[form]
    rows = [row.format(f=1, t=t, c=c, flag=1) for t, c in ((5, 1), (6, 2), (7, *classes))]  # type: ignore[misc]
    rows += [row.format(f=1, t=5, c=1, flag=0)] * 2  # VisDrone numbers its ignored regions 0
    found = tracked(tmp_path, rows, tracks=classes, tracks_format=form)
    assert [(o.track, o.class_id) for i in found for o in i.objects] == [(7, 1)]


def test_null_leaves_a_class_out(tmp_path: Path) -> None:
    rows = ["1,1,9,9,16,8,1,1,1", "1,2,9,9,16,8,1,3,1"]
    found = tracked(tmp_path, rows, tracks={3: "car", 1: None})
    assert [o.track for o in found[0].objects] == [2]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("1,1,9,9,16,8,1,4,0,0", "has 10 columns instead of 9 (motchallenge); tracks_format may "
         "be mot15 or visdrone"),
        ("1,1,9,9,16,8,1,1,3", "visibility 3 is above 1; if the file is UAVDT's"),
        ("1,1,9,9,16,8,2,1,1", "flag 2 is above 1; if the file is UAVDT's"),
        ("1,1,9,9,16,8,1", "has 7 columns instead of 9 (motchallenge)"),
        ("frame,id,x,y,w,h,flag,class,visibility", "'x' is not a number; remove the header"),
    ],
)  # fmt: skip
def test_columns_are_never_guessed(row: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        tracked(tmp_path, [row], tracks={1: "person", 4: "car"})
    assert f"tracks/v.txt, line 1: {message}" in str(caught.value)


@pytest.mark.parametrize("mark", [",", ", ", ";", "\t", " ", " ; "])
def test_columns_may_be_separated_in_any_way(mark: str, tmp_path: Path) -> None:
    row = "1.0,1.0,9,9,1.6e+01,8,1,1,1".replace(",", mark)
    found = tracked(tmp_path, [row], tracks={1: "person"})
    assert found[0].objects[0].box == (8, 8, 24, 16)


# Frames


@pytest.mark.parametrize(("images", "lines"), [(0, (1, 2, 3)), (1, (0, 1, 2)), (5, (1, 2, 3))])
def test_frames_that_are_off_name_both_ranges(
    images: int, lines: tuple[int, ...], tmp_path: Path
) -> None:
    rows = [f"{f},1,9,9,16,8,1,1,1" for f in lines]
    with pytest.raises(DataError) as caught:
        tracked(tmp_path, rows, first=images, tracks={1: "person"})
    assert f"has {images} to {images + 2}; the tracks have {lines[0]} to {lines[-1]}" in str(
        caught.value
    )


def test_tracks_that_may_be_one_off_are_a_loud_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    rows = [f"{f},1,9,9,16,8,1,1,1" for f in (1, 2)]
    tracked(tmp_path / "off", rows, first=0, tracks={1: "person"})
    assert "images count from 0, and all tracks begin in frame 1: they are one off" in caplog.text
    caplog.clear()
    tracked(tmp_path / "on", ["0,1,9,9,16,8,1,1,1", *rows], first=0, tracks={1: "person"})
    assert caplog.text == ""


@pytest.mark.parametrize(("ids", "warns"), [((1, 2, 3), True), ((1, 2, 1), False)])
def test_objects_that_never_recur_are_a_loud_warning(
    ids: tuple[int, ...],
    warns: bool,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    rows = [f"{f},{t},9,9,16,8,1,1,1" for f, t in enumerate(ids, 1)]
    tracked(tmp_path / "own", rows, tracks={1: "person"})
    assert index("tracks", tmp_path / "own", monkeypatch) == ""
    assert ("no object of the videos is in two images" in caplog.text) == warns


def test_a_time_stamp_too_large_for_a_number_is_refused(tmp_path: Path) -> None:
    save(tmp_path / "images/v/9223372036854775808.png")
    write(tmp_path / "dataset.yaml", "classes: [a]\nsequences: [v]\nsplits: {all: [v]}\n")
    with pytest.raises(DataError, match="must be below 2"):
        readers.read("folder", tmp_path)


@pytest.mark.parametrize(
    ("masks", "warns"), [([[1, 2], [1], [1, 3]], True), ([[1], [2], [1]], False)]
)
def test_a_table_whose_instance_1_is_everywhere_is_a_warning(
    masks: list[list[int]],
    warns: bool,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    write(tmp_path / "own/i.csv", "instance,class\n1,cell\n2,cell\n3,cell\n")
    numbered(tmp_path / "own", masks, instances="i.csv")
    assert index("tracks", tmp_path / "own", monkeypatch) == ""
    assert ("instance 1 is in all 3 instance masks" in caplog.text) == warns
