"""The meaning of values in instance masks: from a table, or from the class masks."""

from collections.abc import Hashable
from pathlib import Path

import numpy as np

from patchlens.datasets.layout import IGNORE, Layout
from patchlens.datasets.masks import open_ids, open_mask
from patchlens.datasets.reading import table, whole
from patchlens.errors import DataError
from patchlens.names import nearest

Meaning = dict[Hashable, tuple[int, str]]  # value, or key of the layout -> class id, fine class


def from_table(path: Path, classes: tuple[str, ...]) -> Meaning:
    """Read a table with the columns instance, class and, optionally, fine_class.

    Raises:
        SourceError: the file does not exist.
        DataError: a column is missing, an id is not above 0 or not unique, or a class is unknown.
    """
    found: Meaning = {}
    for place, row in table(path, "instance", "class"):
        name = row["class"]
        try:
            value = whole(row["instance"])
        except ValueError:
            value = 0
        if value < 1:
            raise DataError(f"{place}: instance '{row['instance']}' is not an integer above 0")
        if value in found:
            raise DataError(f"{place}: instance {value} occurs twice")
        if name not in classes:
            raise DataError(f"{place}: '{name}' is not in classes; {nearest(name, classes)}")
        found[value] = classes.index(name), row.get("fine_class", "")
    return found


def by_majority(root: Path, layout: Layout, *, stated: bool) -> Meaning:
    """The most frequent class of the pixels of each instance, without ignored pixels.

    Args:
        root: the dataset's root.
        layout: its classes, images and where a number means one object.
        stated: whether the user states that; else numbers that begin at 1 everywhere are refused.

    Raises:
        DataError: an image has no class mask, an instance has no labelled pixel, or its most
            frequent class differs between images, so that the number is not that of a single
            object.
    """
    found: Meaning = {}
    first: dict[Hashable, Path] = {}
    numbers: list[list[int]] = []
    for entry in layout.images:
        if entry.instances is None:
            continue
        path = root / entry.instances
        if entry.mask is None:
            raise DataError(f"{path}: its image has no mask in masks/, which defines the class")
        ids = open_ids(path, layout.terms)
        mask = open_mask(root / entry.mask, layout.labels, layout.terms)
        if ids.shape != mask.shape:
            raise DataError(f"{path}: its size differs from that of {root / entry.mask}")
        values = [int(v) for v in np.unique(ids) if v != 0]
        numbers += [values] if values else []
        for value in values:
            counts = np.bincount(
                mask[(ids == value) & (mask != IGNORE)], minlength=len(layout.classes)
            )
            if not counts.any():
                raise DataError(f"{path}: instance {value} has no labelled pixel in masks/")
            class_id, key = int(counts.argmax()), layout.key(entry, value)
            if found.setdefault(key, (class_id, ""))[0] != class_id:
                raise DataError(
                    f"{path}: instance {value} is mostly '{layout.classes[class_id]}' here and "
                    f"mostly '{layout.classes[found[key][0]]}' in {first[key]}; a number must mean "
                    "one object in all images, or write instance_scope: image in dataset.yaml"
                )
            first.setdefault(key, path)
    if not stated and len(numbers) > 1 and all(1 in values for values in numbers):
        raise DataError(
            f"{root / 'instances'}: instance 1 is in every image; write in dataset.yaml "
            "instance_scope: image if every image numbers its objects, dataset if it is one object"
        )
    return found
