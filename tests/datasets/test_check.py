"""What `patchlens datasets check` counts and draws."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from patchlens.datasets import check
from patchlens.datasets.catalogue import Entry
from patchlens.datasets.index import Index
from patchlens.datasets.layout import ImageEntry, Layout, ObjectEntry
from patchlens.datasets.sheet import contact_sheet, palette

CLASSES = ("road", "car", "person")
TOWN = Entry(
    title="Town",
    reader="folder",
    tasks=["segmentation"],
    access="placed",
    licence="CC0",
    citation="Doe, 2001",
    homepage="http://town.org",
    how="Walk there",
    layout="photos/",
    encoding=["0 is road."],
    counts={
        "train": {"images": 2, "masks": 3, "objects": 1, "instances": 1},
        "val": {"images": 5},
    },
)
BOX = (1.0, 1.0, 3.0, 3.0)


@pytest.fixture
def town(tmp_path: Path, picture: Any, mask: Any, indexed_whole: Callable[..., Index]) -> Index:
    """Two images of train with masks, one of them with three objects; one of extra without."""
    ids = np.zeros((6, 8), np.uint8)
    ids[0], ids[1] = 1, 9
    objects = (
        ObjectEntry("a", 1, BOX),
        ObjectEntry("b", 1, BOX),
        ObjectEntry("c", 2, (2, 2, 9, 5), evaluated=False),
    )
    images = []
    for name, split, found in (("x", "train", objects), ("y", "train", ()), ("z", "extra", ())):
        picture(tmp_path / f"{name}.png")
        mask(tmp_path / f"{name}_mask.png", ids)
        path = f"{name}_mask.png" if split == "train" else None
        images.append(ImageEntry(name, split, f"{name}.png", path, objects=found))
    return indexed_whole(Layout(CLASSES, {0: 0, 1: 1, 9: 255}, images), tmp_path)


def test_counts_stand_beside_the_published_ones(town: Index) -> None:
    found = [tuple(count.values()) for count in check.counts(town, TOWN)]
    assert found == [
        ("train", "images", 2, 2, "ok"),
        ("train", "masks", 2, 3, "subset"),
        ("train", "objects", 2, 1, "differs"),
        ("train", "ignored objects", 1, None, ""),
        ("train", "classes", 2, None, ""),
        ("train", "instances", 2, 1, "differs"),
        ("extra", "images", 1, None, ""),
        ("val", "images", 0, 5, "subset"),
    ]


def test_groups_are_counted(plain: Any, indexed_whole: Callable[..., Index]) -> None:
    rows = [("a", "train", "bonn"), ("b", "train", "bonn"), ("c", "train", "ulm"), ("d", "val", "")]
    layout, root = plain([(*row[:2], row[2] or None, None, 0) for row in rows])
    card = TOWN.model_copy(update={"counts": {"train": {"groups": 3}}})
    counts = check.counts(indexed_whole(layout, root), card)
    found = [tuple(count.values()) for count in counts if count["what"] == "groups"]
    assert found == [("train", "groups", 2, 3, "subset")]


def test_shares_are_of_labelled_pixels_and_evaluated_objects(town: Index) -> None:
    shares, ignored = check.shares(town)
    assert [share["name"] for share in shares] == list(CLASSES)
    assert [share["pixels"] for share in shares] == [0.8, 0.2, 0]
    assert [share["objects"] for share in shares] == [0, 1, 0]
    assert ignored == pytest.approx(1 / 6)


def test_a_dataset_without_masks_has_shares_of_objects_only(
    tmp_path: Path, picture: Any, indexed_whole: Callable[..., Index]
) -> None:
    picture(tmp_path / "x.png")
    entry = ImageEntry("x", "all", "x.png", objects=(ObjectEntry("a", 1, BOX),))
    index = indexed_whole(Layout(CLASSES, {}, [entry]), tmp_path)
    shares, ignored = check.shares(index)
    assert [share["pixels"] for share in shares] == [None] * 3
    assert [share["objects"] for share in shares] == [0, 1, 0]
    assert ignored is None
    text = check.show_report(check.report(index, TOWN))
    assert "of pixels" not in text
    assert "absent classes: road, person" in text


def test_the_report_shows_a_bar_for_every_class_that_occurs(town: Index) -> None:
    lines = check.show_report(check.report(town, TOWN)).splitlines()
    (road,) = [line for line in lines if line.split()[1:2] == ["road"]]
    (car,) = [line for line in lines if line.split()[1:2] == ["car"]]
    assert road.split() == ["0", "road", "80.00%", "█" * 24, "0.00%"]
    assert car.split() == ["1", "car", "20.00%", "█" * 6, "100.00%", "█" * 24]
    assert "absent classes: person" in lines
    assert "ignored pixels: 16.7% of all" in lines


def test_the_sheet_shows_image_mask_and_boxes(town: Index) -> None:
    sheet = np.asarray(contact_sheet(town, "town"))
    colours = palette(town)
    assert len(set(colours)) == 3
    seen = {tuple(int(c) for c in colour) for colour in sheet.reshape(-1, 3)}
    assert {colours[0], colours[1]} <= seen  # the legend names the classes that occur
    assert colours[2] not in seen  # ... and no others
    car, ignored = (tuple((c + 255) // 2 for c in colour) for colour in (colours[1], (160,) * 3))
    assert {car, ignored} <= seen  # boxes


def test_boxes_without_a_mask_below_have_the_full_colour(
    tmp_path: Path, picture: Any, indexed_whole: Callable[..., Index]
) -> None:
    picture(tmp_path / "x.png")
    objects = (
        ObjectEntry("a", 1, (0, 0, 4, 3)),
        ObjectEntry("b", 1, (4, 3, 8, 6), evaluated=False),
    )
    layout = Layout(CLASSES, {}, [ImageEntry("x", "all", "x.png", objects=objects)])
    index = indexed_whole(layout, tmp_path)
    below = np.asarray(contact_sheet(index, "x"))[80:]  # without the legend
    seen = {tuple(int(c) for c in colour) for colour in below.reshape(-1, 3)}
    assert {palette(index)[1], (160, 160, 160)} <= seen


def test_the_sheet_is_the_same_each_time(town: Index) -> None:
    first, second = (contact_sheet(town, "town").tobytes() for _ in range(2))
    assert first == second


def test_the_sheet_takes_images_of_every_split_and_sequence(
    tmp_path: Path, picture: Any, indexed_whole: Callable[..., Index]
) -> None:
    images = []
    for split, sequence, count in (("train", "v", 20), ("train", "w", 1), ("val", "x", 1)):
        for frame in range(count):
            name = f"{sequence}{frame}"
            picture(tmp_path / f"{name}.png")
            images.append(ImageEntry(name, split, f"{name}.png", sequence=sequence, frame=frame))
    index = indexed_whole(Layout(CLASSES, {}, images), tmp_path)
    from patchlens.datasets import sheet

    chosen = sheet._chosen(index)
    assert len(chosen) == 12
    assert {"w0", "x0"} <= set(chosen[:3])
