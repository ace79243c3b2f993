"""CUB-200-2011: 11 788 photographs of 200 bird species, one box each.

Lists and splits: the dataset's README (data.caltech.edu/records/65de6-vp158), which does not state
whether the pixels of a box count from 0 or from 1.
"""

from pathlib import Path

from patchlens.datasets.below import at, check_inside
from patchlens.datasets.boxes import from_size
from patchlens.datasets.catalogue import Entry
from patchlens.datasets.layout import ImageEntry, Layout, ObjectEntry
from patchlens.datasets.reading import decimal, lines, top
from patchlens.errors import DataError

SPLITS = {"1": "train", "0": "test"}


def read(root: Path, facts: Entry) -> Layout:
    """Read the five lists.

    Raises:
        SourceError: a list is missing.
        DataError: a list is malformed, or an image lacks a file, class, split or box.
    """
    here = top(root, "images.txt", how=facts.how)
    classes = _table(here / "classes.txt", 2)
    labels = _table(here / "image_class_labels.txt", 2)
    splits = _table(here / "train_test_split.txt", 2)
    boxes = _table(here / "bounding_boxes.txt", 5)
    names = tuple(name for _, (name,) in classes.values())
    order = {class_id: position for position, class_id in enumerate(classes)}
    images = []
    for image_id, (place, (name,)) in _table(here / "images.txt", 2).items():
        check_inside(name, place)
        path = at(here / "images", name)
        if not path.is_file():
            raise DataError(f"{place}: missing image {path}")
        for table, what in ((labels, "class"), (splits, "split"), (boxes, "box")):
            if image_id not in table:
                raise DataError(f"{place}: image {image_id} has no {what}")
        (label_place, (label,)), (split_place, (split,)) = labels[image_id], splits[image_id]
        if label not in order:
            raise DataError(f"{label_place}: class {label} is not in classes.txt")
        if split not in SPLITS:
            raise DataError(f"{split_place}: {split} is neither 1 (train) nor 0 (test)")
        box_place, numbers = boxes[image_id]
        try:
            x, y, width, height = (decimal(text) for text in numbers)
            box = from_size(x, y, width, height)
        except ValueError as error:
            raise DataError(f"{box_place}: {error}") from None
        class_id = order[label]
        bird = ObjectEntry(path.stem, class_id, box, fine_class=names[class_id])
        relative = path.relative_to(root).as_posix()
        images.append(ImageEntry(path.stem, SPLITS[split], relative, objects=(bird,)))
    return Layout(names, {}, images)


def _table(path: Path, columns: int) -> dict[str, tuple[str, list[str]]]:
    """Id -> (file and line, the other columns), in the order of the file."""
    found: dict[str, tuple[str, list[str]]] = {}
    for number, line in lines(path):
        place, fields = f"{path}, line {number}", line.split()
        if len(fields) != columns:
            raise DataError(f"{place}: has {len(fields)} columns instead of {columns}")
        if fields[0] in found:
            raise DataError(f"{place}: id {fields[0]} occurs twice")
        found[fields[0]] = place, fields[1:]
    return found
