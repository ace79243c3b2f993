"""Pascal VOC's folders: XML with boxes (Annotations) and class masks (SegmentationClass).

Pixels of a box count from 1, and its last one belongs to it.
"""

from pathlib import Path
from typing import Any

from patchlens.annotations import mask_files
from patchlens.annotations.page import Page, Read, Shape, each, stated
from patchlens.annotations.pixels import Size
from patchlens.annotations.source import Source
from patchlens.datasets import catalogue
from patchlens.datasets.below import nfc
from patchlens.datasets.boxes import corners
from patchlens.datasets.layout import IGNORE
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
    instances = frozenset(p for p in source.pictures if p.parent.name == INSTANCES)
    return Read(
        [*classes],
        list(pages.values()),
        found.meaning,
        found.colours,
        found.masks | instances,
        found.notes,
    )


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
