"""YOLO's text files (docs.ultralytics.com/datasets): class, then a box or a polygon in shares.

Where polygons overlap, the smaller one is on top, as Ultralytics draws them.
"""

import re
from functools import partial
from pathlib import Path
from typing import Any

from ruamel.yaml.error import YAMLError

from patchlens.annotations.coco import largest_first
from patchlens.annotations.page import Page, Read, Shape, once
from patchlens.annotations.pixels import Size, polygon
from patchlens.annotations.source import Source
from patchlens.datasets.below import nfc
from patchlens.datasets.boxes import from_size
from patchlens.datasets.reading import lines
from patchlens.errors import DataError
from patchlens.given import Unreadable
from patchlens.settings import yaml_text

NUMBER = r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?"
LINE = re.compile(rf"\s*\d+(?:\s+{NUMBER}){{4,}}\s*")
NAMES = ("classes.txt", "obj.names", "class_names.txt", "labels.txt")
EDGE = 1e-3  # tools round


def find(source: Source) -> list[Path]:
    """The text files whose first line is a class and at least four numbers."""
    return [path for path in source.named(".txt") if path.name not in NAMES and _is_yolo(path)]


def _is_yolo(path: Path) -> bool:
    with path.open("rb") as stream:
        first = stream.readline(1 << 16)
    return bool(LINE.fullmatch(first.decode("utf-8-sig", "replace")))


def read(source: Source, paths: list[Path]) -> Read:
    """Read all files; the class names are those of data.yaml (`names`) or classes.txt."""
    written = {
        path: [(number, [float(v) for v in line.split()]) for number, line in _lines(path)]
        for path in paths
    }
    numbers = {int(values[0]) for found in written.values() for _, values in found}
    names, notes = _names(source, max(numbers))
    if lost := sorted(numbers - {*names}):
        first = next(p for p, found in written.items() if any(v[0] == lost[0] for _, v in found))
        raise DataError(f"{source.shown(first)}: class {lost[0]} has no name; add it to data.yaml")
    pages = [
        Page(
            source.shown(path),
            (source.inside(path),),
            None,
            partial(_shapes, source.shown(path), found, names),
        )
        for path, found in written.items()
    ]
    return Read([*dict.fromkeys(names.values())], pages, notes=notes)


def _lines(path: Path) -> list[tuple[int, str]]:
    found = list(lines(path))
    for number, line in found:
        if not LINE.fullmatch(line):
            raise DataError(f"{path}, line {number}: is not a class and its numbers, as in YOLO")
    return found


def _names(source: Source, highest: int) -> tuple[dict[int, str], list[str]]:
    for path in source.named(".yaml", ".yml"):
        try:
            content = yaml_text.read(path)
        except (Unreadable, YAMLError) as error:
            raise DataError(f"{path}: {error}") from None
        names = content.get("names") if isinstance(content, dict) else None
        if isinstance(names, list):
            names = dict(enumerate(names))
        if isinstance(names, dict) and all(isinstance(k, int) for k in names):
            once(path, names.values())
            return {k: nfc(str(v)) for k, v in names.items()}, []
    for path in source.named(".txt", ".names"):
        if path.name in NAMES:
            listed = [line for _, line in lines(path)]
            once(path, listed)
            return dict(enumerate(listed)), []
    note = "no names of classes: they are called by number; put data.yaml or classes.txt there"
    return {i: f"class {i}" for i in range(highest + 1)}, [note]


def _shapes(
    place: str, found: list[tuple[int, list[float]]], names: dict[int, str], size: Size
) -> list[Shape]:
    shapes = [_shape(f"{place}, line {number}", values, names, size) for number, values in found]
    return largest_first(shapes, size)


def _shape(place: str, values: list[float], names: dict[int, str], size: Size) -> Shape:
    label, shares = names[int(values[0])], values[1:]
    if any(not -EDGE <= v <= 1 + EDGE for v in shares):
        raise DataError(f"{place}: holds numbers outside 0 to 1; YOLO's are shares of the picture")
    scaled: list[Any] = [v * size[i % 2] for i, v in enumerate(shares)]
    if len(shares) == 4:
        x, y, w, h = scaled
        if min(w, h) <= 0:
            raise DataError(f"{place}: a box of width {shares[2]:g} and height {shares[3]:g}")
        return Shape(label, from_size(x - w / 2, y - h / 2, w, h))
    if len(shares) % 2 or len(shares) < 6:
        raise DataError(
            f"{place}: has {len(shares)} numbers after the class; a box has 4, a polygon 6, 8, ... "
            "(files of predictions, with confidences, are no annotations)"
        )
    return Shape(label, *polygon(place, [scaled]))
