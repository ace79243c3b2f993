"""The meaning of values in instance masks: from a table, or from the class masks."""

from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np

from patchlens.datasets.layout import IGNORE, ImageEntry
from patchlens.datasets.masks import open_ids, open_mask
from patchlens.datasets.reading import table
from patchlens.errors import DataError
from patchlens.names import nearest

Meaning = dict[int, tuple[int, str]]  # value -> class id, fine class


def from_table(path: Path, classes: tuple[str, ...]) -> Meaning:
    """Read a table with the columns instance, class and, optionally, fine_class.

    Raises:
        SourceError: the file does not exist.
        DataError: a column is missing, an id is not above 0 or not unique, or a class is unknown.
    """
    found: Meaning = {}
    for place, row in table(path, "instance", "class"):
        value, name = row["instance"], row["class"]
        if not value.isdecimal() or int(value) == 0:
            raise DataError(f"{place}: instance '{value}' is not an integer above 0")
        if int(value) in found:
            raise DataError(f"{place}: instance {value} occurs twice")
        if name not in classes:
            raise DataError(f"{place}: '{name}' is not in classes; {nearest(name, classes)}")
        found[int(value)] = classes.index(name), row.get("fine_class", "")
    return found


def by_majority(
    root: Path, images: Iterable[ImageEntry], labels: Mapping[int, int], classes: tuple[str, ...]
) -> Meaning:
    """The most frequent class of the pixels of each instance, without ignored pixels.

    Raises:
        DataError: an image has no class mask, an instance has no labelled pixel, or its most
            frequent class differs between images, so that the number is not that of a single
            object.
    """
    found: Meaning = {}
    first: dict[int, Path] = {}
    for entry in images:
        if entry.instances is None:
            continue
        path = root / entry.instances
        if entry.mask is None:
            raise DataError(f"{path}: its image has no mask in masks/, which defines the class")
        ids, mask = open_ids(path), open_mask(root / entry.mask, dict(labels))
        if ids.shape != mask.shape:
            raise DataError(f"{path}: its size differs from that of {root / entry.mask}")
        for value in (int(v) for v in np.unique(ids) if v != 0):
            counts = np.bincount(mask[(ids == value) & (mask != IGNORE)], minlength=len(classes))
            if not counts.any():
                raise DataError(f"{path}: instance {value} has no labelled pixel in masks/")
            class_id = int(counts.argmax())
            if found.setdefault(value, (class_id, ""))[0] != class_id:
                raise DataError(
                    f"{path}: instance {value} is mostly '{classes[class_id]}' here and mostly "
                    f"'{classes[found[value][0]]}' in {first[value]}; a number must "
                    "mean one object in all images"
                )
            first.setdefault(value, path)
    return found
