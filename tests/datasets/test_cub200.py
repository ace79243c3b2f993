"""CUB-200-2011: ids from 1, the split, boxes, and lists that contradict each other."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from patchlens.datasets import readers
from patchlens.errors import DataError, SourceError

read = partial(readers.read, "cub200")

NAMES = ("001.Black_footed_Albatross/a_0046.jpg", "002.Laysan_Albatross/b_0002.jpg")
LISTS = {
    "images.txt": f"1 {NAMES[0]}\n2 {NAMES[1]}\n",
    "classes.txt": "1 001.Black_footed_Albatross\n2 002.Laysan_Albatross\n",
    "image_class_labels.txt": "1 1\n2 2\n",
    "train_test_split.txt": "1 0\n2 1\n",
    "bounding_boxes.txt": "1 1.0 2.0 3.5 4.0\n2 0.0 0.0 8.0 6.0\n",
}


@pytest.fixture
def birds(tmp_path: Path, picture: Callable[..., None]) -> Path:
    root = tmp_path / "cub"
    for name in NAMES:
        picture(root / "CUB_200_2011/images" / name)
    for name, text in LISTS.items():
        (root / "CUB_200_2011" / name).write_text(text)
    return root


def test_images_of_both_splits(birds: Path) -> None:
    layout = read(birds)
    assert layout.classes == ("001.Black_footed_Albatross", "002.Laysan_Albatross")
    first, second = layout.images
    assert (first.image_id, first.split) == ("a_0046", "test")
    assert (second.image_id, second.split) == ("b_0002", "train")
    assert first.path == f"CUB_200_2011/images/{NAMES[0]}"


def test_class_1_is_class_0_and_the_box_has_its_corner_and_size(birds: Path) -> None:
    first, second = read(birds / "CUB_200_2011").images
    assert [(o.class_id, o.fine_class, o.box) for o in first.objects] == [
        (0, "001.Black_footed_Albatross", (1.0, 2.0, 4.5, 6.0))
    ]
    assert second.objects[0].class_id == 1
    assert first.objects[0].instance != second.objects[0].instance


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("images.txt", "1 gone.jpg\n", "images.txt, line 1: missing image {here}/images/gone.jpg"),
        ("images.txt", "1 a b\n", "images.txt, line 1: has 3 columns instead of 2"),
        ("image_class_labels.txt", "1 1\n", "images.txt, line 2: image 2 has no class"),
        ("image_class_labels.txt", "1 1\n2 9\n", "image_class_labels.txt, line 2: class 9 is not"),
        ("train_test_split.txt", "1 0\n2 2\n", "train_test_split.txt, line 2: 2 is neither 1"),
        ("train_test_split.txt", "1 0\n1 1\n", "train_test_split.txt, line 2: id 1 occurs twice"),
        ("bounding_boxes.txt", "2 0 0 1 1\n", "images.txt, line 1: image 1 has no box"),
        ("bounding_boxes.txt", "1 1 1 -2 1\n", "bounding_boxes.txt, line 1: a box is -2 wide"),
        ("bounding_boxes.txt", "1 a 1 1 1\n", "bounding_boxes.txt, line 1: 'a' is not a number"),
    ],
)
def test_lists_that_do_not_fit(birds: Path, name: str, text: str, message: str) -> None:
    here = birds / "CUB_200_2011"
    if name == "bounding_boxes.txt" and text.startswith("1 "):
        text += "2 0 0 1 1\n"
    (here / name).write_text(text)
    with pytest.raises(DataError) as caught:
        read(birds)
    assert str(caught.value).startswith(f"{here}/{message.format(here=here)}")


def test_missing_lists(birds: Path) -> None:
    (birds / "CUB_200_2011/classes.txt").unlink()
    with pytest.raises(SourceError) as caught:
        read(birds)
    assert str(caught.value) == f"{birds}/CUB_200_2011/classes.txt: no such file"
    with pytest.raises(SourceError, match=r"contains no images\.txt\. Download CUB_200_2011"):
        read(birds.parent / "cub/CUB_200_2011/images")
