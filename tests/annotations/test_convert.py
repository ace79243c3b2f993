"""Annotations as tools write them become a dataset of kind `folder`."""

import json
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image

from annotations.written import CAR_BOX, SCENES, photos, scene
from patchlens.annotations.convert import Converted, convert, with_splits
from patchlens.datasets import readers
from patchlens.datasets.masks import open_ids


def converted(tmp_path: Path, given: Path, *names: str) -> Converted:
    folder = photos(tmp_path / "photos", *(names or ("a.png", "b.png")))
    return convert(folder, given, tmp_path / "out")


def mask_of(tmp_path: Path, name: str = "a") -> np.ndarray:
    """The class mask of a picture, with its classes as in `scene`."""
    about = yaml.safe_load((tmp_path / "out/dataset.yaml").read_text(encoding="utf-8"))
    order = {"background": 0, "road": 1, "car": 2}
    ids = open_ids(tmp_path / f"out/masks/{name}.png")
    table = np.full(256, 255)
    for value, label in about["classes"].items():
        table[value] = order[label]
    return table[ids]


@pytest.mark.parametrize("name", SCENES)
def test_every_format_gives_the_scene_that_was_drawn(tmp_path: Path, name: str) -> None:
    form, write = SCENES[name]
    found = converted(tmp_path, write(tmp_path / "labels"))
    assert (found.format, found.labelled, found.unlabelled) == (form, ["a"], ["b"])
    assert sorted(found.classes) == ["background", "car", "road"]
    np.testing.assert_array_equal(mask_of(tmp_path), scene())
    if form != "masks":
        objects = json.loads((tmp_path / "out/objects.json").read_text(encoding="utf-8"))
        boxes = [o["bbox"] for o in objects["annotations"]]
        x0, y0, x1, y1 = CAR_BOX
        close = np.isclose(boxes, [x0, y0, x1 - x0, y1 - y0], atol=1e-3)
        assert close.all(axis=1).any(), boxes
    with_splits(tmp_path / "out", {"query": found.labelled, "rest": found.unlabelled})
    images = {i.image_id: i for i in readers.read("folder", tmp_path / "out").images}
    assert images["a"].mask == "masks/a.png"
    assert images["b"].mask is None
    assert Image.open(tmp_path / "out" / images["a"].path).size == (40, 30)
