"""INSTRE: 1-based positives, and a box whose reading the images settle."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.io import loadmat, savemat

from patchlens.datasets import readers
from patchlens.datasets.layout import Relevance
from patchlens.errors import DataError, SourceError

read = partial(readers.read, "instre")

GALLERY = ["INSTRE-S1/01a_cup/002.jpg", "INSTRE-S1/02b_toy/001.jpg", "INSTRE-M/01/001.jpg"]
QUERIES = ["INSTRE-S1/01a_cup/001.jpg", "INSTRE-S2/07_bag/004.jpg"]
POSITIVES = [[1, 3], [2]]
SIZES = [[50, 40, 30, 20], [60, 10, 40, 30]]  # x, y, width, height: the corners would be reversed
Write = Callable[..., Path]


def cells(values: list[Any]) -> Any:
    row = np.empty((1, len(values)), dtype=object)
    row[0, :] = values
    return row


@pytest.fixture
def benchmark(tmp_path: Path, picture: Callable[..., None]) -> Write:
    """`benchmark(boxes=...)`: a miniature; the images are 100×80."""

    def write(
        boxes: list[list[float]] = SIZES, positives: list[list[int]] = POSITIVES, **more: Any
    ) -> Path:
        root = tmp_path / "instre"
        for name in [*GALLERY, *QUERIES]:
            picture(root / name, (100, 80))
        gnd = np.empty((1, len(boxes)), dtype=[("ok", object), ("bbx", object)])
        for i, (ok, box) in enumerate(zip(positives, boxes, strict=True)):
            gnd[0, i] = (np.array([ok], dtype=np.uint16), np.array([box], dtype=np.float64))
        content = {"imlist": cells(GALLERY), "qimlist": cells(QUERIES), "gnd": gnd} | more
        savemat(root / "gnd_instre.mat", content)
        return root

    return write


def boxes_of(root: Path) -> list[tuple[float, ...]]:
    return [o.box for i in read(root).images if i.split == "query" for o in i.objects]


def complaint(root: Path) -> str:
    with pytest.raises(DataError) as caught:
        read(root)
    return str(caught.value).removeprefix(f"{root}/gnd_instre.mat: ")


def test_positives_are_1_based(benchmark: Write) -> None:
    assert list(read(benchmark()).relevance) == [
        Relevance(QUERIES[0], GALLERY[0], "positive"),
        Relevance(QUERIES[0], GALLERY[2], "positive"),
        Relevance(QUERIES[1], GALLERY[1], "positive"),
    ]


def test_queries_and_gallery(benchmark: Write) -> None:
    images = list(read(benchmark()).images)
    assert [i.image_id for i in images if i.split == "gallery"] == GALLERY
    assert [(i.image_id, i.objects[0].instance) for i in images if i.split == "query"] == [
        (QUERIES[0], "INSTRE-S1/01a_cup"),
        (QUERIES[1], "INSTRE-S2/07_bag"),
    ]
    assert images[0].path == GALLERY[0]


def test_a_box_of_position_and_size(benchmark: Write) -> None:
    assert boxes_of(benchmark()) == [(50, 40, 80, 60), (60, 10, 100, 40)]


def test_a_box_of_two_corners(benchmark: Write) -> None:
    corners = [[50, 40, 80, 60], [60, 10, 100, 40]]  # as sizes they would leave the image
    assert boxes_of(benchmark(boxes=corners)) == [(50, 40, 80, 60), (60, 10, 100, 40)]


def test_a_box_that_ends_a_pixel_outside_is_inside(benchmark: Write) -> None:
    # A 1-based box does. As corners none fits.
    assert boxes_of(benchmark(boxes=[[50, 40, 30, 20], [61, 10, 40, 30]]))[1] == (61, 10, 101, 40)
    outside = [[62, 10, 40, 30], [61, 12, 40, 70]]
    assert complaint(benchmark(boxes=outside)).startswith("0 of 2 query boxes are inside")


def test_one_box_that_leaves_its_image_does_not_turn_the_others(benchmark: Write) -> None:
    # As sizes the first fits and the second leaves its image, as corners none fits.
    assert boxes_of(benchmark(boxes=[[50, 40, 30, 20], [90, 10, 40, 30]])) == [
        (50, 40, 80, 60), (90, 10, 130, 40)]  # fmt: skip


def test_boxes_that_fit_both_readings_are_refused(benchmark: Write) -> None:
    assert complaint(benchmark(boxes=[[1, 1, 20, 20], [2, 2, 30, 30]])) == (
        "2 of 2 query boxes are inside their images as x, y, width, height and as many as "
        "x1, y1, x2, y2; the format is ambiguous"
    )


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"positives": [[0], [1]]}, f"query {QUERIES[0]}: a positive is outside imlist"),
        ({"positives": [[1], [4]]}, f"query {QUERIES[1]}: a positive is outside imlist"),
        (
            {"qimlist": cells(QUERIES[:1])},
            "gnd does not have a box of four numbers for each of qimlist",
        ),
        (
            {"boxes": [[1, 2, 3], [4, 5, 6]]},
            "gnd does not have a box of four numbers for each of qimlist",
        ),
        ({"imlist": cells([*GALLERY, QUERIES[0]])}, "an image is listed twice"),
        ({"gnd": 5}, "has unexpected content (IndexError"),
    ],
)
def test_ground_truth_that_does_not_fit(
    benchmark: Write, changes: dict[str, Any], message: str
) -> None:
    assert complaint(benchmark(**changes)).startswith(message)


def test_a_listed_image_that_is_gone(benchmark: Write) -> None:
    root = benchmark()
    (root / GALLERY[1]).unlink()
    assert complaint(root) == f"lists {GALLERY[1]}, which is not in {root}"
    (root / QUERIES[1]).unlink()
    (root / GALLERY[1]).write_bytes(b"")
    assert complaint(root).startswith(f"{root / QUERIES[1]}: cannot be read as an image")


@pytest.mark.parametrize("broken", ["cut", "flipped"])
def test_a_damaged_file_is_one_line(benchmark: Write, broken: str) -> None:
    """Compressed, as MATLAB writes: whatever scipy and zlib raise of it."""
    root = benchmark()
    path = root / "gnd_instre.mat"
    variables = {key: value for key, value in loadmat(path).items() if key[0] != "_"}
    savemat(path, variables, do_compression=True)
    whole = path.read_bytes()
    first = 136  # the file's header and the tag of its first variable
    read(root)
    for place in range(0 if broken == "cut" else first, len(whole), 3):
        rest = b"" if broken == "cut" else bytes([whole[place] ^ 0xFF]) + whole[place + 1 :]
        path.write_bytes(whole[:place] + rest)
        assert "\n" not in complaint(root), place


def test_no_matlab_file(benchmark: Write) -> None:
    root = benchmark()
    (root / "gnd_instre.mat").write_text("<html>404</html>" * 99)
    assert complaint(root).startswith("cannot be read as a MATLAB file (")
    (root / "gnd_instre.mat").unlink()
    with pytest.raises(
        SourceError, match=r"contains no gnd_instre\.mat\. Download instre\.tar\.gz"
    ):
        read(root)
