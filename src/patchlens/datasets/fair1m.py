"""FAIR1M: fine-grained objects in satellite images, oriented boxes.

The official page (gaofen-challenge.com/benchmark) needs an account. Layout, xml and the classes
with their five coarse categories are as in torchgeo (torchgeo/datasets/fair1m.py), which reads
release 2.0 with its three splits. It is not verified whether pixels count from 0.
"""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from patchlens.datasets.boxes import corners
from patchlens.datasets.catalogue import Entry
from patchlens.datasets.images import image_size
from patchlens.datasets.layout import ImageEntry, Layout, ObjectEntry
from patchlens.datasets.reading import by_stem, top, xml_of
from patchlens.errors import DataError, SourceError
from patchlens.names import nearest

FINE = {
    "Ship": (
        "Passenger Ship",
        "Motorboat",
        "Fishing Boat",
        "Tugboat",
        "other-ship",
        "Engineering Ship",
        "Liquid Cargo Ship",
        "Dry Cargo Ship",
        "Warship",
    ),
    "Vehicle": (
        "Small Car",
        "Bus",
        "Cargo Truck",
        "Dump Truck",
        "other-vehicle",
        "Van",
        "Trailer",
        "Tractor",
        "Excavator",
        "Truck Tractor",
    ),
    "Airplane": (
        "Boeing737",
        "Boeing747",
        "Boeing777",
        "Boeing787",
        "ARJ21",
        "C919",
        "A220",
        "A321",
        "A330",
        "A350",
        "other-airplane",
    ),
    "Court": ("Baseball Field", "Basketball Court", "Football Field", "Tennis Court"),
    "Road": ("Roundabout", "Intersection", "Bridge"),
}
COARSE = {name: coarse for coarse, names in FINE.items() for name in names}
PARTS = {
    "train/part1": "train",
    "train/part2": "train",
    "validation": "val",
    "test": "test",
}
LABELS = ("labelXml", "labelXmls")  # the folder in the archives, and the name of the archives


def read(root: Path, facts: Entry, *, tile: int) -> Layout:
    """Read the parts that exist; at least one must.

    Pictures differ in size, up to thousands of pixels a side. Those larger than `tile` are cut into
    squares of that side, of which those with the centre of an object are images, in the sequence of
    their picture; the last of a row or column is moved inwards. Boxes end at the border.

    Raises:
        SourceError: there is no part, or the labels of a part of train or validation are missing.
        DataError: an image has no xml, or an xml is malformed or names an unknown class.
    """
    here = top(root, *(f"{part}/images" for part in PARTS), how=facts.how)
    present = [part for part in PARTS if (here / part / "images").is_dir()]
    images = (
        image
        for part in present
        for whole in _part(root, here / part, part, facts)
        for image in _tiles(root, whole, tile)
    )
    return Layout(tuple(facts.classes), {}, images)


def _part(root: Path, folder: Path, part: str, facts: Entry) -> Iterator[ImageEntry]:
    labels: dict[str, str] = {}
    if part != "test":
        found = [folder / name for name in LABELS if (folder / name).is_dir()]
        if not found:
            raise SourceError(f"{folder / LABELS[0]}: no such folder. {facts.how}")
        labels = by_stem(root, found[0], "*.xml")
    for stem, path in sorted(by_stem(root, folder / "images").items()):
        if part != "test" and stem not in labels:
            raise DataError(f"{root / path}: no '{stem}.xml' in {found[0]}")
        image_id = f"{part}/{stem}"
        yield ImageEntry(
            image_id=image_id,
            split=PARTS[part],
            path=path,
            objects=tuple(_objects(root / labels[stem], image_id, facts.classes)) if labels else (),
            labels=labels.get(stem, ""),
        )


def _tiles(root: Path, whole: ImageEntry, tile: int) -> Iterator[ImageEntry]:
    width, height = size = image_size(root / whole.path)
    if max(size) <= tile:
        yield whole
        return
    counts = [-(-side // tile) for side in size]
    inside: dict[tuple[int, int], list[ObjectEntry]] = {}
    for found in whole.objects:
        x0, y0, x1, y1 = found.box
        place = [
            min(max(int((low + high) / 2 // tile), 0), count - 1)
            for low, high, count in zip((x0, y0), (x1, y1), counts, strict=True)
        ]
        inside.setdefault((place[1], place[0]), []).append(found)
    empty = whole.labels == "" and not whole.objects  # images of test have no labels
    every = [(row, column) for row in range(counts[1]) for column in range(counts[0])]
    for row, column in every if empty else sorted(inside):
        left, top = (max(min(i * tile, n - tile), 0) for i, n in ((column, width), (row, height)))
        window = left, top, min(left + tile, width), min(top + tile, height)
        yield replace(
            whole,
            image_id=f"{whole.image_id}_{row}_{column}",
            sequence=whole.image_id,
            objects=tuple(_moved(o, window) for o in inside.get((row, column), ())),
            window=window,
        )


def _moved(found: ObjectEntry, window: tuple[int, int, int, int]) -> ObjectEntry:
    """An object as seen from the corner of a window, and cut at its border if it is inside."""
    left, top, right, bottom = window
    x0, y0, x1, y1 = found.box
    if left <= (x0 + x1) / 2 <= right and top <= (y0 + y1) / 2 <= bottom:
        x0, y0, x1, y1 = max(x0, left), max(y0, top), min(x1, right), min(y1, bottom)
    corners_of = found.polygon or ()
    moved = tuple(value - (top if i % 2 else left) for i, value in enumerate(corners_of))
    return replace(found, box=(x0 - left, y0 - top, x1 - left, y1 - top), polygon=moved or None)


def _objects(path: Path, image_id: str, classes: list[str]) -> Iterator[ObjectEntry]:
    for number, element in enumerate(xml_of(path).findall("objects/object"), start=1):
        name = (element.findtext("possibleresult/name") or "").strip()
        if name not in COARSE:
            known = nearest(name, COARSE)
            raise DataError(f"{path}: object {number}: unknown class '{name}'; {known}")
        try:
            points = [
                tuple(float(value) for value in (point.text or "").split(","))
                for point in element.findall("points/point")
            ]
            if len(points) == 5 and points[0] == points[4]:
                points.pop()
            if len(points) != 4 or any(len(point) != 2 for point in points):
                raise ValueError("does not have four corners")
            xs, ys = zip(*points, strict=True)
            box = corners(min(xs), min(ys), max(xs), max(ys))
        except ValueError as error:
            raise DataError(f"{path}: object {number}: {error}") from None
        yield ObjectEntry(
            instance=f"{image_id}/{number}",
            class_id=classes.index(COARSE[name]),
            box=box,
            fine_class=name,
            polygon=tuple(value for point in points for value in point),
        )
