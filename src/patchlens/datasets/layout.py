"""What a dataset module says about a folder: images, masks, objects, sequences, what ids mean."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal

IGNORE = 255  # the class id of pixels that neither vote nor count


@dataclass(frozen=True)
class ObjectEntry:
    """One object that an annotation file lists (objects of instance masks need none of these).

    `box` is x0, y0, x1, y1 in pixels, 0-based, x1 and y1 exclusive, as annotated: it may leave
    the image. `instance` is the same string for the same thing in several images of the dataset,
    `track` its number inside its sequence. An object that is not `evaluated` (a distractor, a
    crowd, a flag of 0) is kept so that official preprocessing can use it.
    """

    instance: str
    class_id: int
    box: tuple[float, float, float, float]
    fine_class: str = ""
    track: int | None = None
    evaluated: bool = True
    polygon: tuple[float, ...] | None = None  # x, y, x, y, ... of an oriented box


@dataclass(frozen=True)
class ImageEntry:
    """One image of a split. Paths are relative to the dataset's root, with forward slashes."""

    image_id: str
    split: str
    path: str
    mask: str | None = None
    instances: str | None = None
    sequence: str | None = None
    frame: int | None = None
    group: str | None = None
    objects: tuple[ObjectEntry, ...] = ()


@dataclass(frozen=True)
class Relevance:
    """What a retrieval benchmark says of a pair: `grade` is easy, hard, junk or positive."""

    query_id: str
    image_id: str
    grade: str


@dataclass(frozen=True)
class Layout:
    """A dataset as its module reads it: nothing here has been checked against the files yet.

    `images` may be a generator, so that a dataset of 280 000 images is never in memory whole.
    `labels` maps each value that a mask file may hold to a class id (an index into `classes`) or
    to `IGNORE`; any other value is an error. `instances` maps each value of the instance masks
    (0 aside, which is never an object) to (class id, fine class), or to None where it is no object;
    any other value is an error. `instance_scope` is where one value means one thing: in the whole
    dataset, in a sequence (DAVIS), or in one image (Cityscapes). `reader` is the name of what read
    it, which `readers.read` puts in.
    """

    classes: tuple[str, ...]
    labels: Mapping[int, int]
    images: Iterable[ImageEntry]
    palette: tuple[tuple[int, int, int], ...] = ()
    instances: Mapping[int, tuple[int, str] | None] = field(default_factory=dict)
    instance_scope: Literal["dataset", "sequence", "image"] = "dataset"
    relevance: Iterable[Relevance] = ()
    reader: str = ""
