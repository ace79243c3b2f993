"""Masks of real datasets, in the folders in which they are published."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import yaml

from patchlens.annotations.convert import convert
from patchlens.datasets.masks import open_ids
from shared import SHARED


@pytest.fixture
def data() -> Path:
    if not (SHARED / "data").is_dir():
        pytest.skip("no folder `shared` beside the repository")
    return SHARED / "data"


def names_of(out: Path, stem: str) -> np.ndarray:
    """The name of the class of each pixel [H, W]; `ignored` where there is none."""
    classes = yaml.safe_load((out / "dataset.yaml").read_text(encoding="utf-8"))["classes"]
    ids = open_ids(out / f"masks/{stem}.png")
    return np.array([classes.get(i, "ignored") for i in range(256)])[ids]


def test_masks_of_camvid_keep_their_classes_beside_unlabelled_photos(
    tmp_path: Path, data: Path
) -> None:
    photos = sorted((data / "camvid/val").glob("*.jpg"))[:4]
    for folder, paths in (("photos", photos), ("masks", photos[:2])):
        (tmp_path / folder).mkdir()
        for path in paths:
            named = path if folder == "photos" else data / f"camvid/valannot/{path.stem}.png"
            shutil.copy(named, tmp_path / folder)
    shutil.copy(data / "camvid/classes.txt", tmp_path)
    found = convert(tmp_path / "photos", tmp_path / "masks", tmp_path / "out")
    assert found.labelled == [path.stem for path in photos[:2]]
    assert found.unlabelled == [path.stem for path in photos[2:]]
    lines = (data / "camvid/classes.txt").read_text(encoding="utf-8").splitlines()
    names = np.array([line.split()[1] for line in lines[:11]] + ["ignored"])
    stem = photos[0].stem
    truth = names[open_ids(data / f"camvid/valannot/{stem}.png")]
    np.testing.assert_array_equal(names_of(tmp_path / "out", stem), truth)
    assert len(np.unique(truth)) > 5


def test_the_folders_of_voc_are_read_where_they_lie(tmp_path: Path, data: Path) -> None:
    root = data / "voc_labelme"
    found = convert(root, root, tmp_path / "out")
    assert found.format == "voc"
    assert found.labelled == ["2011_000003", "2011_000006"]
    assert {"person", "bottle", "background"} <= {*found.classes}
    truth = open_ids(root / "VOCdevkit/VOC2012/SegmentationClass/2011_000003.png")
    named = names_of(tmp_path / "out", "2011_000003")
    np.testing.assert_array_equal(named == "person", truth == 15)
    np.testing.assert_array_equal(named == "ignored", truth == 255)
