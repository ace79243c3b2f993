"""Reading what the render stage wrote, on a fake of it."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from minicity.spec import CLASSES
from patchlens.datasets import readers
from patchlens.errors import SourceError

read = partial(readers.read, "minicity")


@pytest.fixture
def rendered(tmp_path: Path, picture: Callable[..., None]) -> Path:
    for name in ("video_test/v01_0007", "query/s0000", "support/s0001", "support/s0000"):
        picture(tmp_path / "images" / f"{name}.png")
    text = "instance,class_id,fine_class\n1,4,tram\n70000,5,\n"
    (tmp_path / "instances.csv").write_text(text, encoding="utf-8")
    return tmp_path


def test_frames_carry_split_masks_and_sequence(rendered: Path) -> None:
    images = {i.image_id: i for i in read(rendered).images}
    assert list(images) == [
        "support_s0000",
        "support_s0001",
        "query_s0000",
        "video_test_v01_0007",
    ]
    still, frame = images["support_s0001"], images["video_test_v01_0007"]
    assert (still.split, still.path) == ("support", "images/support/s0001.png")
    assert (still.mask, still.instances) == (
        "semantic/support/s0001.png",
        "instance/support/s0001.png",
    )
    assert (still.sequence, still.frame) == (None, None)
    assert (frame.sequence, frame.frame) == ("video_test_v01", 7)


def test_instances_and_classes(rendered: Path) -> None:
    layout = read(rendered)
    assert layout.instances == {1: (4, "tram"), 70000: (5, "")}
    assert layout.classes == tuple(CLASSES)
    assert layout.labels == {i: i for i in range(len(CLASSES))}


def test_nothing_rendered(tmp_path: Path) -> None:
    with pytest.raises(SourceError) as caught:
        read(tmp_path)
    assert str(caught.value) == f"{tmp_path}: minicity is not rendered; run `dvc repro render`"
