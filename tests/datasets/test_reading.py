"""Lists, tables and folders of official layouts: what is read, and how a mistake is named."""

from collections.abc import Callable
from pathlib import Path

import pytest

from patchlens.datasets.boxes import corners, from_size, whole_image
from patchlens.datasets.reading import frames, table, top
from patchlens.errors import DataError, SourceError


def test_the_folder_of_an_archive_may_be_around_the_dataset(tmp_path: Path) -> None:
    (tmp_path / "outer/inner/train/a").mkdir(parents=True)
    inner = tmp_path / "outer/inner"
    assert top(inner, "train/*", how="") == inner
    assert top(tmp_path / "outer", "test/*", "train/*", how="") == inner
    with pytest.raises(SourceError) as caught:
        top(tmp_path, "test/*", "train/*", how="Get it")
    assert str(caught.value) == f"{tmp_path}: contains no test/* and no train/*. Get it"
    with pytest.raises(SourceError, match=r"gone: no such folder\. Get it$"):
        top(tmp_path / "gone", "x", how="Get it")


def test_two_copies_are_not_guessed_between(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name / "train").mkdir(parents=True)
    with pytest.raises(DataError) as caught:
        top(tmp_path, "train", how="")
    assert str(caught.value) == f"{tmp_path}: a and b both contain the dataset; remove one"


def test_rows_of_a_table(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    path.write_text('name,value\n"a, b",1\n\nc\n')
    assert list(table(path, "value")) == [
        (f"{path}, line 2", {"name": "a, b", "value": "1"}),
        (f"{path}, line 4", {"name": "c", "value": ""}),
    ]
    path.write_text("")
    with pytest.raises(DataError, match="has no column 'value'"):
        list(table(path, "value"))


def test_frames_are_sorted_by_number_and_hidden_files_are_none(
    tmp_path: Path, picture: Callable[..., None]
) -> None:
    for name in ("f10.png", "f9.png", "f011.png", ".f1.png"):
        picture(tmp_path / name)
    assert [(n, p.name) for n, p in frames(tmp_path).items()] == [
        (9, "f9.png"),
        (10, "f10.png"),
        (11, "f011.png"),
    ]
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match=r"contains no pictures$"):
        frames(tmp_path / "empty")


def test_boxes() -> None:
    assert from_size(-1, 2.5, 3, 4) == (-1, 2.5, 2, 6.5)
    assert corners(0, 0, 0, 1, evaluated=False) == (0, 0, 0, 1)
    assert corners(0, 1, 1, 1) == (0, 1, 1, 1)  # flat: kept, and not evaluated
    for box in ((2, 0, 1, 1), (0, 1, 1, 0)):
        with pytest.raises(ValueError, match="corners and sizes may be confused"):
            corners(*box)
    with pytest.raises(ValueError, match="not finite numbers"):
        corners(0, 0, float("inf"), 1, evaluated=False)


def test_the_box_of_a_whole_image(tmp_path: Path, picture: Callable[..., None]) -> None:
    picture(tmp_path / "a.png", (7, 3))
    assert whole_image(tmp_path / "a.png") == (0, 0, 7, 3)
    with pytest.raises(DataError, match=r"b\.png: cannot be read as an image \(no such file\)"):
        whole_image(tmp_path / "b.png")
