"""GroceryStore: photographs of groceries in shops, and one iconic image per product.

Lists and classes: github.com/marcusklasson/GroceryStoreDataset (README.md, `dataset/`).
"""

from pathlib import Path

from patchlens.datasets.below import at, check_inside, listed
from patchlens.datasets.boxes import whole_image
from patchlens.datasets.catalogue import Entry
from patchlens.datasets.layout import ImageEntry, Layout, ObjectEntry
from patchlens.datasets.reading import lines, table, top
from patchlens.errors import DataError, SourceError

SPLITS = ("train", "val", "test")
ICONIC = "iconic-images-and-descriptions"
COLUMNS = (
    "Class Name (str)",
    "Class ID (int)",
    "Coarse Class Name (str)",
    "Coarse Class ID (int)",
    "Iconic Image Path (str)",
)


def read(root: Path, facts: Entry) -> Layout:
    """Read the classes and the lists of the splits that exist; at least one must.

    Raises:
        SourceError: classes.csv or all lists are missing.
        DataError: a line is malformed, or names an unknown class or image.
    """
    here = top(root, "dataset/classes.csv", how=facts.how) / "dataset"
    coarse, fine, iconic = _classes(here / "classes.csv")
    present = [split for split in SPLITS if (here / f"{split}.txt").is_file()]
    if not present:
        raise SourceError(f"{here}: contains none of train.txt, val.txt, test.txt. {facts.how}")
    images = [i for split in present for i in _split(root, here, split, fine)]
    folder = here / ICONIC
    for path in listed(folder, "**/*_Iconic.jpg") if folder.is_dir() else ():
        name = path.relative_to(here).as_posix()
        if name not in iconic:
            raise DataError(f"{path}: classes.csv does not list this image")
        images.append(_image(root, here, "iconic", name, *fine[iconic[name]]))
    return Layout(coarse, {}, images)


def _classes(path: Path) -> tuple[tuple[str, ...], dict[int, tuple[int, str]], dict[str, int]]:
    """Coarse names in the order of their ids; fine id -> (coarse id, name); iconic path -> id."""
    coarse: dict[int, str] = {}
    fine: dict[int, tuple[int, str]] = {}
    iconic: dict[str, int] = {}
    for place, row in table(path, *COLUMNS):
        name, fine_id, group, coarse_id, image = (row[column] for column in COLUMNS)
        try:
            fine[int(fine_id)] = int(coarse_id), name
            if coarse.setdefault(int(coarse_id), group) != group:
                raise ValueError(f"coarse class {coarse_id} is also {coarse[int(coarse_id)]}")
        except ValueError as error:
            raise DataError(f"{place}: {error}") from None
        iconic[image.lstrip("/")] = int(fine_id)
    if sorted(coarse) != list(range(len(coarse))):
        raise DataError(f"{path}: the ids of the coarse classes have gaps: {sorted(coarse)}")
    return tuple(coarse[i] for i in sorted(coarse)), fine, iconic


def _split(
    root: Path, here: Path, split: str, fine: dict[int, tuple[int, str]]
) -> list[ImageEntry]:
    images = []
    path = here / f"{split}.txt"
    for number, line in lines(path):
        place = f"{path}, line {number}"
        name, *ids = (field.strip() for field in line.split(","))
        try:
            fine_id, coarse_id = (int(text) for text in ids)
        except ValueError:
            raise DataError(f"{place}: is not <path>, <fine class>, <coarse class>") from None
        if fine_id not in fine or fine[fine_id][0] != coarse_id:
            raise DataError(
                f"{place}: classes.csv has no class {fine_id} in coarse class {coarse_id}"
            )
        check_inside(name, place)
        if not at(here, name).is_file():
            raise DataError(f"{place}: missing image {here / name}")
        images.append(_image(root, here, split, name, *fine[fine_id]))
    return images


def _image(
    root: Path, here: Path, split: str, name: str, class_id: int, fine_class: str
) -> ImageEntry:
    path = at(here, name)
    image_id = path.relative_to(here).with_suffix("").as_posix()
    product = ObjectEntry(image_id, class_id, whole_image(path), fine_class)
    return ImageEntry(image_id, split, path.relative_to(root).as_posix(), objects=(product,))
