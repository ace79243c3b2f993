"""DAVIS 2016 and 2017: what 255 means, frames in order, one object one instance."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from patchlens.datasets import readers
from patchlens.datasets.index import Index
from patchlens.datasets.layout import Layout
from patchlens.errors import DataError, SourceError

read_2016, read_2017 = (partial(readers.read, kind) for kind in ("davis2016", "davis2017"))
Make = Callable[[Layout, Path], Index]


@pytest.fixture
def videos(tmp_path: Path, picture: Any, mask: Any) -> Callable[..., Path]:
    """`videos(year, ids)`: two sequences of three frames with these masks."""

    def make(year: int, ids: Any) -> Path:
        root = tmp_path / "davis"
        for split, name in (("train", "bear"), ("val", "dog")):
            for frame in range(3):
                picture(root / "DAVIS/JPEGImages/480p" / name / f"{frame:05}.jpg")
                mask(root / "DAVIS/Annotations/480p" / name / f"{frame:05}.png", ids)
            lists = root / "DAVIS/ImageSets" / str(year)
            lists.mkdir(parents=True, exist_ok=True)
            (lists / f"{split}.txt").write_text(f"{name}\n", encoding="utf-8")
        return root

    return make


@pytest.fixture
def ids() -> Any:
    found = np.zeros((6, 8), np.uint8)
    found[1:3, 2:5], found[5, 7] = 1, 2
    return found


def test_255_is_the_object_in_2016(videos: Any, indexed_whole: Make, ids: Any) -> None:
    root = videos(2016, np.where(ids > 0, 255, 0).astype(np.uint8))
    index = indexed_whole(read_2016(root), root)
    np.testing.assert_array_equal(index.mask("bear/00000"), (ids > 0).astype(np.uint8))
    rows = index.objects
    assert list(rows["instance"]) == [1, 1, 1, 2, 2, 2]
    assert set(rows["mask_value"]) == {255}
    assert rows.iloc[0][["x0", "y0", "x1", "y1", "area"]].tolist() == [2, 1, 8, 6, 7]


def test_255_is_void_in_2017(videos: Any, indexed_whole: Make, ids: Any) -> None:
    ids[0] = 255
    root = videos(2017, ids)
    index = indexed_whole(read_2017(root), root)
    mask = index.mask("dog/00002")
    assert (mask[0] == 255).all()
    np.testing.assert_array_equal(mask[1:], ids[1:] > 0)
    assert set(index.objects["mask_value"]) == {1, 2}


def test_objects_of_2017_are_tracks_of_their_sequence(
    videos: Any, indexed_whole: Make, ids: Any
) -> None:
    root = videos(2017, ids)
    rows = indexed_whole(read_2017(root), root).objects
    assert list(rows["instance"]) == [1, 2, 1, 2, 1, 2, 3, 4, 3, 4, 3, 4]
    assert list(rows["track"]) == [1, 2] * 6
    assert list(rows["image_id"][:3]) == ["bear/00000", "bear/00000", "bear/00001"]
    assert (rows["class_id"] == 1).all()


def test_annotations_of_2017_are_no_annotations_of_2016(
    videos: Any, indexed_whole: Make, ids: Any
) -> None:
    root = videos(2016, ids)
    with pytest.raises(DataError, match=r"bear/00000\.png: contains id 1, which is not among"):
        indexed_whole(read_2016(root), root)


def test_2017_needs_its_own_lists(videos: Any, ids: Any) -> None:
    with pytest.raises(SourceError, match=r"contains no ImageSets/2017/train\.txt"):
        read_2017(videos(2016, ids))


def test_frames_are_in_the_order_of_their_number(videos: Any, ids: Any) -> None:
    root = videos(2017, ids)
    entries = [i for i in read_2017(root).images if i.sequence == "dog"]
    assert [(i.image_id, i.frame, i.split) for i in entries] == [
        ("dog/00000", 0, "val"),
        ("dog/00001", 1, "val"),
        ("dog/00002", 2, "val"),
    ]


def test_lists_of_2016_may_name_files(videos: Any, ids: Any) -> None:
    root = videos(2016, ids)
    by_name = read_2016(root)
    sets = root / "DAVIS/ImageSets"
    (sets / "2016").rename(sets / "480p")
    for split, name in (("train", "bear"), ("val", "dog")):
        listed = [f"/JPEGImages/480p/{name}/{i:05}.jpg /Annotations/480p/{name}/{i:05}.png"
                  for i in range(3)]  # fmt: skip
        (sets / "480p" / f"{split}.txt").write_text("\n".join(listed) + "\n", encoding="utf-8")
    assert read_2016(root).images == by_name.images


@pytest.mark.parametrize("folder", ["JPEGImages", "Annotations"])
def test_frames_and_annotations_pair(videos: Any, ids: Any, folder: str) -> None:
    root = videos(2017, ids)
    next((root / "DAVIS" / folder / "480p/dog").glob("00001.*")).unlink()
    with pytest.raises(DataError, match=rf"{folder}/480p/dog: no file '00001\.\*' to pair with"):
        read_2017(root)


def test_a_listed_sequence_that_is_gone(videos: Any, ids: Any, tmp_path: Path) -> None:
    root = videos(2017, ids)
    (root / "DAVIS/JPEGImages/480p/dog").rename(tmp_path / "elsewhere")
    with pytest.raises(SourceError, match="JPEGImages/480p/dog: no such folder"):
        read_2017(root)


def test_a_frame_without_a_number(videos: Any, ids: Any, picture: Any, mask: Any) -> None:
    root = videos(2017, ids)
    picture(root / "DAVIS/JPEGImages/480p/dog/cover.jpg")
    mask(root / "DAVIS/Annotations/480p/dog/cover.png", ids)
    with pytest.raises(DataError, match=r"cover\.jpg: the name of a frame must be its number"):
        read_2017(root)


def test_real_samples(shared: Path, indexed_whole: Make) -> None:
    root = shared / "data/DAVIS"
    layout = read_2016(root)
    entries = list(layout.images)
    assert len(entries) == 422
    few = [i for i in entries if i.sequence == "dog"][:3]
    index = indexed_whole(Layout(**(vars(layout) | {"images": few})), root)
    assert index.objects["instance"].unique().tolist() == [1]
    for image_id in index.images.index:
        assert set(np.unique(index.mask(image_id))) == {0, 1}
