"""Supervisely's JSON (docs.supervisely.com): one file per picture; the last object is on top."""

import base64
import zlib
from collections import Counter
from pathlib import Path
from typing import Any

from patchlens.annotations.page import Page, Read, Shape, each, entries, stated
from patchlens.annotations.pixels import Size, drawer, polygon, within
from patchlens.annotations.source import Source, left_out
from patchlens.datasets.below import nfc
from patchlens.datasets.boxes import corners
from patchlens.datasets.masks import embedded_mask
from patchlens.errors import DataError

KINDS = ("polygon", "rectangle", "bitmap")
WRONG = (AttributeError, KeyError, OverflowError, TypeError, ValueError, zlib.error)
LARGEST = 1 << 24  # bytes of one bitmap: a compressed picture of one thing


def find(source: Source) -> list[Path]:
    """The JSON files with objects and the size of a picture."""
    return source.with_keys("objects", "size")


def read(source: Source, paths: list[Path]) -> Read:
    """Read all files; what has no area is left out."""
    classes: dict[str, None] = {}
    pages, dropped = [], Counter[str]()
    for path in paths:
        content, place = source.json(path), source.shown(path)
        kept = []
        for position, found in enumerate(entries(place, content, "objects")):
            at = f"{place}: object at position {position}"
            if not isinstance(found, dict) or not isinstance(found.get("classTitle"), str):
                raise DataError(f"{at}: has no classTitle")
            kind = str(found.get("geometryType"))
            if kind not in KINDS:
                dropped[kind] += 1
                continue
            label = nfc(found["classTitle"])
            classes[label] = None
            kept.append((at, kind, label, found))
        size = content["size"] if isinstance(content["size"], dict) else {}
        pages.append(
            Page(
                place,
                (source.inside(path),),  # a.jpg.json
                stated(size.get("width"), size.get("height")),
                each(_shape, kept),
            )
        )
    return Read([*classes], pages, notes=left_out(dropped, "no area"))


def _shape(place: str, kind: str, label: str, found: dict[str, Any], size: Size) -> Shape:
    try:
        if kind == "bitmap":
            x, y = (int(v) for v in found["bitmap"]["origin"])
            packed = base64.b64decode(found["bitmap"]["data"], validate=True)
            crop = embedded_mask(place, zlib.decompressobj().decompress(packed, LARGEST), size)
            return Shape(label, None, drawer(within(place, crop, (x, y), size)))
        outer, *_ = rings = [found["points"]["exterior"], *found["points"].get("interior", [])]
        flat = [[float(v) for point in ring for v in point] for ring in rings]
        if kind == "rectangle":
            (x0, y0), (x1, y1) = outer
            return Shape(label, corners(min(x0, x1), min(y0, y1), max(x0, x1), max(y0, y1)))
    except WRONG as error:
        raise DataError(f"{place}: is no {kind} ({error})") from None
    box, draw = polygon(place, flat[:1])
    holes = [polygon(place, [ring])[1] for ring in flat[1:]]

    def cut(size: Size) -> Any:
        pixels = draw(size)
        for hole in holes:
            pixels &= ~hole(size)
        return pixels

    return Shape(label, box, cut)
