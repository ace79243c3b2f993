"""The user's own videos: sequences, frames in order, tracks in MOT's format."""

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import yaml

from patchlens.datasets import readers
from patchlens.errors import DataError, SourceError

UNDRAWN = "; draw it, or take the image out of splits"

read = partial(readers.read, "folder")

TRACKS = "10,1,1,1,4,4,1,3,1.0\n8,1,1,1,4,4,1,3,1.0\n8,2,2,2,3,3,0,1,0.5\n"
Make = Callable[..., Path]


@pytest.fixture
def video(tmp_path: Path, picture: Callable[..., None]) -> Make:
    """`video(text, classes=...)`: frames 8, 9, 10 of a sequence, its tracks, dataset.yaml."""

    def write(text: str | None = TRACKS, **keys: Any) -> Path:
        root = tmp_path / "own"
        for number in (8, 9, 10):
            picture(root / "images/drive" / f"frame_{number}.jpg")
        if text is not None:
            (root / "tracks").mkdir(exist_ok=True)
            (root / "tracks/drive.txt").write_text(text)
        content = {
            "classes": ["person", "car"],
            "splits": {"video": ["drive"]},
            "sequences": ["drive"],
            "tracks": {1: "person", 3: "car"},
        } | keys
        content = {key: value for key, value in content.items() if value is not None}
        (root / "dataset.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")
        return root

    return write


def complaint(root: Path, kind: type[Exception] = DataError) -> str:
    with pytest.raises(kind) as caught:
        read(root)
    return str(caught.value)


def test_frames_are_in_the_order_of_their_numbers(video: Make) -> None:
    images = list(read(video()).images)
    assert [(i.image_id, i.sequence, i.frame) for i in images] == [
        ("drive/frame_8", "drive", 8),
        ("drive/frame_9", "drive", 9),
        ("drive/frame_10", "drive", 10),
    ]
    assert images[0].path == "images/drive/frame_8.jpg"


def test_a_track_keeps_its_name_and_its_class(video: Make) -> None:
    images = list(read(video()).images)
    found = [
        [(o.instance, o.track, o.class_id, o.evaluated, o.box) for o in i.objects] for i in images
    ]
    assert found == [
        [("drive/1", 1, 1, True, (0, 0, 4, 4)), ("drive/2", 2, 0, False, (1, 1, 4, 4))],
        [],
        [("drive/1", 1, 1, True, (0, 0, 4, 4))],
    ]


def test_lines_without_class_are_of_the_only_one(video: Make) -> None:
    tracks = "8,1,1,1,4,4,0.9,-1,-1,-1\n"
    [entry] = next(iter(read(video(tracks, tracks={1: "car"})).images)).objects
    assert entry.class_id == 1
    root = video(tracks)
    assert complaint(root) == (
        f"{root}/tracks/drive.txt, line 1: no class column, but tracks in dataset.yaml has 1, 3"
        "; name exactly one"
    )


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (
            "8,1,1,1,4,4,1,2,1",
            "class 2, but tracks in dataset.yaml has 1, 3; write 2: null to leave it out",
        ),
        (
            "1,1,1,1,4,4,1,3,1",
            "frame 1 has no image in images/drive, which has 8 to 10; the tracks have 1 to 1, and "
            "must have the numbers of the images",
        ),
        ("8,1,1,1,4,4", "has 6 columns instead of 9 (motchallenge); see docs/own-data.md"),
    ],
)
def test_a_line_that_does_not_fit(video: Make, line: str, message: str) -> None:
    root = video(f"\n{line}\n")
    assert complaint(root) == f"{root}/tracks/drive.txt, line 2: {message}"


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        (
            {"tracks": {1: "persons"}},
            "tracks: 'persons' is not in classes; allowed: car, person; did you mean 'person'?",
        ),
        ({"sequences": None}, "tracks need sequences; list them in sequences"),
        ({"tracks": {}}, "tracks: 0 entries; allowed: at least 1"),
        ({"sequences": "drive"}, "sequences: 'drive' (str) is invalid; allowed: a valid list"),
        ({"splits": {"a": ["drive"], "b": ["drive"]}}, "'drive' is in a and in b"),
    ],
)
def test_a_description_that_does_not_fit(video: Make, keys: dict[str, Any], message: str) -> None:
    root = video(**keys)
    assert complaint(root) == f"{root}/dataset.yaml: {message}"


def test_missing_files(video: Make) -> None:
    root = video(None)
    assert complaint(root, SourceError) == f"{root}/tracks/drive.txt: no such file"
    root = video(sequences=["drive", "walk"])
    assert complaint(root, SourceError) == f"{root}/images/walk: no such folder"
    root = video(splits={"video": ["driev"]})
    assert complaint(root).startswith(f"{root}/images: no image 'driev.*' (split video); write ")


def test_frames_without_a_number_or_with_the_same(video: Make, picture: Any) -> None:
    root = video()
    picture(root / "images/drive/frame_08.jpg")
    expected = f"{root}/images/drive/frame_8.jpg: has the same frame number as frame_08.jpg"
    assert complaint(root) == expected
    (root / "images/drive/frame_08.jpg").rename(root / "images/drive/cover.jpg")
    expected = f"{root}/images/drive/cover.jpg: the name of a frame must end in its number"
    assert complaint(root) == expected


def test_an_image_that_is_named_as_a_sequence(video: Make, picture: Any) -> None:
    root = video()
    picture(root / "images/drive.jpg")
    assert (
        complaint(root) == f"{root}/images/drive.jpg: has the same name as a sequence; rename one"
    )


def test_a_video_may_have_masks_and_no_tracks(video: Make, mask: Any) -> None:
    root = video(None, tracks=None)
    assert complaint(root, SourceError) == f"{root}/masks/drive: no such folder"
    for number in (8, 9):
        mask(root / f"masks/drive/frame_{number}.png")
    expected = f"{root}/images/drive/frame_10.jpg: no mask 'frame_10.*' in masks/drive/{UNDRAWN}"
    assert complaint(root) == expected
    mask(root / "masks/drive/frame_10.png")
    assert next(iter(read(root).images)).mask == "masks/drive/frame_8.png"


def test_masked_stills_beside_a_tracked_video(video: Make, picture: Any, mask: Any) -> None:
    root = video(splits={"video": ["drive"], "support": ["a"]})
    picture(root / "images/a.jpg")
    mask(root / "masks/a.png")
    masks = {i.image_id: i.mask for i in read(root).images}
    assert masks["a"] == "masks/a.png"
    assert masks["drive/frame_8"] is None


def test_boxes_of_frames_in_a_json(video: Make) -> None:
    content = {
        "images": [{"id": 1, "file_name": "drive/frame_9.jpg"}],
        "categories": [{"id": 1, "name": "car"}],
        "annotations": [{"id": 4, "image_id": 1, "category_id": 1, "bbox": [0, 0, 2, 2]}],
    }
    root = video(objects="boxes.json", tracks=None)
    (root / "boxes.json").write_text(json.dumps(content))
    objects = {i.image_id: i.objects for i in read(root).images}
    assert [o.instance for o in objects["drive/frame_9"]] == ["drive/frame_9/4"]
    root = video(TRACKS.replace("8,", "9,"), objects="boxes.json")
    assert complaint(root) == (
        f"{root}/dataset.yaml: 'drive/frame_9' has objects in boxes.json and tracks"
    )
