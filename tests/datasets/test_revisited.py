"""ROxford5k and RParis6k: graded pairs, query boxes, and ground truth that does not fit."""

import pickle
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from patchlens.datasets import readers
from patchlens.datasets.index import Index
from patchlens.datasets.layout import Relevance
from patchlens.errors import DataError, SourceError

GALLERY = ["all_souls_000001", "magdalen_000002", "oxford_000003", "oxford_000004"]
QUERIES = ["all_souls_000013", "magdalen_000078"]
GND = [
    {"bbx": [1.5, 0.5, 6.0, 5.0], "easy": [0], "hard": [2, 3], "junk": [1]},
    {"bbx": [0, 0, 8, 6], "easy": [], "hard": [1], "junk": []},
]
Write = Callable[..., Path]
read_roxford5k, read_rparis6k = (partial(readers.read, kind) for kind in ("roxford5k", "rparis6k"))


@pytest.fixture
def benchmark(tmp_path: Path, picture: Callable[..., None]) -> Write:
    """`benchmark(gnd=..., imlist=...)`: a miniature with its pickle and one image too many."""

    def write(kind: str = "roxford5k", folder: str = "jpg", **changes: Any) -> Path:
        root = tmp_path / "benchmark"
        for name in [*GALLERY, *QUERIES, "paris_louvre_000136"]:
            picture(root / folder / f"{name}.jpg")
        content = {"gnd": GND, "imlist": GALLERY, "qimlist": QUERIES} | changes
        (root / f"gnd_{kind}.pkl").write_bytes(pickle.dumps(content, 2))
        return root

    return write


def complaint(root: Path) -> str:
    with pytest.raises(DataError) as caught:
        read_roxford5k(root)
    return str(caught.value).removeprefix(f"{root}/gnd_roxford5k.pkl: ")


def test_each_grade_of_each_pair(benchmark: Write) -> None:
    first, second = QUERIES
    assert list(read_roxford5k(benchmark()).relevance) == [
        Relevance(first, GALLERY[0], "easy"),
        Relevance(first, GALLERY[2], "hard"),
        Relevance(first, GALLERY[3], "hard"),
        Relevance(first, GALLERY[1], "junk"),
        Relevance(second, GALLERY[1], "hard"),
    ]


def test_the_query_is_the_box_and_the_gallery_has_no_objects(benchmark: Write) -> None:
    images = {i.image_id: i for i in read_roxford5k(benchmark()).images}
    assert Counter(i.split for i in images.values()) == {"gallery": 4, "query": 2}
    assert [o.box for o in images[QUERIES[0]].objects] == [(1.5, 0.5, 6.0, 5.0)]
    assert images[QUERIES[0]].objects[0].instance != images[QUERIES[1]].objects[0].instance
    assert all(images[name].objects == () for name in GALLERY)


def test_an_image_of_no_list_is_left_out(benchmark: Write) -> None:
    ids = [i.image_id for i in read_roxford5k(benchmark()).images]
    assert sorted(ids) == sorted([*GALLERY, *QUERIES])


def test_images_may_lie_in_the_folders_of_the_archives(benchmark: Write) -> None:
    root = benchmark(kind="rparis6k", folder="jpg/paris/louvre")
    images = list(read_rparis6k(root).images)
    assert images[0].path == f"jpg/paris/louvre/{GALLERY[0]}.jpg"


def test_two_images_of_one_name(benchmark: Write, picture: Callable[..., None]) -> None:
    root = benchmark()
    picture(root / "jpg/other" / f"{GALLERY[0]}.jpg")
    with pytest.raises(DataError) as caught:
        read_roxford5k(root)
    assert str(caught.value) == (
        f"{root}/jpg/other/{GALLERY[0]}.jpg: shares its stem with {root}/jpg/{GALLERY[0]}.jpg; "
        "keep one of the two"
    )


def test_numpy_arrays_in_the_ground_truth(benchmark: Write) -> None:
    arrays = [{key: np.array(value) for key, value in record.items()} for record in GND]
    arrays[1]["easy"] = np.array([], dtype=np.int64)
    plain = list(read_roxford5k(benchmark()).relevance)
    assert list(read_roxford5k(benchmark(gnd=arrays)).relevance) == plain


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"gnd": GND[:1]}, "2 queries, but 1 entries in gnd"),
        ({"imlist": [*GALLERY, QUERIES[0]]}, "an image is listed twice"),
        ({"imlist": None}, "lacks imlist, qimlist or gnd"),
        ({"gnd": [GND[0], {"bbx": [0, 0, 8, 6]}]}, f"query {QUERIES[1]}: 'easy'"),
        (
            {"gnd": [GND[0], GND[1] | {"junk": [4]}]},
            f"query {QUERIES[1]}: an index is outside the 4 images of imlist",
        ),
        (
            {"gnd": [GND[0], GND[1] | {"junk": [-1]}]},
            f"query {QUERIES[1]}: an index is outside the 4 images of imlist",
        ),
        (
            {"gnd": [GND[0] | {"junk": [0]}, GND[1]]},
            f"query {QUERIES[0]}: an image has two grades",
        ),
        (
            {"gnd": [GND[0] | {"bbx": [5, 5, 1, 1]}, GND[1]]},
            f"query {QUERIES[0]}: a box is -4 wide and -4 high; corners and sizes may be confused",
        ),
    ],
)
def test_ground_truth_that_does_not_fit(
    benchmark: Write, changes: dict[str, Any], message: str
) -> None:
    assert complaint(benchmark(**changes)) == message


def test_listed_images_that_are_gone(benchmark: Write) -> None:
    root = benchmark()
    for name in (GALLERY[3], QUERIES[0]):
        (root / "jpg" / f"{name}.jpg").unlink()
    assert complaint(root) == (
        f"lists {QUERIES[0]}, but {root}/jpg has no {QUERIES[0]}.jpg (2 images are missing)"
    )


def test_missing_sources(benchmark: Write, tmp_path: Path) -> None:
    root = benchmark()
    with pytest.raises(
        SourceError, match=r"contains no gnd_rparis6k\.pkl\. Unpack paris_1-v1\.tgz"
    ):
        read_rparis6k(root)
    (root / "jpg").rename(tmp_path / "elsewhere")
    with pytest.raises(SourceError) as caught:
        read_roxford5k(root)
    assert str(caught.value).startswith(f"{root}/jpg: no such folder. Unpack oxbuild_images")


def test_the_index_holds_the_pairs(benchmark: Write, indexed_whole: Callable[..., Index]) -> None:
    root = benchmark()
    index = indexed_whole(read_roxford5k(root), root)
    pairs = pd.read_parquet(index.folder / "relevance.parquet")
    assert pairs["grade"].value_counts().to_dict() == {"hard": 3, "easy": 1, "junk": 1}
    assert len(index.objects) == 2
