"""Objects from a json in COCO's style (cocodataset.org/#format-data): boxes, no segmentation.

Four more keys of an annotation are read: `instance` (equal for one instance in several images),
`track_id` and `instance_id` of videos (also below `attributes`, as CVAT writes them), and
`fine_class`. Unknown keys are ignored, because tools write many of them; null is as absent.
"""

from collections import Counter
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, Field, ValidationError, model_validator

from patchlens.datasets.below import nfc
from patchlens.datasets.boxes import from_size
from patchlens.datasets.layout import ObjectEntry
from patchlens.datasets.reading import json_of
from patchlens.errors import DataError
from patchlens.names import nearest

Id = int | str
Side = Annotated[float, Field(allow_inf_nan=False)]
Text = Annotated[str, AfterValidator(nfc)]
REMEDIES = {
    "bbox": "; write x, y, width, height in pixels: polygons and turned boxes are not read",
    "file_name": "; write the name of the file in images/",
}
IDENTITY = ("track_id", "instance_id")  # numbers that mean one object in their scope


class Record(BaseModel):
    """A part of a JSON that tools write: null is as absent, and unknown keys are ignored."""

    @model_validator(mode="before")
    @classmethod
    def _null_is_absent(cls, content: Any) -> Any:
        if isinstance(content, dict):
            return {key: value for key, value in content.items() if value is not None}
        return content


class Picture(Record):
    """An entry of `images`; a width or height of 0 is not stated."""

    id: Id
    file_name: Text
    width: Side = 0
    height: Side = 0


class Category(Record):
    """An entry of `categories`."""

    id: Id
    name: Text


class _Annotation(Record):
    id: Id = ""
    image_id: Id
    category_id: Id
    bbox: Annotated[list[float], Field(min_length=4, max_length=4)]
    iscrowd: int = 0
    ignore: int = 0
    instance: Id | None = None
    track_id: Id | None = None
    instance_id: Id | None = None
    attributes: Any = None
    fine_class: Text = ""

    @property
    def evaluated(self) -> bool:
        return not (self.iscrowd or self.ignore)

    @property
    def identity(self) -> Id | None:
        """The first of `IDENTITY` that is given, here or in the attributes."""
        inner = self.attributes if isinstance(self.attributes, dict) else {}
        values = [getattr(self, key) for key in IDENTITY] + [inner.get(key) for key in IDENTITY]
        return next((value for value in values if value is not None), None)


class _Coco(Record):
    images: list[Picture]
    annotations: list[_Annotation] = []
    categories: list[Category] = []


Known = Mapping[str, tuple[str, str | None]]  # file -> image id, sequence


def read_coco(
    path: Path, classes: tuple[str, ...], known: Known, scope: str | None = None
) -> dict[str, dict[str, Any]]:
    """What the file says of each image that it lists, as attributes of an `ImageEntry`.

    Args:
        path: the json file.
        classes: class names; they include those of the categories in use.
        known: the images that exist, by the path below `images/`.
        scope: where a `track_id` means one object, see `Layout.instance_scope`; by default, in its
            sequence.

    Returns:
        Image id -> its objects, and the size that the file states. A crowd (`iscrowd: 1`) and an
        object with `ignore: 1` are not evaluated.

    Raises:
        SourceError: the file does not exist.
        DataError: the file is malformed, names an image or a class that does not exist, or an image
            twice, or has a `track_id` without a scope.
    """
    content = _content(path)
    places = _places(path, content.images, known)
    categories = {str(category.id): category.name for category in content.categories}
    for what, values in (
        ("image id", [image.id for image in content.images]),
        ("category id", [category.id for category in content.categories]),
        ("category name", [category.name for category in content.categories]),
        ("annotation id", [a.id for a in content.annotations if a.id != ""]),
    ):
        counted = Counter(map(str, values))
        if twice := [key for key, count in counted.items() if count > 1]:
            raise DataError(f"{path}: {what} {twice[0]} occurs twice")
    found: dict[str, dict[str, Any]] = {}
    for image in content.images:
        image_id, _ = places[str(image.id)]
        if image_id in found:
            ids = " and ".join(key for key, (name, _) in places.items() if name == image_id)
            raise DataError(f"{path}: images {ids} are both '{image.file_name}'; keep one of them")
        found[image_id] = {"objects": (), "labels": str(path)}
        if image.width and image.height:
            found[image_id]["drawn_on"] = (round(image.width), round(image.height))
    objects: dict[str, list[ObjectEntry]] = {}
    for position, annotation in enumerate(content.annotations):
        place = f"{path}: annotation {annotation.id or f'at position {position}'}"
        if str(annotation.image_id) not in places:
            raise DataError(f"{place}: image_id {annotation.image_id} is not in images")
        image_id, sequence = places[str(annotation.image_id)]
        name = categories.get(str(annotation.category_id))
        if name is None:
            raise DataError(f"{place}: category_id {annotation.category_id} is not in categories")
        if name not in classes:
            raise DataError(
                f"{path}: category {annotation.category_id}: '{name}' is not in classes; "
                f"{nearest(name, classes)}"
            )
        try:
            box = from_size(*annotation.bbox, evaluated=annotation.evaluated)
            instance, track = _identity(annotation, image_id, sequence, scope)
        except ValueError as error:
            raise DataError(f"{place}: {error}") from None
        objects.setdefault(image_id, []).append(
            ObjectEntry(
                instance=instance or f"{image_id}/{annotation.id or f'at {position}'}",
                class_id=classes.index(name),
                box=box,
                fine_class=annotation.fine_class,
                track=track,
                evaluated=annotation.evaluated,
            )
        )
    return {key: about | {"objects": tuple(objects.get(key, ()))} for key, about in found.items()}


def _places(path: Path, images: list[Picture], known: Known) -> dict[str, tuple[str, str | None]]:
    """Id -> image and sequence. A name may begin with folders: the same ones in the whole file."""
    found: dict[str, tuple[str, str | None]] = {}
    before: dict[tuple[str, ...], str] = {}
    for image in images:
        parts = PurePosixPath(image.file_name.replace("\\", "/")).parts
        parts = parts[1:] if parts[:1] == ("images",) else parts
        skipped = next((n for n in range(len(parts)) if "/".join(parts[n:]) in known), None)
        if skipped is None:
            raise DataError(
                f"{path}: image {image.id}: images/ has no '{image.file_name}'; "
                f"{nearest(image.file_name, known)}"
            )
        before.setdefault(parts[:skipped], image.file_name)
        if len(before) > 1:
            one, other = before.values()
            raise DataError(
                f"{path}: '{one}' and '{other}' are in different folders; write names relative to "
                "images/"
            )
        found[str(image.id)] = known["/".join(parts[skipped:])]
    return found


def _identity(
    annotation: _Annotation, image_id: str, sequence: str | None, scope: str | None
) -> tuple[str | None, int | None]:
    """The name of an object in the whole dataset, and its number in its sequence; None: not told.

    Raises:
        ValueError: it has a number whose scope is not known.
    """
    number, within = annotation.identity, scope or ("sequence" if sequence else None)
    digits = str(number) if sequence and within != "image" else ""
    track = int(digits) if digits.isdecimal() else None
    if annotation.instance is not None:
        return str(annotation.instance), track
    if number is None:
        return None, None
    if isinstance(number, int) and number < 0:
        raise ValueError(f"has the number {number} of an object; objects without one have null")
    if within is None or (within == "sequence" and sequence is None):
        raise ValueError(
            f"has the number {number} of an object, but its image is in no sequence; write "
            "instance_scope: dataset or image in dataset.yaml"
        )
    around = {"image": f"{image_id}/", "sequence": f"{sequence}/", "dataset": ""}
    return f"{around[within]}{number}", track


def _content(path: Path) -> _Coco:
    try:
        return _Coco.model_validate(json_of(path))
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"]) or "(whole file)"
        remedy = next((what for key, what in REMEDIES.items() if key in first["loc"]), "")
        raise DataError(f"{path}: {place}: {first['msg']}{remedy}") from None
