"""COIL-100: the name is the label, views in the order of object and angle."""

from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from patchlens.datasets import readers
from patchlens.datasets.coil100 import CLASSES
from patchlens.errors import DataError, SourceError

read = partial(readers.read, "coil100")


@pytest.fixture
def views(tmp_path: Path, picture: Callable[..., None]) -> Path:
    for name in ("obj10__0", "obj2__355", "obj2__5", "obj100__90"):
        picture(tmp_path / "coil/coil-100" / f"{name}.png")
    return tmp_path / "coil"


def test_views_are_in_the_order_of_object_and_angle(views: Path) -> None:
    images = list(read(views).images)
    assert [i.image_id for i in images] == ["obj2__5", "obj2__355", "obj10__0", "obj100__90"]
    assert [(o.instance, CLASSES[o.class_id]) for i in images for o in i.objects] == [
        ("obj2", "obj2"),
        ("obj2", "obj2"),
        ("obj10", "obj10"),
        ("obj100", "obj100"),
    ]
    assert images[0].path == "coil-100/obj2__5.png"
    assert images[0].objects[0].box == (0, 0, 8, 6)
    assert {(i.split, i.sequence) for i in images} == {("all", None)}


@pytest.mark.parametrize("name", ["obj0__5", "obj101__5", "obj1__360", "obj1_5", "obj1__5 (1)"])
def test_a_name_that_is_no_label(views: Path, picture: Callable[..., None], name: str) -> None:
    path = views / "coil-100" / f"{name}.png"
    picture(path)
    with pytest.raises(DataError) as caught:
        read(views)
    assert str(caught.value) == f"{path}: the name is not obj<1 to 100>__<angle below 360>.png"


def test_nothing_there(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"contains no obj\*__\*\.png\. Download coil-100"):
        read(tmp_path)


def test_real_coil(shared: Path) -> None:
    images = list(read(shared / "data" / "coil-100").images)
    assert len(images) == 432
    assert set(Counter(i.objects[0].instance for i in images).values()) == {36}
    assert {i.objects[0].box for i in images} == {(0, 0, 128, 128)}
    assert images[0].image_id == "obj1__0"
