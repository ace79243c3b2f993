"""LabelMe's JSON (github.com/wkentaro/labelme): one file per picture; the last shape is on top."""

import base64
import binascii
import math
from collections import Counter
from pathlib import Path, PureWindowsPath
from typing import Any

from patchlens.annotations.page import Page, Read, Shape, each, entries, stated
from patchlens.annotations.pixels import Size, drawer, ellipse, polygon, within
from patchlens.annotations.source import Source, left_out
from patchlens.datasets.below import nfc
from patchlens.datasets.masks import embedded_mask
from patchlens.errors import DataError

FLAT = ("point", "points", "line", "linestrip")


def find(source: Source) -> list[Path]:
    """The JSON files with shapes and the path of a picture."""
    return source.with_keys("shapes", "imagePath")


def read(source: Source, paths: list[Path]) -> Read:
    """Read all files; what has no area, and the pictures inside the files, are left out."""
    classes: dict[str, None] = {}
    dropped = Counter[str]()
    pages, embedded = [], 0
    for path in paths:
        content, place = source.json(path), source.shown(path)
        shapes = entries(place, content, "shapes")
        kept = []
        for position, shape in enumerate(shapes):
            at = f"{place}: shape at position {position}"
            if not isinstance(shape, dict) or not isinstance(shape.get("label"), str):
                raise DataError(f"{at}: has no label; correct it in LabelMe")
            kind = shape.get("shape_type") or "polygon"
            if kind in FLAT:
                dropped[kind] += 1
                continue
            classes[nfc(shape["label"])] = None
            kept.append((at, kind, shape))
        embedded += bool(content.get("imageData"))
        name = PureWindowsPath(str(content["imagePath"])).name
        pages.append(
            Page(
                place,
                (f"{source.inside(path).rpartition('/')[0]}/{nfc(name)}", source.inside(path)),
                stated(content.get("imageWidth"), content.get("imageHeight")),
                each(_shape, kept),
            )
        )
    notes = left_out(dropped, "no area")
    if embedded:
        notes.append(f"{embedded} files hold their picture too (imageData), which is not read")
    return Read([*classes], pages, notes=notes)


def _shape(place: str, kind: str, shape: dict[str, Any], size: Size) -> Shape:
    label = nfc(shape["label"])
    try:
        points = [(float(x), float(y)) for x, y in shape["points"]]
    except (KeyError, TypeError, ValueError):
        points = [(math.nan, math.nan)]
    if not all(math.isfinite(v) for point in points for v in point):
        raise DataError(f"{place}: points must be pairs of numbers")
    if kind == "polygon":
        box, draw = polygon(place, [[v for point in points for v in point]])
        return Shape(label, box, draw)
    if len(points) < 2:
        raise DataError(f"{place}: a {kind} needs two points")
    (x0, y0), (x1, y1) = points[0], points[1]
    if kind == "rectangle":
        xs, ys = zip(*points, strict=True)
        return Shape(label, (min(xs), min(ys), max(xs), max(ys)))
    if kind == "circle":
        radius = math.hypot(x1 - x0, y1 - y0)
        box, draw = polygon(place, [ellipse(x0, y0, radius, radius)])
        return Shape(label, box, draw)
    if kind == "mask":
        try:
            data = base64.b64decode(shape.get("mask") or "", validate=True)
        except (binascii.Error, TypeError, ValueError):
            raise DataError(f"{place}: its mask is no base64") from None
        crop = embedded_mask(place, data, size)
        return Shape(label, None, drawer(within(place, crop, (int(x0), int(y0)), size)))
    raise DataError(
        f"{place}: the shape '{kind}' is not read; draw it as a polygon, rectangle, circle or mask"
    )
