"""The worked example of docs/own-data.md, read as it is printed."""

import re
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
import yaml

from patchlens.datasets import readers
from patchlens.datasets.folder_yaml import Description
from patchlens.datasets.index import Index
from patchlens.settings.datasets import Collected

read = partial(readers.read, "folder")

IMAGES = ("shelf", "desk", "walk/000001", "walk/000002", "walk/000003")


@pytest.fixture
def example(root: Path, tmp_path: Path, picture: Callable[..., None]) -> Path:
    """The files that the page shows, and images as large as picture() makes them."""
    text = (root / "docs/own-data.md").read_text(encoding="utf-8")
    mine = tmp_path / "mine"
    for name, content in re.findall(r"```\w+ (\S+)\n(.*?)```", text, flags=re.DOTALL):
        (mine / name).parent.mkdir(parents=True, exist_ok=True)
        (mine / name).write_text(content, encoding="utf-8")
    for name in IMAGES:
        picture(mine / "images" / f"{name}.jpg")
    return mine


def test_the_example_reads_as_the_page_says(example: Path) -> None:
    layout = read(example)
    images = {i.image_id: i for i in layout.images}
    assert {i.image_id: (i.split, i.sequence, i.frame) for i in images.values()} == {
        "shelf": ("gallery", None, None),
        "desk": ("query", None, None),
        "walk/000001": ("video", "walk", 1),
        "walk/000002": ("video", "walk", 2),
        "walk/000003": ("video", "walk", 3),
    }
    assert all(i.mask is None for i in images.values())
    [blue] = images["shelf"].objects
    assert (blue.instance, layout.classes[blue.class_id], blue.box) == (
        "my blue cup",
        "cup",
        (2, 1, 5, 5),
    )
    assert [(o.instance, o.evaluated) for o in images["desk"].objects] == [
        ("my blue cup", True),
        ("desk/3", False),
    ]
    walk = [[(o.instance, o.evaluated, o.box) for o in images[i].objects] for i in IMAGES[2:]]
    assert walk == [
        [("walk/1", True, (1, 0, 5, 5))],
        [("walk/1", True, (2, 0, 6, 5)), ("walk/2", False, (0, 0, 2, 2))],
        [],
    ]


def test_the_example_is_indexed(example: Path, indexed_whole: Callable[..., Index]) -> None:
    objects = indexed_whole(read(example), example).objects
    assert len(objects) == 6
    cups = objects[objects["image_id"].isin(["shelf", "desk"]) & objects["evaluated"]]
    assert cups["instance"].nunique() == 1


def test_its_settings_are_valid(example: Path) -> None:
    content = yaml.safe_load((example / "params.yaml").read_text(encoding="utf-8"))
    assert content["fetch"]["placed"] == list(content["datasets"])
    assert Collected.model_validate(content["datasets"]["mine"]).kind == "folder"


def test_every_key_of_dataset_yaml_is_on_the_page(root: Path) -> None:
    text = (root / "docs/own-data.md").read_text(encoding="utf-8")
    for key in Description.model_fields:
        assert f"\n| `{key}` |" in text
