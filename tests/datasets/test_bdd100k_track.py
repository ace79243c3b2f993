"""BDD100K box tracking: both spellings, distractors, crowds, frames without objects."""

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from patchlens.datasets import readers
from patchlens.datasets.catalogue import find
from patchlens.datasets.index import Index
from patchlens.datasets.indexing import layout_of
from patchlens.datasets.layout import ImageEntry
from patchlens.datasets.support import first
from patchlens.errors import DataError, SourceError
from patchlens.settings.datasets import Collected

read = partial(readers.read, "bdd100k_track")
CLASSES = tuple(find("bdd100k_track").classes)

VIDEO = "b1c66a42-6f7d68ca"
Write = Callable[..., Path]


def label(category: str, identity: str = "5", **more: Any) -> dict[str, Any]:
    box = {"x1": 10.0, "y1": 20.0, "x2": 29.0, "y2": 59.0}
    return {"id": identity, "category": category, "attributes": {}, "box2d": box} | more


def frame(index: int, *labels: Any, **more: Any) -> dict[str, Any]:
    name = f"{VIDEO}-{index + 1:07d}.jpg"
    return {"name": name, "videoName": VIDEO, "frameIndex": index, "labels": list(labels)} | more


@pytest.fixture
def video(tmp_path: Path, picture: Callable[..., None]) -> Write:
    """`video([frame(0), ...])`: a root with one labelled video of val, `images` images in it."""

    def write(
        frames: Any, labels: str = "labels/box_track_20", images: int = 1, split: str = "val"
    ) -> Path:
        root = tmp_path / "bdd100k"
        for number in range(1, images + 1):
            picture(root / "images/track" / split / VIDEO / f"{VIDEO}-{number:07d}.jpg")
        (root / labels / split).mkdir(parents=True)
        (root / labels / split / f"{VIDEO}.json").write_text(json.dumps(frames))
        return root

    return write


def images_of(root: Path) -> list[ImageEntry]:
    return list(read(root).images)


def complaint(root: Path) -> str:
    with pytest.raises(DataError) as caught:
        images_of(root)
    return str(caught.value)


def test_the_last_pixel_of_a_box_belongs_to_it(video: Write) -> None:
    [entry] = images_of(video([frame(0, label("car"))]))
    [car] = entry.objects
    assert car.box == (10, 20, 30, 60)
    assert (car.instance, car.track, CLASSES[car.class_id]) == (f"{VIDEO}/5", 5, "car")


@pytest.mark.parametrize(
    ("category", "name", "evaluated"),
    [
        *((name, name, True) for name in CLASSES),
        ("bike", "bicycle", True),
        ("motor", "motorcycle", True),
        ("person", "pedestrian", True),
        ("van", "car", True),
        ("caravan", "car", True),
        ("other person", "pedestrian", False),
        ("other vehicle", "car", False),
        ("trailer", "truck", False),
    ],
)
def test_categories_count_as_in_the_official_configuration(
    video: Write, category: str, name: str, evaluated: bool
) -> None:
    [entry] = images_of(video([frame(0, label(category))]))
    assert [(CLASSES[o.class_id], o.evaluated) for o in entry.objects] == [(name, evaluated)]


@pytest.mark.parametrize(
    ("attributes", "evaluated"),
    [
        ({"crowd": True}, False),
        ({"Crowd": True}, False),
        ({"crowd": False, "occluded": True, "truncated": True}, True),
        ({"Crowd": False, "Occluded": True}, True),
        (None, True),
    ],
)
def test_crowds_are_kept_and_not_evaluated(video: Write, attributes: Any, evaluated: bool) -> None:
    [entry] = images_of(video([frame(0, label("car", attributes=attributes))]))
    assert [o.evaluated for o in entry.objects] == [evaluated]


def test_a_frame_without_labels_is_an_image(video: Write) -> None:
    absent = frame(2)
    del absent["labels"]
    entries = images_of(video([frame(0), frame(1, labels=None), absent], images=3))
    assert [(i.frame, i.objects) for i in entries] == [(0, ()), (1, ()), (2, ())]


def test_frames_are_0_based_and_in_order(video: Write) -> None:
    entries = images_of(video([frame(2), frame(0), frame(1)], images=3))
    assert [(i.image_id, i.frame) for i in entries] == [
        (f"{VIDEO}-0000001", 0),
        (f"{VIDEO}-0000002", 1),
        (f"{VIDEO}-0000003", 2),
    ]
    assert entries[0].path == f"images/track/val/{VIDEO}/{VIDEO}-0000001.jpg"
    assert {(i.split, i.sequence) for i in entries} == {("val", VIDEO)}


def test_the_older_release_spells_index_and_lies_elsewhere(video: Write) -> None:
    old = frame(1, label("pedestrian", attributes={"Crowd": False}))
    old["index"] = old.pop("frameIndex")
    entries = images_of(video([frame(0), old], labels="labels-20/box-track", images=2))
    assert [(i.frame, len(i.objects)) for i in entries] == [(0, 0), (1, 1)]


def test_an_id_is_of_its_video_only(video: Write, picture: Callable[..., None]) -> None:
    root = video([frame(0, label("car"))])
    content = json.dumps([frame(0, label("car"))]).replace(VIDEO, "other")
    (root / "labels/box_track_20/val/other.json").write_text(content)
    picture(root / "images/track/val/other/other-0000001.jpg")
    assert [i.objects[0].instance for i in images_of(root)] == [f"{VIDEO}/5", "other/5"]


def test_the_test_split_is_images_only(video: Write, picture: Callable[..., None]) -> None:
    root = video([frame(0, label("car"))])
    for number in (2, 1):
        picture(root / f"images/track/test/t/t-{number:07d}.jpg")
    found = [(i.image_id, i.frame, i.objects) for i in images_of(root) if i.split == "test"]
    assert found == [("t-0000001", 0, ()), ("t-0000002", 1, ())]


def test_one_video_is_in_memory_at_a_time(video: Write) -> None:
    root = video([frame(0)])
    (root / "labels/box_track_20/val/zzz.json").write_text("broken")
    images = iter(read(root).images)
    assert next(images).frame == 0  # the second file has not been read yet
    with pytest.raises(DataError, match=r"zzz\.json: is not valid JSON"):
        next(images)


@pytest.mark.parametrize(
    ("frames", "message"),
    [
        ({}, "is not a list of frames"),
        ([], "is not a list of frames"),
        ([frame(0), frame(0)], "frame 0 occurs twice"),
        ([frame(7)], "frame 7: missing image"),
        (
            [frame(1, name=frame(0)["name"])],
            f"frame 1: image {VIDEO}-0000001.jpg must have number 2",
        ),
        ([{"name": "x"}], "frame at position 0: no name, or no integer frameIndex"),
        (["x"], "frame at position 0: no name, or no integer frameIndex"),
        (
            [frame(0, label("cart"))],
            "frame 0, object at position 0: unknown category 'cart'; allowed: ",
        ),
        (
            [frame(0, label("car", box2d=3))],
            "frame 0, object at position 0: has no id, category or box2d",
        ),
        (
            [frame(0, label("car", box2d={"x1": 9, "y1": 0, "x2": 4, "y2": 9}))],
            "frame 0, object at position 0: a box is -4 wide and 10 high",
        ),
    ],
)
def test_a_malformed_file_is_named(video: Write, frames: Any, message: str) -> None:
    root = video(frames)
    path = root / f"labels/box_track_20/val/{VIDEO}.json"
    assert complaint(root).startswith(f"{path}: {message}")


def test_an_image_that_the_labels_do_not_list(video: Write) -> None:
    root = video([frame(0), frame(2)], images=3)
    assert complaint(root) == (
        f"{root}/labels/box_track_20/val/{VIDEO}.json: does not list the frame "
        f"{root}/images/track/val/{VIDEO}/{VIDEO}-0000002.jpg"
    )


def test_a_video_without_labels(video: Write, picture: Callable[..., None]) -> None:
    root = video([frame(0)])
    picture(root / "images/track/val/other/other-0000001.jpg")
    with pytest.raises(SourceError) as caught:
        images_of(root)
    assert str(caught.value) == (
        f"{root}/labels/box_track_20/val/other.json: no such file, but "
        f"{root}/images/track/val/other has images"
    )


def test_an_id_twice_in_a_frame(video: Write, indexed_whole: Callable[..., Index]) -> None:
    root = video([frame(0, label("car"), label("bus"))])
    with pytest.raises(DataError) as caught:
        indexed_whole(read(root), root)
    assert str(caught.value) == (
        f"{root}/images/track/val/{VIDEO}/{VIDEO}-0000001.jpg: object '{VIDEO}/5': is annotated "
        "twice in this image; correct the annotation"
    )


def test_a_distractor_may_share_an_id(video: Write) -> None:
    [entry] = images_of(video([frame(0, label("car"), label("trailer"))]))
    assert [o.evaluated for o in entry.objects] == [True, False]


def test_missing_labels_and_missing_images(video: Write, picture: Callable[..., None]) -> None:
    root = video([frame(0)])
    picture(root / "images/track/train/v/v-0000001.jpg")
    with pytest.raises(SourceError) as caught:
        read(root)
    assert str(caught.value).startswith(
        f"{root}/labels/box_track_20/train: no such folder, but train has images. Log in"
    )
    with pytest.raises(SourceError, match="contains no images/track"):
        read(root / "labels")


def test_real_bdd100k(shared: Path) -> None:
    images = images_of(shared / "data" / "bdd100k_track")
    assert [i.frame for i in images] == [0, 1, 2, 3, 4, 5]
    assert images[0].image_id == f"{VIDEO}-0000001"
    names = {CLASSES[o.class_id] for i in images for o in i.objects}
    assert names == {"car", "truck", "rider", "motorcycle"}
    first = next(o for o in images[0].objects if o.instance == f"{VIDEO}/0")
    assert first.box == (0, 348, 74, 407)
    # The same car in all six frames.
    assert all(any(o.instance == f"{VIDEO}/203" for o in i.objects) for i in images)


def test_real_bdd100k_index(shared: Path, indexed_whole: Callable[..., Index]) -> None:
    root = shared / "data" / "bdd100k_track"
    index = indexed_whole(read(root), root)
    assert set(index.images["width"]) == {1280}
    assert len(index.objects) == 167
    assert index.objects["evaluated"].all()


def chosen(root: Path, **changes: Any) -> list[ImageEntry]:
    """The images that the stage index reads for one sequence of val."""
    query = {"split": "val", "images": "all", "per": "total", "unit": "sequence", "sequences": 1}
    view = {"mode": "whole", "grid": "equal", "patches": [1, 1]}
    keys = {"kind": "bdd100k_track", "root": str(root), "view": view, "support": None}
    settings = Collected.model_validate(keys | {"query": query | changes})
    return list(layout_of(root, settings).images)


def test_only_the_chosen_sequences_are_read(video: Write) -> None:
    """All labels come in one archive, but the images of all videos are tens of gigabytes."""
    root = video([frame(0, label("car"))])
    names = sorted({VIDEO, *(f"other{i}" for i in range(5))})
    labels = root / "labels/box_track_20/val"
    for other in names:
        if other != VIDEO:
            (labels / f"{other}.json").write_text("broken")
    [wanted] = first(names, 1)
    there = root / "images/track/val"
    if wanted != VIDEO:
        (there / VIDEO).rename(there / wanted)
        (labels / f"{wanted}.json").write_text(json.dumps([frame(0, label("car"))]))
    assert [image.sequence for image in chosen(root)] == [wanted]
    with pytest.raises((DataError, SourceError)):  # without a choice, all of them are
        chosen(root, sequences=None)
    (there / wanted).rename(there / "elsewhere")
    (labels / "elsewhere.json").write_text("{}")
    again = first([*names, "elsewhere"], 2)
    with pytest.raises(SourceError) as caught:
        chosen(root, sequences=2)
    absent = ", ".join(sorted(again - {"elsewhere"}))
    assert f"of the 2 sequences that params.yaml chooses: {absent}; place" in str(caught.value)
