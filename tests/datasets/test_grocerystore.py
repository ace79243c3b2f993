"""GroceryStore: fine and coarse classes, iconic images, and the real copy."""

from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from patchlens.datasets import readers
from patchlens.datasets.grocerystore import COLUMNS
from patchlens.datasets.index import Index
from patchlens.errors import DataError, SourceError

read = partial(readers.read, "grocerystore")

ICONIC = "iconic-images-and-descriptions/Fruit"
ROWS = [
    f"Royal-Gala,0,Apple,0,/{ICONIC}/Royal-Gala_Iconic.jpg",
    f"Granny-Smith,1,Apple,0,/{ICONIC}/Granny-Smith_Iconic.jpg",
    f"Lemon,2,Lemon,1,/{ICONIC}/Lemon_Iconic.jpg",
]


@pytest.fixture
def store(tmp_path: Path, picture: Callable[..., None]) -> Path:
    """One photograph in each of train and test; one iconic image of three."""
    here = tmp_path / "store/dataset"
    picture(here / "train/Fruit/Granny-Smith_001.jpg", (8, 6))
    picture(here / "test/Fruit/Lemon_001.jpg", (6, 8))
    picture(here / ICONIC / "Lemon_Iconic.jpg", (5, 5))
    (here / "classes.csv").write_text("\n".join([",".join(COLUMNS), *ROWS]) + "\n")
    (here / "train.txt").write_text("train/Fruit/Granny-Smith_001.jpg, 1, 0\n")
    (here / "test.txt").write_text("test/Fruit/Lemon_001.jpg, 2, 1\n")
    return tmp_path / "store"


def test_the_class_is_the_coarse_one(store: Path) -> None:
    layout = read(store)
    assert layout.classes == ("Apple", "Lemon")
    found = [
        (i.split, layout.classes[o.class_id], o.fine_class, o.box)
        for i in layout.images
        for o in i.objects
    ]
    assert found == [
        ("train", "Apple", "Granny-Smith", (0, 0, 8, 6)),
        ("test", "Lemon", "Lemon", (0, 0, 6, 8)),
        ("iconic", "Lemon", "Lemon", (0, 0, 5, 5)),
    ]


def test_ids_and_paths(store: Path) -> None:
    first = next(iter(read(store).images))
    assert first.image_id == "train/Fruit/Granny-Smith_001"
    assert first.path == "dataset/train/Fruit/Granny-Smith_001.jpg"


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("train/Fruit/gone.jpg, 1, 0", "missing image {here}/train/Fruit/gone.jpg"),
        ("train/Fruit/Granny-Smith_001.jpg, 1, 1", "classes.csv has no class 1 in coarse class 1"),
        ("train/Fruit/Granny-Smith_001.jpg, 9, 0", "classes.csv has no class 9 in coarse class 0"),
        ("train/Fruit/Granny-Smith_001.jpg, 1", "is not <path>, <fine class>, <coarse class>"),
        ("train/Fruit/Granny-Smith_001.jpg, a, 0", "is not <path>, <fine class>, <coarse class>"),
    ],
)
def test_a_line_that_does_not_fit(store: Path, line: str, message: str) -> None:
    here = store / "dataset"
    (here / "train.txt").write_text(f"\n{line}\n")
    with pytest.raises(DataError) as caught:
        read(store)
    assert str(caught.value) == f"{here}/train.txt, line 2: {message.format(here=here)}"


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            "Granny-Smith,1,Apple,0",
            "Granny-Smith,1,Pear,0",
            ", line 3: coarse class 0 is also Apple",
        ),
        ("Lemon,2,Lemon,1", "Lemon,2,Lemon,3", ": the ids of the coarse classes have gaps: [0, 3]"),
        ("Lemon,2,Lemon,1", "Lemon,two,Lemon,1", ", line 4: invalid literal for int()"),
        ("Class ID (int)", "Class", ": has no column 'Class ID (int)'"),
    ],
)
def test_classes_that_do_not_fit(store: Path, old: str, new: str, message: str) -> None:
    path = store / "dataset/classes.csv"
    path.write_text(path.read_text().replace(old, new, 1))
    with pytest.raises(DataError) as caught:
        read(store)
    assert str(caught.value).startswith(f"{path}{message}")


def test_an_iconic_image_that_is_not_listed(store: Path, picture: Callable[..., None]) -> None:
    path = store / "dataset" / ICONIC / "Kiwi_Iconic.jpg"
    picture(path)
    with pytest.raises(DataError) as caught:
        read(store)
    assert str(caught.value) == f"{path}: classes.csv does not list this image"


def test_missing_lists(store: Path) -> None:
    for name in ("train.txt", "test.txt"):
        (store / "dataset" / name).unlink()
    with pytest.raises(
        SourceError, match=r"contains none of train\.txt, val\.txt, test\.txt\. Clone"
    ):
        read(store)
    with pytest.raises(SourceError, match=r"contains no dataset/classes\.csv\. Clone"):
        read(store / "dataset")


def test_real_grocerystore(shared: Path) -> None:
    layout = read(shared / "data" / "GroceryStore")
    images = list(layout.images)
    counts = {"train": 375, "val": 74, "test": 300, "iconic": 54}
    assert Counter(i.split for i in images) == counts
    assert len(layout.classes) == 43
    last = next(
        i for i in images if i.image_id == "train/Vegetables/Tomato/Vine-Tomato/Vine-Tomato_005"
    )
    assert layout.classes[last.objects[0].class_id] == "Tomato"
    assert last.objects[0].fine_class == "Vine-Tomato"
    assert {i.objects[0].box for i in images} == {
        (0, 0, 348, 348), (0, 0, 348, 464), (0, 0, 464, 348), (0, 0, 198, 198)}  # fmt: skip


def test_real_grocerystore_index(shared: Path, indexed_whole: Callable[..., Index]) -> None:
    root = shared / "data" / "GroceryStore"
    index = indexed_whole(read(root), root)
    assert len(index.images) == len(index.objects) == 803
    assert index.objects["fine_class"].nunique() == 54
