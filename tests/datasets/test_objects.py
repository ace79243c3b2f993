"""Objects that annotation files list: their numbers, their boxes, and what is wrong with them."""

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from patchlens.datasets.index import Index
from patchlens.datasets.layout import ImageEntry, Layout, ObjectEntry
from patchlens.errors import DataError

Listed = Callable[..., Index]
BOX = (1.0, 2.0, 4.0, 5.0)


@pytest.fixture
def listed(tmp_path: Path, picture: Any, indexed_whole: Any) -> Listed:
    """`listed([a, b], [c])`: the index of images of 8×6 pixels with these objects."""

    def make(*objects: list[ObjectEntry]) -> Index:
        images = []
        for number, found in enumerate(objects):
            picture(tmp_path / f"{number}.png")
            images.append(ImageEntry(str(number), "all", f"{number}.png", objects=tuple(found)))
        index: Index = indexed_whole(Layout(("person", "car"), {}, images), tmp_path)
        return index

    return make


def test_things_are_numbered_in_the_order_of_their_appearance(listed: Listed) -> None:
    index = listed(
        [ObjectEntry("v/9", 0, BOX), ObjectEntry("v/3", 1, BOX)],
        [],
        [ObjectEntry("v/3", 1, BOX), ObjectEntry("w/3", 1, BOX), ObjectEntry("v/9", 0, BOX)],
    )
    assert list(index.objects["instance"]) == [1, 2, 2, 3, 1]
    assert list(index.objects["image_id"]) == ["0", "0", "2", "2", "2"]
    assert index.objects["instance"].dtype == np.int64


def test_every_column_is_kept(listed: Listed) -> None:
    polygon = (0.0, 0.0, 2.5, 0.0, 2.5, 2.0)
    index = listed(
        [
            ObjectEntry("a", 1, (0.5, 1, 3, 3.5), "van", 7, False, polygon),
            ObjectEntry("b", 0, BOX),
        ]
    )
    first, second = index.objects.to_dict("records")
    assert (first["class_id"], first["fine_class"], first["track"]) == (1, "van", 7)
    assert [first[c] for c in ("x0", "y0", "x1", "y1", "area")] == [0.5, 1, 3, 3.5, 6.25]
    assert first["evaluated"] is False
    assert tuple(first["polygon"]) == polygon
    assert second["evaluated"] is True
    assert second["polygon"] is None
    assert pd.isna(second["track"])
    assert pd.isna(second["mask_value"])


def test_a_box_that_leaves_its_image_is_kept_and_its_area_is_what_is_seen(listed: Listed) -> None:
    row = listed([ObjectEntry("a", 0, (-2, -1, 4, 20))]).objects.iloc[0]
    assert row[["x0", "y0", "x1", "y1"]].tolist() == [-2, -1, 4, 20]
    assert row["area"] == 4 * 6


def test_an_evaluated_box_outside_is_kept_and_told(
    listed: Listed, caplog: pytest.LogCaptureFixture
) -> None:
    outside = (20.0, 1.0, 30.0, 2.0)
    with caplog.at_level(logging.WARNING, "patchlens"):
        index = listed(
            [ObjectEntry("a", 0, outside), ObjectEntry("b", 0, outside, evaluated=False)]
        )
    assert list(index.objects["area"]) == [0, 0]
    assert "1 evaluated boxes are outside their image, such as " in caplog.text
    assert caplog.text.strip().endswith("0.png: a")


@pytest.mark.parametrize("box", [(4, 2, 3, 5), (1, 5, 4, 2)])
def test_an_evaluated_box_that_ends_before_it_begins_is_named(
    listed: Listed, tmp_path: Path, box: Any
) -> None:
    with pytest.raises(DataError) as caught:
        listed([ObjectEntry("v/9", 0, box)])
    assert str(caught.value) == (
        f"{tmp_path}/0.png: object 'v/9': a box is {box[2] - box[0]} wide and {box[3] - box[1]} "
        "high; corners and sizes may be confused; correct the annotation"
    )


@pytest.mark.parametrize("box", [(4, 2, 4, 5), (1, 5, 4, 5), (2, 2, 2, 2)])
def test_a_flat_box_is_kept_and_not_evaluated(
    listed: Listed, box: Any, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, "patchlens"):
        index = listed([ObjectEntry("flat", 0, box), ObjectEntry("whole", 0, (1, 1, 3, 4))])
    assert list(index.objects["evaluated"]) == [False, True]
    assert "1 boxes have no area and are not evaluated, such as" in caplog.text


def test_an_ignored_box_without_size_does_no_harm(listed: Listed) -> None:
    index = listed([ObjectEntry("crowd", 0, (4, 2, 4, 5), evaluated=False)])
    assert list(index.objects["area"]) == [0]


@pytest.mark.parametrize("edge", [float("nan"), float("inf")])
def test_a_box_that_is_not_finite_is_an_error(listed: Listed, edge: float) -> None:
    with pytest.raises(
        DataError,
        match=rf"object 'a': the corners of a box are not finite numbers: 1, 2, {edge}, 5; correct",
    ):
        listed([ObjectEntry("a", 0, (1, 2, edge, 5), evaluated=False)])


def test_a_thing_is_evaluated_once_in_an_image(listed: Listed, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="object 'a': is annotated twice in this image"):
        listed([ObjectEntry("a", 0, BOX), ObjectEntry("a", 0, BOX)])
    (tmp_path / "whole").rename(tmp_path / "earlier")
    ignored = ObjectEntry("a", 0, BOX, evaluated=False)
    assert len(listed([ignored, ignored, ObjectEntry("a", 0, BOX)]).objects) == 3


def test_an_instance_mask_has_the_size_of_its_image(
    tmp_path: Path, picture: Any, mask: Any, indexed_whole: Any
) -> None:
    picture(tmp_path / "a.png")
    mask(tmp_path / "i.png", 0, (6, 8))
    entry = ImageEntry("a", "all", "a.png", instances="i.png")
    with pytest.raises(DataError, match=r"i\.png: is 6×8, its image a\.png is 8×6"):
        indexed_whole(Layout(("x",), {}, [entry]), tmp_path)
