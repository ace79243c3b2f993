"""MOTChallenge's text format: its columns, from 1-based to 0-based, malformed lines."""

from pathlib import Path

import pytest

from patchlens.datasets.tracks import read_tracks
from patchlens.errors import DataError, SourceError


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "gt.txt"


def complaint(file: Path, text: str) -> str:
    file.write_text(text, encoding="utf-8")
    with pytest.raises(DataError) as caught:
        read_tracks(file)
    return str(caught.value)


def test_pixel_1_of_the_file_is_pixel_0(file: Path) -> None:
    file.write_text("1,7,1,1,10,20,1,1,1.0\n", encoding="utf-8")
    [line] = read_tracks(file)[1]
    assert line.box == (0, 0, 10, 20)


def test_a_box_that_ends_with_a_1920_pixel_image_ends_at_1920(file: Path) -> None:
    # MOT17-02, frame 1, track 4.
    file.write_text("1,4,1585,-1,336,578,0,9,0.98153\n", encoding="utf-8")
    [line] = read_tracks(file)[1]
    assert line.box == (1584, -2, 1920, 576)
    assert (line.active, line.label) == (False, 9)


def test_ten_columns_have_no_class(file: Path) -> None:
    file.write_text("1,3,794.2,47.5,71.2,174.8,1,-1,-1,-1\n\n3,3,5,6,7,8,0,1,2,3\n")
    tracks = read_tracks(file, "mot15")
    assert list(tracks) == [1, 3]
    first, second = tracks[1][0], tracks[3][0]
    assert (first.label, first.active, first.track) == (None, True, 3)
    assert first.box == pytest.approx((793.2, 46.5, 864.4, 221.3))
    assert second.active is False


def test_numbers_may_be_written_as_floats_and_a_line_may_end_with_a_comma(file: Path) -> None:
    file.write_text("2.0,5.0,1,1,1,1,1.0,3.0,0.5,\n", encoding="utf-8")
    [line] = read_tracks(file)[2]
    assert (line.frame, line.track, line.label) == (2, 5, 3)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("1,2,3", "has 3 columns instead of 9 (motchallenge); see docs/own-data.md"),
        ("1,-1,5,5,5,5,0.9,-1,-1,-1", "track -1: the file lists detections, not tracks"),
        (
            "1,2,5,5,-1,5,1,1,1",
            "a box is -1 wide and 5 high; corners and sizes may be confused",
        ),
        ("1,2,5,5,nan,5,1,1,1", "the corners of a box are not finite numbers: 4.0, 4.0, nan, 9.0"),
        ("1.5,2,5,5,5,5,1,1,1", "'1.5' is not an integer"),
        ("1,2,5,5,5,five,1,1,1", "'five' is not a number"),
        ("inf,2,5,5,5,5,1,1,1", "'inf' is not an integer"),
        ("1,1,9,9,9,9,0,8,1", "track 1 is in frame 1 twice (see line 1)"),
    ],
)
def test_a_malformed_line_is_named(file: Path, line: str, message: str) -> None:
    assert complaint(file, f"1,1,5,5,5,5,1,1,1\n\n{line}\n") == f"{file}, line 3: {message}"


def test_a_box_without_area_is_kept(file: Path) -> None:
    file.write_text("1,2,5,5,0,5,0,8,1\n", encoding="utf-8")
    assert read_tracks(file)[1][0].box == (4, 4, 4, 9)


def test_a_missing_file_and_one_that_is_no_text(file: Path) -> None:
    with pytest.raises(SourceError) as caught:
        read_tracks(file)
    assert str(caught.value) == f"{file}: no such file"
    file.write_bytes(b"1,2,\xff\xfe")
    with pytest.raises(DataError) as broken:
        read_tracks(file)
    assert str(broken.value) == f"{file}: line 1 is not UTF-8; save the file as UTF-8"


def test_an_empty_file_is_a_video_without_objects(file: Path) -> None:
    file.write_text("", encoding="utf-8")
    assert read_tracks(file) == {}
