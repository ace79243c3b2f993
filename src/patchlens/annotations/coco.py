"""COCO's JSON (cocodataset.org/#format-data): boxes, polygons, both kinds of RLE, crowds.

Where shapes overlap, the smaller one is on top, as COCO has no order and tools draw it so.
"""

from functools import partial
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from pydantic import Field, ValidationError

from patchlens.annotations.page import Page, Read, Shape, once
from patchlens.annotations.pixels import Points, Size, drawer, polygon, rle
from patchlens.annotations.source import Source
from patchlens.datasets.boxes import Box, from_size
from patchlens.datasets.coco import Category, Id, Picture, Record, Text
from patchlens.errors import DataError

KEPT = ("instance", "track_id", "instance_id", "fine_class")  # that objects of ours may have


class _Rle(Record):
    size: Annotated[list[int], Field(min_length=2, max_length=2)]
    counts: list[int] | str


class _Annotation(Record):
    image_id: Id
    category_id: Id
    bbox: list[float] = Field(default=[])
    segmentation: list[list[float]] | _Rle = Field(default=[])
    iscrowd: int = 0
    ignore: int = 0
    instance: Id | None = None
    track_id: Id | None = None
    instance_id: Id | None = None
    fine_class: Text | None = None


class _Coco(Record):
    images: list[Picture]
    annotations: list[_Annotation]
    categories: list[Category] = Field(default=[])


def find(source: Source) -> list[Path]:
    """The JSON files with images and annotations."""
    return source.with_keys("images", "annotations")


def read(source: Source, paths: list[Path]) -> Read:
    """Read all files of a source, such as those of train and val."""
    classes: dict[str, None] = {}
    pages: list[Page] = []
    for path in paths:
        place = source.shown(path)
        try:
            content = _Coco.model_validate(source.json(path))
        except ValidationError as error:
            first = error.errors()[0]
            at = ".".join(str(part) for part in first["loc"])
            raise DataError(f"{place}: {at}: {first['msg']}") from None
        once(f"{place}: categories", (category.name for category in content.categories))
        names = {str(category.id): category.name for category in content.categories}
        classes |= dict.fromkeys(names.values())
        of_image: dict[str, list[tuple[str, _Annotation]]] = {}
        images = {str(image.id) for image in content.images}
        for position, annotation in enumerate(content.annotations):
            at = f"{place}: annotation at position {position}"
            for key, known in (("image_id", images), ("category_id", names)):
                if (value := str(getattr(annotation, key))) not in known:
                    listed = "images" if key == "image_id" else "categories"
                    raise DataError(f"{at}: {key} {value} is not in {listed}")
            of_image.setdefault(str(annotation.image_id), []).append((at, annotation))
        for image in content.images:
            found = of_image.get(str(image.id), [])
            size = (round(image.width), round(image.height))
            pages.append(
                Page(
                    f"{place}: image {image.id}",
                    (image.file_name,),
                    size if all(size) else None,
                    partial(_shapes, found, names),
                )
            )
    return Read([*classes], pages)


def _shapes(found: list[tuple[str, _Annotation]], names: dict[str, str], size: Size) -> list[Shape]:
    sized = []
    for place, annotation in found:
        box, draw = _outline(place, annotation, size)
        sized.append(
            Shape(
                names[str(annotation.category_id)],
                box,
                draw,
                evaluated=not (annotation.iscrowd or annotation.ignore),
                more={k: v for k in KEPT if (v := getattr(annotation, k)) is not None},
            )
        )
    return largest_first(sized, size)


def largest_first(shapes: list[Shape], size: Size) -> list[Shape]:
    """Shapes in an order that leaves the smaller ones on top."""
    areas = [0 if s.draw is None else -int(np.count_nonzero(s.draw(size))) for s in shapes]
    return [shapes[i] for i in np.argsort(areas, kind="stable")]


def _outline(place: str, annotation: _Annotation, size: Size) -> tuple[Box | None, Any]:
    box: Box | None = None
    if annotation.bbox:
        try:
            box = from_size(*annotation.bbox, evaluated=not annotation.iscrowd)
        except (TypeError, ValueError) as error:
            what = "bbox must be x, y, width, height in pixels"
            raise DataError(f"{place}: {what} ({error})") from None
    outline = annotation.segmentation
    if isinstance(outline, _Rle):
        pixels = rle(place, outline.counts, (outline.size[1], outline.size[0]), size)
        return box, drawer(pixels)
    rings: list[Points] = [ring for ring in outline if ring]
    if not rings:
        if box is None:
            raise DataError(f"{place}: has neither bbox nor segmentation")
        return box, None
    around, draw = polygon(place, rings)
    return box or around, draw
