"""CVAT's XML 1.1 (docs.cvat.ai), for images and for video: drawn by z_order, then as listed."""

import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from patchlens.annotations.page import Page, Read, Shape, each, stated
from patchlens.annotations.pixels import Size, drawer, ellipse, polygon, within
from patchlens.annotations.source import Source, left_out
from patchlens.datasets.below import nfc
from patchlens.datasets.boxes import corners
from patchlens.errors import DataError

DRAWN = ("box", "polygon", "mask", "ellipse")
FLAT = ("polyline", "points", "skeleton", "cuboid", "tag")
Item = tuple[str, Any, str, int | None]  # place, element, label, track


def find(source: Source) -> list[Path]:
    """The XML files of CVAT."""
    return [path for path in source.named(".xml") if source.xml(path).tag == "annotations"]


def read(source: Source, paths: list[Path]) -> Read:
    """Read all files; frames of a video have numbers, and are paired with those of the video."""
    classes: dict[str, None] = {}
    pages: list[Page] = []
    dropped = Counter[str]()
    for path in paths:
        root, place = source.xml(path), source.shown(path)
        classes |= dict.fromkeys(
            nfc(e.text or "") for e in root.iterfind("meta//labels/label/name")
        )
        for position, image in enumerate(root.iterfind("image")):
            at = f"{place}: image {image.get('id', position)}"
            items = list(_items(at, image, None, None, dropped))
            pages.append(_page(at, (nfc(image.get("name", "")),), _size(image), items))
        frames: dict[int, list[Item]] = {}
        for track in root.iterfind("track"):
            at = f"{place}: track {track.get('id')}"
            number = _number(at, track, "id", int)
            for item in _items(at, track, track.get("label"), number, dropped):
                if item[1].get("outside") != "1":
                    frames.setdefault(_number(at, item[1], "frame", int), []).append(item)
        size = root.find("meta//original_size")
        whole = None if size is None else stated(size.findtext("width"), size.findtext("height"))
        video = root.findtext("meta//source") or ""
        for frame, items in sorted(frames.items()):
            page = _page(f"{place}: frame {frame}", (f"frame_{frame:06}",), whole, items)
            pages.append(replace(page, video=video, frame=frame))
        listed = root.iter() if not classes else ()
        classes |= dict.fromkeys(nfc(e.get("label")) for e in listed if e.get("label"))
    return Read([*classes], pages, notes=left_out(dropped, "no area"))


def _size(element: Any) -> Size | None:
    return stated(element.get("width"), element.get("height"))


def _items(
    place: str, parent: Any, label: str | None, track: int | None, dropped: Counter[str]
) -> Iterator[Item]:
    for element in parent:
        if element.tag in FLAT:
            dropped[element.tag] += 1
        elif element.tag in DRAWN:
            named = label if label is not None else element.get("label")
            if not named:
                raise DataError(f"{place}: a {element.tag} has no label")
            yield f"{place}: {element.tag}", element, nfc(named), track


def _page(place: str, names: tuple[str, ...], size: Size | None, items: list[Item]) -> Page:
    ordered = sorted(items, key=lambda item: _number(item[0], item[1], "z_order", int, "0"))
    return Page(place, names, size, each(_shape, ordered))


def _shape(place: str, element: Any, label: str, track: int | None, size: Size) -> Shape:
    if element.tag == "polygon":
        points = _points(place, element.get("points", ""))
        return Shape(label, *polygon(place, [points]), track=track)
    if element.tag == "ellipse":
        cx, cy, rx, ry = (_number(place, element, key, float) for key in ("cx", "cy", "rx", "ry"))
        turn = _number(place, element, "rotation", float, "0")
        return Shape(label, *polygon(place, [ellipse(cx, cy, rx, ry, turn)]), track=track)
    if element.tag == "mask":
        left, top, width, height = (
            _number(place, element, key, int) for key in ("left", "top", "width", "height")
        )
        try:
            runs = [int(run) for run in element.get("rle", "").split(",")]
        except ValueError:
            raise DataError(f"{place}: its rle is no list of numbers") from None
        if min(runs) < 0 or width < 1 or height < 1 or sum(runs) != width * height:
            raise DataError(f"{place}: its rle does not have {width}×{height} pixels")
        if width * height > size[0] * size[1]:
            raise DataError(f"{place}: is larger than its picture")
        crop = np.repeat(np.arange(len(runs)) % 2 == 1, runs).reshape(height, width)
        return Shape(label, None, drawer(within(place, crop, (left, top), size)), track=track)
    x0, y0, x1, y1 = (_number(place, element, key, float) for key in ("xtl", "ytl", "xbr", "ybr"))
    if turn := math.radians(_number(place, element, "rotation", float, "0")):
        cx, cy, w, h = (x0 + x1) / 2, (y0 + y1) / 2, (x1 - x0) / 2, (y1 - y0) / 2
        cos, sin = abs(math.cos(turn)), abs(math.sin(turn))
        w, h = w * cos + h * sin, w * sin + h * cos
        x0, y0, x1, y1 = cx - w, cy - h, cx + w, cy + h
    try:
        return Shape(label, corners(x0, y0, x1, y1), track=track)
    except ValueError as error:
        raise DataError(f"{place}: {error}") from None


def _points(place: str, text: str) -> list[float]:
    try:
        return [float(v) for point in text.split(";") for v in point.split(",")]
    except ValueError:
        raise DataError(f"{place}: its points are no numbers") from None


def _number(place: str, element: Any, key: str, kind: Any, default: str = "") -> Any:
    try:
        value = kind(element.get(key, default))
    except ValueError:
        value = math.inf
    if not math.isfinite(value):
        raise DataError(f"{place}: {key}='{element.get(key, '')}' is no number")
    return value
