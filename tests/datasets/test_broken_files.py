"""A broken image or mask stops the index stage with its name, and nothing half-written stays."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from patchlens.datasets import indexing as stage
from patchlens.datasets.images import open_image
from patchlens.datasets.masks import open_ids, open_mask
from patchlens.errors import DataError, PatchlensError
from patchlens.settings.datasets import Collected

LABELS = {0: 0, 1: 1, 255: 255}
SETTINGS = Collected.model_validate(
    {
        "kind": "folder",
        "root": "own",
        "view": {"mode": "whole", "grid": "paper", "pixels": [8, 8]},
        "support": {"split": "support", "images": 1, "per": "total", "seeds": [0, 1]},
        "query": {"split": "query", "images": "all", "per": "total", "unit": "image"},
    }
)


def empty(path: Path) -> None:
    path.write_bytes(b"")


def truncated(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-40])


def text(path: Path) -> None:
    path.write_bytes(b"<html>404 not found</html>")


def other_size(path: Path) -> None:
    Image.fromarray(np.zeros((8, 6), np.uint8)).save(path)


def stranger(path: Path) -> None:
    Image.fromarray(np.full((6, 8), 7, np.uint8)).save(path)


def colours(path: Path) -> None:
    Image.fromarray(np.zeros((6, 8, 3), np.uint8)).save(path)


BROKEN = [
    ("images/d.jpg", empty, "cannot be read as an image (the file is empty)"),
    ("images/d.jpg", truncated, "cannot be read as an image (image file is truncated"),
    ("images/d.jpg", text, "cannot be read as an image (it is a web page"),
    ("masks/d.png", empty, "cannot be read as a mask (the file is empty)"),
    ("masks/d.png", truncated, "cannot be read as a mask ("),
    ("masks/d.png", text, "cannot be read as a mask (it is a web page"),
    (
        "masks/d.png",
        other_size,
        "is 6×8, its image d.jpg is 8×6; a mask must have the size of its image",
    ),
    ("masks/d.png", stranger, "contains id 7, which is not among the classes (0, 1, 255)"),
    ("masks/d.png", colours, "has 3 channels; a mask must have one"),
]


@pytest.mark.parametrize(("name", "breaks", "message"), BROKEN)
def test_a_broken_file_is_named_and_leaves_nothing(
    own: Path,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    breaks: Callable[[Path], None],
    message: str,
) -> None:
    monkeypatch.chdir(own.parent)
    breaks(own / name)
    with pytest.raises(DataError) as caught:
        stage.run("own", SETTINGS)
    assert str(caught.value).startswith(f"own/{name}: {message}")
    assert caught.value.exit_code == 4
    assert [p.name for p in Path("data").rglob("*")] == ["index"]


def test_a_failing_run_keeps_the_earlier_index(own: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(own.parent)
    stage.run("own", SETTINGS)
    before = {p: p.read_bytes() for p in Path("data").rglob("*.*")}
    assert len(before) == 5
    stranger(own / "masks" / "d.png")
    with pytest.raises(DataError):
        stage.run("own", SETTINGS)
    assert {p: p.read_bytes() for p in Path("data").rglob("*.*")} == before


def test_a_missing_dataset_is_a_missing_source(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(PatchlensError) as caught:
        stage.run("own", SETTINGS)
    assert caught.value.exit_code == 3
    assert list(tmp_path.iterdir()) == []


def test_a_truncated_png_is_an_error_or_lost_no_pixel(
    tmp_path: Path, picture: Any, mask: Any
) -> None:
    picture(tmp_path / "whole.png")
    mask(tmp_path / "mask.png")
    for name, read in (("whole.png", open_image), ("mask.png", open_ids)):
        content, whole = (tmp_path / name).read_bytes(), np.asarray(read(tmp_path / name))
        refused = []
        for length in range(len(content)):
            (tmp_path / "cut.png").write_bytes(content[:length])
            try:
                np.testing.assert_array_equal(np.asarray(read(tmp_path / "cut.png")), whole)
            except DataError as error:
                refused.append(str(error))
        assert len(refused) > content.index(b"IDAT")
        assert all(m.startswith(f"{tmp_path}/cut.png: cannot be read as a") for m in refused)


def test_a_missing_file(tmp_path: Path) -> None:
    for read, what in ((open_image, "an image"), (open_ids, "a mask")):
        with pytest.raises(DataError) as caught:
            read(tmp_path / "x.png")
        expected = f"{tmp_path}/x.png: cannot be read as {what} (no such file)"
        assert str(caught.value) == expected


def test_palette_masks_hold_their_indices(tmp_path: Path) -> None:
    ids = np.array([[0, 1], [255, 1]], np.uint8)
    image = Image.fromarray(ids)
    image.putpalette([200, 10, 10] * 256)
    assert image.mode == "P"
    image.save(tmp_path / "p.png")
    np.testing.assert_array_equal(open_mask(tmp_path / "p.png", LABELS), ids)


def test_labels_translate_ids(tmp_path: Path, mask: Any) -> None:
    mask(tmp_path / "m.png", np.array([[7, 33], [0, 7]], np.uint8))
    found = open_mask(tmp_path / "m.png", {7: 0, 33: 1, 0: 255})
    np.testing.assert_array_equal(found, np.array([[0, 1], [255, 0]]))


def test_16_bit_ids_are_read_whole(tmp_path: Path, mask: Any) -> None:
    ids = np.array([[0, 256], [40000, 65535]], np.uint16)
    mask(tmp_path / "m.png", ids)
    np.testing.assert_array_equal(open_ids(tmp_path / "m.png"), ids)
    with pytest.raises(DataError, match="contains id 256, which is not among the classes"):
        open_mask(tmp_path / "m.png", LABELS)


@pytest.mark.parametrize("stranger", [-1, -2, -256, 2**31 - 1])
def test_ids_far_outside_are_strangers_too(tmp_path: Path, stranger: int) -> None:
    Image.fromarray(np.array([[0, stranger]], np.int32)).save(tmp_path / "m.tif")
    with pytest.raises(DataError, match=f"contains id {stranger}, which is not among the classes"):
        open_mask(tmp_path / "m.tif", LABELS)
