"""The objects of an image: those of its instance mask, and those listed in its entry."""

from collections.abc import Hashable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from patchlens.datasets.boxes import Box, corners, has_area
from patchlens.datasets.images import Seen
from patchlens.datasets.layout import ImageEntry, Layout, ObjectEntry
from patchlens.datasets.masks import Ids, open_ids
from patchlens.errors import DataError


@dataclass(frozen=True)
class ImageObject:
    """An object of one image. `key` is equal for the same object in all images.

    A `key` that is a number is already the number in the whole dataset.
    """

    key: Hashable
    class_id: int
    fine_class: str
    box: Box
    area: float
    track: int | None = None
    mask_value: int | None = None
    evaluated: bool = True
    polygon: tuple[float, ...] | None = None


def objects_of(entry: ImageEntry, layout: Layout, root: Path, seen: Seen) -> list[ImageObject]:
    """All objects of an image, as it was `seen`; those of the mask come first.

    Boxes are kept as annotated, even if they leave the image, because official tools score them
    so; `area` is that of the mask, or of the part of the box inside the image (0 if outside).

    Raises:
        DataError: an instance value is not listed, a box is not finite, an evaluated box ends
            before it begins, or one object is evaluated twice in the image.
    """
    found = _in_mask(entry, layout, root, seen) if entry.instances is not None else []
    known = set[str]()
    for listed in entry.objects:
        _check(listed, root / entry.path, known)
        found.append(
            ImageObject(
                key=listed.instance,
                class_id=listed.class_id,
                fine_class=listed.fine_class,
                box=listed.box,
                area=_area_inside(listed.box, seen.size),
                track=listed.track,
                evaluated=listed.evaluated and has_area(listed.box),
                polygon=listed.polygon,
            )
        )
    return found


def check_fits(ids: Ids, path: Path, entry: ImageEntry, seen: Seen) -> None:
    """Refuse an id map [H, W] of another size than its image."""
    (height, width), (across, down) = ids.shape, seen.size
    if (width, height) == (across, down):
        return
    turned = ""
    if (width, height) == (down, across) and seen.orientation >= 5:
        turned = f", which EXIF orientation {seen.orientation} turns upright"
    raise DataError(
        f"{path}: is {width}×{height}, its image {Path(entry.path).name} is {across}×{down}{turned}"
        "; a mask must have the size of its image"
    )


def _in_mask(entry: ImageEntry, layout: Layout, root: Path, seen: Seen) -> list[ImageObject]:
    from scipy.ndimage import find_objects  # slow to import, and few datasets need it

    assert entry.instances is not None
    path = root / entry.instances
    ids = open_ids(path, layout.terms)
    check_fits(ids, path, entry, seen)
    codes, values = pd.factorize(ids.ravel())
    areas = np.bincount(codes, minlength=len(values))
    places = find_objects(codes.reshape(ids.shape) + 1)
    found = []
    for code in np.argsort(values):
        value = int(values[code])
        if value == 0:
            continue
        key = layout.key(entry, value)
        listed = key if key in layout.instances else value
        if listed not in layout.instances:
            raise DataError(f"{path}: contains instance {value}, which the dataset does not list")
        meaning = layout.instances[listed]
        if meaning is None:
            continue
        tracked = entry.sequence is not None and layout.instance_scope != "image"
        rows, columns = places[code]
        found.append(
            ImageObject(
                key=key,
                class_id=meaning[0],
                fine_class=meaning[1],
                box=(columns.start, rows.start, columns.stop, rows.stop),
                area=int(areas[code]),
                track=value if tracked else None,
                mask_value=value,
            )
        )
    return found


def _check(listed: ObjectEntry, path: Path, seen: set[str]) -> None:
    shown = f"{path}: object '{listed.instance}'"
    try:
        corners(*listed.box, evaluated=listed.evaluated)
    except ValueError as error:
        raise DataError(f"{shown}: {error}; correct the annotation") from None
    if not listed.evaluated:
        return
    if listed.instance in seen:
        raise DataError(f"{shown}: is annotated twice in this image; correct the annotation")
    seen.add(listed.instance)


def _area_inside(box: Box, size: tuple[int, int]) -> float:
    width = min(box[2], size[0]) - max(box[0], 0)
    height = min(box[3], size[1]) - max(box[1], 0)
    return max(width, 0) * max(height, 0)
