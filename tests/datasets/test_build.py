"""The index: query images and their units, objects, one table an image."""

import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from patchlens.datasets import build
from patchlens.datasets.images import Seen
from patchlens.datasets.index import Index
from patchlens.datasets.layout import ImageEntry, Layout, Relevance, Terms
from patchlens.datasets.readers import read
from patchlens.errors import DataError, SettingsError

Make = Callable[..., Index]
SIX = [f"img{i}" for i in range(6)]


def test_images_carry_paths_and_sizes(own: Path, indexed: Make) -> None:
    index = indexed(read("folder", own), own)
    assert list(index.images.index) == ["a", "b", "c", "d", "e"]
    row = index.images.loc["b"]
    assert (row["path"], row["mask"]) == ("images/b.jpg", "masks/b.png")
    assert (row["width"], row["height"], row["split"]) == (8, 6, "support")
    assert index.classes == ["road", "car"]


@pytest.mark.parametrize("masks", [True, False])
def test_threads_decode_masks_and_wait_for_nothing_else(
    own: Path, indexed: Make, monkeypatch: pytest.MonkeyPatch, masks: bool
) -> None:
    layout = read("folder", own)
    if not masks:
        layout = replace(layout, images=[replace(i, mask=None) for i in layout.images])
    threads, check = set(), build._check
    monkeypatch.setattr(
        build, "_check", lambda *given: threads.add(threading.current_thread()) or check(*given)
    )
    assert len(indexed(layout, own).images) == 5
    assert (threading.main_thread() in threads) == (not masks)


def test_reader_gives_pixels_and_class_ids(own: Path, indexed: Make) -> None:
    index = indexed(read("folder", own), own)
    assert index.image("b").mode == "RGB"
    assert index.image("b").size == (8, 6)
    expected = np.zeros((6, 8), np.uint8)
    expected[:, 4:] = 1
    expected[0] = 255
    np.testing.assert_array_equal(index.mask("a"), expected)
    assert index.mask("a").dtype == np.uint8


def test_support_and_query_share_no_image(own: Path, indexed: Make) -> None:
    with pytest.raises(SettingsError) as caught:
        indexed(read("folder", own), own, {"images": 3}, split="support")
    assert str(caught.value) == (
        "params.yaml: datasets.own: image 'a' is chosen for both support and query (3 in total); "
        "support.split and query.split must not share images"
    )


def test_one_split_may_serve_both_if_the_choices_are_disjoint(plain: Any, indexed: Make) -> None:
    # sha256 puts img0 first for seeds 2 and 5, img4 for seeds 0 and 1; a query subset uses 0.
    layout, root = plain([(i, "support", None, None, int(i == "img4")) for i in SIX])
    index = indexed(layout, root, {"seeds": [2, 5]}, split="support", images=1)
    assert index.support_ids(2, 1) == ["img0"]
    assert list(index.query["image_id"]) == ["img4"]
    (root.parent / "index").rename(root.parent / "earlier")
    with pytest.raises(SettingsError, match="image 'img4' is chosen for both support and query"):
        indexed(layout, root, {"seeds": [2, 1]}, split="support", images=1)


@pytest.mark.parametrize(("part", "split"), [("support", "train"), ("query", "qury")])
def test_unknown_split_is_named_with_the_nearest(
    own: Path, indexed: Make, part: str, split: str
) -> None:
    with pytest.raises(SettingsError) as caught:
        indexed(read("folder", own), own, **{"support": {"split": split}} if part == "support" else
                {"split": split})  # fmt: skip
    hint = "; did you mean 'query'?" if part == "query" else ""
    expected = f"params.yaml: datasets.own: unknown split '{split}'; allowed: query, support{hint}"
    assert str(caught.value) == expected


def test_query_subset_is_in_hash_order(plain: Any, indexed: Make) -> None:
    rows = [(i, "query", None, None, 0) for i in SIX] + [("s", "support", None, None, 1)]
    index = indexed(*plain(rows), images=3)
    assert set(index.query["image_id"]) == {"img4", "img3", "img0"}
    assert list(index.query["unit"]) == list(index.query["image_id"])


def test_query_subset_of_each_group(plain: Any, indexed: Make) -> None:
    cities = dict(zip(SIX, "bababb", strict=True))
    rows = [(i, "query", cities[i], None, 0) for i in SIX]
    index = indexed(*plain([*rows, ("s", "support", None, None, 1)]), images=1, per="group")
    # Hash order is 4 3 0 1 2 5: the first of a (1, 3) is 3, the first of b (0, 2, 4, 5) is 4.
    assert set(index.query["image_id"]) == {"img3", "img4"}


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ({"images": 7}, "query.images: 7 requested, but 'all' has 6"),
        (
            {"images": 1, "per": "group"},
            "query.per: split 'query' has images without a group; use total",
        ),
        ({"unit": "sequence"}, "query.unit: split 'query' has no sequences; use image"),
    ],
)
def test_a_query_that_cannot_be_had(
    plain: Any, indexed: Make, query: dict[str, Any], message: str
) -> None:
    rows = [(i, "query", None, None, 0) for i in SIX] + [("s", "support", None, None, 1)]
    with pytest.raises(SettingsError) as caught:
        indexed(*plain(rows), **query)
    assert str(caught.value) == f"params.yaml: datasets.own.{message}"


def test_sequences_are_the_unit_where_asked_for(plain: Any, indexed: Make) -> None:
    rows = [(i, "query", None, f"seq{n // 4}", 0) for n, i in enumerate(SIX)]
    index = indexed(*plain([*rows, ("s", "support", None, None, 1)]), unit="sequence")
    assert list(index.query["unit"]) == ["seq0"] * 4 + ["seq1"] * 2


def test_a_repeated_image_id_is_an_error(plain: Any, indexed: Make) -> None:
    layout, root = plain([("x", "support", None, None, 0), ("x", "query", None, None, 0)])
    with pytest.raises(DataError, match=r"x\.png: image id 'x' is used twice$"):
        indexed(layout, root)


def test_a_dataset_without_images_is_an_error(tmp_path: Path, indexed: Make) -> None:
    with pytest.raises(DataError) as caught:
        indexed(Layout(("road",), {0: 0}, []), tmp_path)
    assert str(caught.value) == f"{tmp_path}: the splits of this dataset list no images"


def test_objects_from_16_bit_instances(
    tmp_path: Path, picture: Any, mask: Any, indexed: Make
) -> None:
    entries = []
    for name, split in (("s", "support"), ("q", "query")):
        picture(tmp_path / f"{name}.png")
        mask(tmp_path / f"{name}_mask.png", int(name == "s"))
        ids = np.zeros((6, 8), np.uint16)
        ids[1:3, 2:5] = 1001
        ids[5, 7] = 40000
        mask(tmp_path / f"{name}_ids.png", ids)
        entries.append(
            ImageEntry(name, split, f"{name}.png", f"{name}_mask.png", f"{name}_ids.png")
        )
    known = {1001: (1, "van"), 40000: (0, "kerb")}
    layout = Layout(("road", "car"), {0: 0, 1: 1}, entries, instances=known)
    index = indexed(layout, tmp_path)
    rows = index.objects[index.objects["image_id"] == "q"]
    columns = ["instance", "class_id", "fine_class", "x0", "y0", "x1", "y1", "area", "mask_value"]
    assert rows[columns].to_numpy().tolist() == [
        [1001, 1, "van", 2, 1, 5, 3, 6, 1001],
        [40000, 0, "kerb", 7, 5, 8, 6, 1, 40000],
    ]
    assert rows["evaluated"].all()
    assert rows["track"].isna().all()
    del known[40000]
    (tmp_path / "index").rename(tmp_path / "earlier")
    with pytest.raises(DataError, match=r"s_ids\.png: contains instance 40000, which the dataset"):
        indexed(layout, tmp_path)


def test_images_without_masks_are_indexed(
    tmp_path: Path, picture: Any, indexed_whole: Make
) -> None:
    picture(tmp_path / "a.png")
    index = indexed_whole(Layout(("car",), {}, [ImageEntry("a", "all", "a.png")]), tmp_path)
    assert pd.isna(index.images.at["a", "mask"])
    assert index.pixels == {}
    with pytest.raises(DataError, match=r"image 'a' has no mask$"):
        index.mask("a")


@pytest.mark.parametrize("table", ["support", "query", "relevance"])
def test_a_table_that_a_dataset_has_not(
    tmp_path: Path, picture: Any, indexed_whole: Make, table: str
) -> None:
    picture(tmp_path / "a.png")
    index = indexed_whole(Layout(("car",), {}, [ImageEntry("a", "all", "a.png")]), tmp_path)
    with pytest.raises(
        DataError, match=rf"{table}\.parquet: this dataset has no such table, because "
    ):
        getattr(index, table)


@pytest.mark.parametrize(("bare", "per"), [([0], "total"), ([0, 1], "class")])
def test_a_split_has_masks_of_all_its_images_or_of_none(
    plain: Any, indexed: Make, bare: list[int], per: str
) -> None:
    names = [("s", "support", None, None, 0), ("t", "support", None, None, 0)]
    layout, root = plain([*names, ("q", "query", None, None, 0)])
    images = [replace(e, mask=None) if i in bare else e for i, e in enumerate(layout.images)]
    with pytest.raises(SettingsError) as caught:
        indexed(replace(layout, images=images), root, {"per": per})
    assert str(caught.value) == (
        "params.yaml: datasets.own.support.split: 'support' has images without a mask; choose "
        "a split with a mask for each image"
    )


def test_a_video_may_have_masks_of_a_few_frames(plain: Any, indexed: Make) -> None:
    rows = [("s", "support", None, None, 0), *((f"q{i}", "query", None, "v", 1) for i in (0, 1))]
    layout, root = plain(rows)
    images = [replace(e, mask=None) if e.image_id == "q1" else e for e in layout.images]
    assert list(indexed(replace(layout, images=images), root).query["image_id"]) == ["q0", "q1"]


def test_images_without_any_mask_are_indexed_for_the_tasks_that_need_none(
    plain: Any, indexed: Make
) -> None:
    layout, root = plain([("s", "support", None, None, 0), ("q", "query", None, None, 0)])
    bare = [replace(entry, mask=None) for entry in layout.images]
    index = indexed(replace(layout, images=bare), root)
    assert index.images["mask"].isna().all()
    assert list(index.query["image_id"]) == ["q"]


def test_splits_are_joined_by_a_plus(plain: Any, indexed: Make) -> None:
    rows = [("a", "train", None, None, 0), ("b", "extra", None, None, 1)]
    layout, root = plain([*rows, ("q", "query", None, None, 0)])
    index = indexed(layout, root, {"split": "train+extra", "images": 2})
    assert set(index.support_ids(0, 2)) == {"a", "b"}
    (root.parent / "index").rename(root.parent / "earlier")
    with pytest.raises(SettingsError, match=r"unknown split 'extr'; .*did you mean 'extra'"):
        indexed(layout, root, {"split": "train+extr", "images": 2})


def test_pixels_of_each_class_are_counted_by_split(plain: Any, indexed: Make) -> None:
    rows = [("s", "support", None, None, 0), ("t", "support", None, None, 1)]
    layout, root = plain([*rows, ("q", "query", None, None, 2)])
    ignoring = replace(layout, labels={0: 255, 1: 1, 2: 0})
    assert indexed(ignoring, root, {"images": 2}).pixels == {
        "support": [0, 4, 4],
        "query": [4, 0, 0],
    }


def test_images_may_be_a_generator_that_is_read_in_batches(
    plain: Any, indexed_whole: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = [f"img{n}" for n in range(5)]
    layout, root = plain([(name, "all", None, None, 0) for name in names])
    monkeypatch.setattr("patchlens.datasets.build.BATCH", 2)
    given, open_at = [], []

    def one_by_one() -> Iterator[ImageEntry]:
        for entry in layout.images:
            given.append(entry.image_id)
            yield entry

    def spy(path: Path, terms: Terms) -> Seen:
        open_at.append(len(given))
        return Seen((2, 2), "RGB", 1, None)

    monkeypatch.setattr("patchlens.datasets.build.check_image", spy)
    index = indexed_whole(replace(layout, images=one_by_one()), root)
    assert list(index.images.index) == names
    assert max(open_at[:2]) == 2  # the generator is not ahead of the batch that is read
    assert pq.ParquetFile(index.folder / "images.parquet").num_row_groups == 3


def test_relevance_is_written_where_there_is_some(
    tmp_path: Path, picture: Any, indexed_whole: Make
) -> None:
    for name in "ab":
        picture(tmp_path / f"{name}.png")
    images = [ImageEntry(name, "all", f"{name}.png") for name in "ab"]
    pairs = [Relevance("a", "b", "easy"), Relevance("b", "a", "junk")]
    index = indexed_whole(Layout(("x",), {}, images, relevance=pairs), tmp_path)
    assert index.relevance.to_numpy().tolist() == [["a", "b", "easy"], ["b", "a", "junk"]]
    (index.folder).rename(tmp_path / "earlier")
    wrong = Layout(("x",), {}, images, relevance=[Relevance("a", "c", "easy")])
    with pytest.raises(DataError, match="the ground truth lists unknown image 'c'"):
        indexed_whole(wrong, tmp_path)


def test_the_same_dataset_gives_the_same_bytes(own: Path, tmp_path: Path, indexed: Make) -> None:
    contents = []
    for name in ("first", "second"):
        indexed(read("folder", own), own, {"images": 2, "seeds": [0, 1]})
        (tmp_path / "index").rename(tmp_path / name)
        contents.append({p.name: p.read_bytes() for p in (tmp_path / name).iterdir()})
    assert len(contents[0]) == 5
    assert contents[0] == contents[1]


def test_a_missing_index_says_what_to_run(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"dataset\.json: missing; run `dvc repro`"):
        Index(tmp_path, tmp_path)
