"""Pascal VOC's folders: boxes (Annotations), masks of classes and of objects (Segmentation…).

Pixels of a box count from 1, and its last one belongs to it. Objects are those of the XML; without
one, those of SegmentationObject, each of the class that most of its pixels have.
"""

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from patchlens.annotations import mask_files
from patchlens.annotations.page import Page, Read, Shape, each, stated
from patchlens.annotations.pixels import Size, drawer
from patchlens.annotations.source import Source
from patchlens.datasets import catalogue
from patchlens.datasets.below import nfc
from patchlens.datasets.boxes import corners
from patchlens.datasets.layout import IGNORE
from patchlens.datasets.masks import open_id_map
from patchlens.errors import DataError

MASKS, INSTANCES = "SegmentationClass", "SegmentationObject"


def find(source: Source) -> list[Path]:
    """The XML files of VOC, and the masks in folders that are named as there."""
    listed = [path for path in source.named(".xml") if source.xml(path).tag == "annotation"]
    return listed + [path for path in source.pictures if path.parent.name == MASKS]


def read(source: Source, paths: list[Path]) -> Read:
    """Read boxes and masks; a picture may have either or both."""
    known: dict[int, str | None] = dict(enumerate(catalogue.find("voc2012").classes))
    known[IGNORE] = None
    masks = [path for path in paths if path.suffix.lower() != ".xml"]
    found = mask_files.read(source, masks, known) if masks else Read([], [])
    pages = {nfc(page.mask.stem): page for page in found.pages if page.mask is not None}
    classes = dict.fromkeys(found.classes)
    for path in paths:
        if path in masks:
            continue
        root, place = source.xml(path), source.shown(path)
        objects = [(f"{place}: object {i + 1}", e) for i, e in enumerate(root.iterfind("object"))]
        for at, element in objects:
            if not element.findtext("name"):
                raise DataError(f"{at}: has no name")
        classes |= dict.fromkeys(nfc(e.findtext("name")) for _, e in objects)
        mask = pages.get(nfc(path.stem))
        written = nfc(root.findtext("filename") or "")
        pages[nfc(path.stem)] = Page(
            place,
            tuple(name for name in (written, nfc(path.stem)) if name),
            stated(root.findtext("size/width"), root.findtext("size/height")),
            each(_shape, objects),
            mask.mask if mask else None,
        )
    instances = [p for p in source.pictures if p.parent.name == INSTANCES]
    listed = {nfc(path.stem) for path in paths if path not in masks}
    for path in instances:
        name = nfc(path.stem)
        classes_of = pages[name].mask if name in pages else None
        if classes_of and name not in listed:
            make = partial(_outlined, path, classes_of, found)
            pages[name] = replace(pages[name], shapes=make)
    return Read(
        [*classes],
        list(pages.values()),
        found.meaning,
        found.colours,
        found.masks | {*instances},
        found.notes,
    )


def _outlined(path: Path, mask: Path, classes: Read, size: Size) -> list[Shape]:
    """The objects of a mask, each of the class that most of its pixels have in the other mask."""
    objects = open_id_map(path, colours=mask_files.in_colour(path)).ids
    values = open_id_map(mask, colours=classes.colours).ids
    if objects.shape != values.shape:
        raise DataError(f"{path}: has not the size of {mask}; export both again")
    shapes = []
    for value in np.unique(objects[objects > 0]):
        pixels = objects == value
        of, counts = np.unique(values[pixels], return_counts=True)
        label = classes.meaning[int(of[counts.argmax()])]
        if label is not None:  # else the border around objects
            shapes.append(Shape(label, draw=drawer(pixels)))
    return shapes


def _shape(place: str, element: Any, _: Size) -> Shape:
    try:
        x0, y0, x1, y1 = (
            float(element.findtext(f"bndbox/{key}")) for key in ("xmin", "ymin", "xmax", "ymax")
        )
        box = corners(x0 - 1, y0 - 1, x1, y1)
    except (TypeError, ValueError) as error:
        raise DataError(f"{place}: its bndbox is wrong ({error})") from None
    difficult = (element.findtext("difficult") or "0").strip() == "1"
    return Shape(nfc(element.findtext("name")), box, evaluated=not difficult)
