"""Objects from a json in COCO's style (cocodataset.org/#format-data): boxes, no segmentation.

Two more keys of an annotation are read: `instance` (equal for one instance in several images)
and `fine_class`. Unknown keys are ignored, because tools write many of them.
"""

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, Field, ValidationError

from patchlens.datasets.boxes import from_size
from patchlens.datasets.layout import ObjectEntry
from patchlens.datasets.reading import json_of
from patchlens.errors import DataError
from patchlens.names import nearest


class _Image(BaseModel):
    id: int
    file_name: str


class _Category(BaseModel):
    id: int
    name: str


class _Annotation(BaseModel):
    id: int
    image_id: int
    category_id: int
    bbox: Annotated[list[float], Field(min_length=4, max_length=4)]
    iscrowd: int = 0
    instance: str | int | None = None
    fine_class: str = ""


class _Coco(BaseModel):
    images: list[_Image]
    annotations: list[_Annotation]
    categories: list[_Category]


def read_coco(
    path: Path, classes: tuple[str, ...], known: Mapping[str, str]
) -> dict[str, list[ObjectEntry]]:
    """The objects of each image.

    Args:
        path: the json file.
        classes: class names; they include those of the categories in the file.
        known: `file_name` -> image id, of the images that exist.

    Returns:
        Image id -> its objects. A crowd (`iscrowd: 1`) is not evaluated.

    Raises:
        SourceError: the file does not exist.
        DataError: the file is malformed, or names an image or a class that does not exist.
    """
    content = _content(path)
    ids: dict[int, str] = {}
    for image in content.images:
        if image.file_name not in known:
            raise DataError(
                f"{path}: image {image.id}: images/ has no '{image.file_name}'; "
                f"{nearest(image.file_name, known)}"
            )
        if image.id in ids:
            raise DataError(f"{path}: image id {image.id} occurs twice")
        ids[image.id] = known[image.file_name]
    names: dict[int, int] = {}
    for category in content.categories:
        if category.name not in classes:
            raise DataError(
                f"{path}: category {category.id}: '{category.name}' is not in classes; "
                f"{nearest(category.name, classes)}"
            )
        if category.id in names:
            raise DataError(f"{path}: category id {category.id} occurs twice")
        names[category.id] = classes.index(category.name)
    if twice := [n for n, count in Counter(a.id for a in content.annotations).items() if count > 1]:
        raise DataError(f"{path}: annotation id {twice[0]} occurs twice")
    found: dict[str, list[ObjectEntry]] = {}
    for annotation in content.annotations:
        place = f"{path}: annotation {annotation.id}"
        if annotation.image_id not in ids:
            raise DataError(f"{place}: image_id {annotation.image_id} is not in images")
        if annotation.category_id not in names:
            raise DataError(f"{place}: category_id {annotation.category_id} is not in categories")
        image_id = ids[annotation.image_id]
        named = annotation.instance is not None
        try:
            box = from_size(*annotation.bbox, evaluated=not annotation.iscrowd)
        except ValueError as error:
            raise DataError(f"{place}: {error}") from None
        found.setdefault(image_id, []).append(
            ObjectEntry(
                instance=str(annotation.instance) if named else f"{image_id}/{annotation.id}",
                class_id=names[annotation.category_id],
                box=box,
                fine_class=annotation.fine_class,
                evaluated=not annotation.iscrowd,
            )
        )
    return found


def _content(path: Path) -> _Coco:
    try:
        return _Coco.model_validate(json_of(path))
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"]) or "(whole file)"
        raise DataError(f"{path}: {place}: {first['msg']}") from None
