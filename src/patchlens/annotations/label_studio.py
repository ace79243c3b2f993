"""Label Studio's JSON (labelstud.io/guide/export): coordinates in per cent; the last is on top.

Addresses of pictures (http, s3) are only compared with the names of the pictures that are there.
"""

import re
from collections import Counter
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import numpy as np

from patchlens.annotations.page import Page, Read, Shape, each, stated
from patchlens.annotations.pixels import Size, drawer, ellipse, polygon
from patchlens.annotations.source import Source, left_out
from patchlens.arrays import Bools
from patchlens.datasets.below import nfc
from patchlens.datasets.boxes import from_size
from patchlens.errors import DataError

KINDS = ("rectanglelabels", "polygonlabels", "ellipselabels", "brushlabels")
UPLOADED = re.compile(r"^[0-9a-f]{8}-")  # what it puts before the name of a picture


def find(source: Source) -> list[Path]:
    """The JSON files with a list of tasks that have annotations."""
    found = []
    for path in source.named(".json"):
        content = source.json(path)
        if (
            isinstance(content, list)
            and content
            and all(
                isinstance(t, dict) and "data" in t and isinstance(t.get("annotations"), list)
                for t in content
            )
        ):
            found.append(path)
    return found


def read(source: Source, paths: list[Path]) -> Read:
    """Read all tasks; of several annotations of one task the first that is not cancelled."""
    classes: dict[str, None] = {}
    pages, dropped, several = [], Counter[str](), 0
    for path in paths:
        for task in source.json(path):
            place = f"{source.shown(path)}: task {task.get('id')}"
            made = [a for a in task["annotations"] if isinstance(a, dict)]
            made = [a for a in made if not a.get("was_cancelled")]
            several += len(made) > 1
            results = made[0].get("result") if made else []
            kept = []
            for result in results if isinstance(results, list) else []:
                kind = result.get("type") if isinstance(result, dict) else None
                if kind not in KINDS:
                    dropped[str(kind)] += 1
                    continue
                label = _label(place, result, kind)
                classes[label] = None
                kept.append((f"{place}: result {result.get('id')}", kind, label, result))
            pages.append(
                Page(
                    place,
                    _names(place, task),
                    _size(kept[0][3]) if kept else None,
                    each(_shape, kept),
                )
            )
    notes = left_out(dropped, "no area")
    if several:
        notes.append(f"{several} tasks have several annotations, of which the first is read")
    return Read([*classes], pages, notes=notes)


def _names(place: str, task: dict[str, Any]) -> tuple[str, ...]:
    """The names that the picture of a task may have."""
    data = task["data"].values() if isinstance(task["data"], dict) else []
    written = [v for v in data if isinstance(v, str) and ("." in v or "/" in v)]
    found: list[str] = []
    for address in [*written, str(task.get("file_upload") or "")]:
        try:
            parts = urlsplit(address)
        except ValueError:  # such as a broken address of IPv6
            continue
        inner = parse_qs(parts.query).get("d", [""])[0]  # of local files
        name = nfc(unquote(inner or parts.path).rpartition("/")[2])
        found += [name, UPLOADED.sub("", name)]
    if not any(found):
        raise DataError(f"{place}: its data names no picture")
    return tuple(dict.fromkeys(name for name in found if name))


def _label(place: str, result: dict[str, Any], kind: str) -> str:
    value = result.get("value")
    labels = value.get(kind) if isinstance(value, dict) else None
    if not isinstance(labels, list) or len(labels) != 1 or not isinstance(labels[0], str):
        raise DataError(f"{place}: result {result.get('id')}: needs one label, has {labels}")
    return nfc(labels[0])


def _size(result: dict[str, Any]) -> Size | None:
    return stated(result.get("original_width"), result.get("original_height"))


def _shape(place: str, kind: str, label: str, result: dict[str, Any], size: Size) -> Shape:
    value, (across, down) = result["value"], (size[0] / 100, size[1] / 100)
    try:
        if kind == "polygonlabels":
            ring = [float(v) * s for x, y in value["points"] for v, s in ((x, across), (y, down))]
            return Shape(label, *polygon(place, [ring]))
        if kind == "brushlabels":
            return Shape(label, None, drawer(_brush(place, value["rle"], size)))
        x, y, turn = value["x"] * across, value["y"] * down, float(value.get("rotation") or 0)
        if kind == "ellipselabels":
            rx, ry = value["radiusX"] * across, value["radiusY"] * down
            return Shape(label, *polygon(place, [ellipse(x, y, rx, ry, turn)]))
        w, h = value["width"] * across, value["height"] * down
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(f"{place}: its value is not that of {kind} ({error})") from None
    if turn:  # about the top left corner
        cos, sin = np.cos(np.radians(turn)), np.sin(np.radians(turn))
        xs = [x, x + w * cos, x + w * cos - h * sin, x - h * sin]
        ys = [y, y + w * sin, y + w * sin + h * cos, y + h * cos]
        x, y, w, h = min(xs), min(ys), max(xs) - min(xs), max(ys) - min(ys)
    try:
        return Shape(label, from_size(x, y, w, h))
    except ValueError as error:
        raise DataError(f"{place}: {error}") from None


def _brush(place: str, packed: Any, size: Size) -> Bools:
    """The pixels [H, W] of its brush: runs of RGBA in bits, as @thi.ng/rle-pack writes them."""
    width, height = size
    try:
        bits = np.unpackbits(np.array(packed, dtype=np.uint8))
    except (OverflowError, TypeError, ValueError):
        raise DataError(f"{place}: its rle is no list of bytes") from None
    at = 0

    def take(count: int) -> int:
        nonlocal at
        piece = bits[at : at + count]
        if len(piece) < count:
            raise DataError(f"{place}: its rle is cut short")
        at += count
        return int("".join("1" if bit else "0" for bit in piece), 2)

    total, word = take(32), take(5) + 1
    if total != width * height * 4:
        raise DataError(f"{place}: its rle has {total} values, a picture of {width}×{height} × 4")
    lengths = [take(4) + 1 for _ in range(4)]
    values, done = np.zeros(total, dtype=np.uint8), 0
    while done < total:
        same = take(1)
        run = take(lengths[take(2)]) + 1
        if done + run > total:
            raise DataError(f"{place}: its rle has more values than its picture")
        values[done : done + run] = take(word) if same else [take(word) for _ in range(run)]
        done += run
    return values.reshape(height, width, 4)[:, :, 3] > 0
