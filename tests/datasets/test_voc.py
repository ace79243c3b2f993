"""Pascal VOC 2012 and SBD: a miniature in the official layout, and the real samples."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from scipy.io import savemat

from patchlens.datasets import readers
from patchlens.datasets.catalogue import find
from patchlens.datasets.index import Index
from patchlens.datasets.masks import open_ids
from patchlens.datasets.voc import _colour
from patchlens.errors import DataError, SourceError

read = partial(readers.read, "voc2012")
CLASSES = tuple(find("voc2012").classes)

Make = Callable[..., Index]
VOC, SBD = "VOCdevkit/VOC2012", "benchmark_RELEASE/dataset"
LISTS = {"train": ["2007_000032", "2007_000039"], "val": ["2007_000033"]}


def palette_png(path: Path, ids: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(ids)
    image.putpalette([channel for i in range(256) for channel in (i, 255 - i, 7)])
    image.save(path)


def matlab(path: Path, ids: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    savemat(path, {"GTcls": {"Boundaries": [], "Segmentation": ids, "CategoriesPresent": [1]}})


@pytest.fixture
def ids() -> Any:
    found = np.zeros((6, 8), np.uint8)
    found[1:3], found[3:5], found[5] = 20, 1, 255
    return found


@pytest.fixture
def miniature(tmp_path: Path, picture: Any, ids: Any) -> Path:
    root = tmp_path / "voc"
    for split, stems in LISTS.items():
        path = root / VOC / "ImageSets/Segmentation" / f"{split}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("\n".join(stems) + "\n", encoding="utf-8")
        for stem in stems:
            picture(root / VOC / "JPEGImages" / f"{stem}.jpg")
            palette_png(root / VOC / "SegmentationClass" / f"{stem}.png", ids)
    return root


@pytest.fixture
def with_sbd(miniature: Path, picture: Any, ids: Any) -> Path:
    """SBD repeats an image of VOC's train and one of its val."""
    ids[ids == 255] = 0
    lists = {"train": ["2008_000001", "2007_000033"], "val": ["2007_000032", "2008_000002"]}
    for split, stems in lists.items():
        for stem in stems:
            picture(miniature / SBD / "img" / f"{stem}.jpg")
            matlab(miniature / SBD / "cls" / f"{stem}.mat", ids)
        (miniature / SBD / f"{split}.txt").write_text("\n".join(stems) + "\n", encoding="utf-8")
    return miniature


def test_palette_masks_are_read_as_indices(miniature: Path, indexed: Make) -> None:
    index = indexed(read(miniature), miniature, {"split": "train"}, split="val")
    assert index.mask("2007_000033")[:, 0].tolist() == [0, 20, 20, 1, 1, 255]
    assert (index.classes[0], index.classes[1], index.classes[20]) == (
        "background",
        "aeroplane",
        "tvmonitor",
    )


def test_an_id_outside_is_named_with_its_file(miniature: Path, indexed: Make, ids: Any) -> None:
    path = miniature / VOC / "SegmentationClass/2007_000039.png"
    ids[0] = 21
    palette_png(path, ids)
    with pytest.raises(DataError) as caught:
        indexed(read(miniature), miniature, {"split": "train"}, split="val")
    assert str(caught.value).startswith(f"{path}: contains id 21, which is not among")


def test_sbd_adds_what_is_in_neither_split(with_sbd: Path) -> None:
    layout = read(with_sbd)
    splits = {i.image_id: i.split for i in layout.images}
    assert splits == {
        "2007_000032": "train",
        "2007_000039": "train",
        "2007_000033": "val",
        "2008_000001": "sbd",
        "2008_000002": "sbd",
    }
    entry = next(i for i in layout.images if i.split == "sbd")
    assert entry.path == f"{SBD}/img/2008_000001.jpg"
    assert entry.mask == f"{SBD}/cls/2008_000001.mat"


def test_masks_of_sbd_and_trainaug(with_sbd: Path, indexed: Make) -> None:
    support = {"split": "train+sbd", "images": 4}
    index = indexed(read(with_sbd), with_sbd, support, split="val")
    assert index.mask("2008_000002")[:, 0].tolist() == [0, 20, 20, 1, 1, 0]
    assert set(index.support_ids(0, 4)) == {
        "2007_000032", "2007_000039", "2008_000001", "2008_000002",
    }  # fmt: skip


@pytest.mark.parametrize("content", [b"", b"no matlab", b"MATLAB 5.0 MAT-file"])
def test_a_broken_file_of_sbd_is_named(with_sbd: Path, indexed: Make, content: bytes) -> None:
    path = with_sbd / SBD / "cls/2008_000001.mat"
    path.write_bytes(content)
    with pytest.raises(DataError) as caught:
        indexed(read(with_sbd), with_sbd, {"split": "train"}, split="val")
    assert str(caught.value).startswith(f"{path}: cannot be read as a mask (")


@pytest.mark.parametrize("broken", ["cut", "flipped"])
def test_a_damaged_file_of_sbd_is_one_line(tmp_path: Path, ids: Any, broken: str) -> None:
    """Compressed, as SBD's are: whatever scipy and zlib raise of it."""
    path = tmp_path / "a.mat"
    savemat(path, {"GTcls": {"Segmentation": ids}}, do_compression=True)
    whole = path.read_bytes()
    first = 136  # the file's header and the tag of its first variable
    assert open_ids(path).shape == ids.shape
    for place in range(0 if broken == "cut" else first, len(whole)):
        rest = b"" if broken == "cut" else bytes([whole[place] ^ 0xFF]) + whole[place + 1 :]
        path.write_bytes(whole[:place] + rest)
        with pytest.raises(DataError) as caught:
            open_ids(path)
        assert str(caught.value).startswith(f"{path}: cannot be read as a mask (")
        assert "\n" not in str(caught.value)


def test_a_matlab_file_without_a_segmentation(with_sbd: Path, indexed: Make) -> None:
    path = with_sbd / SBD / "cls/2008_000001.mat"
    savemat(path, {"GTinst": {"Segmentation": [[1]]}})
    with pytest.raises(DataError, match=r"no GTcls\.Segmentation of SBD"):
        indexed(read(with_sbd), with_sbd, {"split": "train"}, split="val")


@pytest.mark.parametrize(
    "gone", ["JPEGImages/2007_000039.jpg", "SegmentationClass/2007_000039.png"]
)
def test_a_listed_file_that_is_gone(miniature: Path, gone: str) -> None:
    (miniature / VOC / gone).unlink()
    with pytest.raises(DataError) as caught:
        read(miniature)
    listed = miniature / VOC / "ImageSets/Segmentation/train.txt"
    assert str(caught.value) == f"{listed}, line 2: no file {miniature / VOC / gone}"


def test_nothing_there(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"VOCtrainval_11-May-2012\.tar"):
        read(tmp_path)


def test_palette_is_that_of_the_official_masks(shared: Path) -> None:
    path = shared / "data/voc_labelme" / VOC / "SegmentationClass/2011_000003.png"
    with Image.open(path) as image:
        stored = np.array(image.getpalette()).reshape(-1, 3)
    assert [tuple(int(c) for c in colour) for colour in stored[: len(CLASSES)]] == [
        _colour(i) for i in range(len(CLASSES))
    ]


def test_real_samples(shared: Path, tmp_path: Path) -> None:
    from patchlens.datasets.build import build

    root = shared / "data/voc_labelme"
    build("voc", read(root), root, None, None, tmp_path)
    index = Index(tmp_path, root)
    names = (root / "class_names.txt").read_text().split("\n")
    names = [name for name in names if name and not name.startswith("__")]
    assert [n.replace(" ", "").replace("/", "").strip("_") for n in names] == list(CLASSES)
    assert len(index.images) > 0
    for image_id, row in index.images.iterrows():
        raw = np.asarray(Image.open(root / row["mask"]))
        np.testing.assert_array_equal(index.mask(str(image_id)), raw)
        assert set(np.unique(raw)) <= {*range(21), 255}
