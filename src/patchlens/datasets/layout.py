"""The output of a reader: images, masks, objects, sequences and the meaning of values."""

from collections.abc import Callable, Collection, Hashable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

IGNORE = 255  # the class id of pixels that neither vote nor count


@dataclass(frozen=True)
class Terms:
    """What the files of a dataset cannot say themselves about their pixels.

    Attributes:
        max_megapixels: the largest picture or mask that is decoded.
        range: the values of a grey picture of more than 8 bits that are black and white.
        background: the RGB colour behind transparent pixels of pictures.
        colours: whether masks are colours, as red · 65536 + green · 256 + blue in `labels`.
    """

    max_megapixels: float = 179
    range: tuple[float, float] | None = None
    background: tuple[int, int, int] | None = None
    colours: bool = False


@dataclass(frozen=True)
class ObjectEntry:
    """One object in an annotation file (objects of instance masks are not listed like this).

    `box` is x0, y0, x1, y1 in pixels, 0-based, x1 and y1 exclusive, as annotated: it may leave
    the image. `instance` is the same string for the same object in several images of the dataset,
    `track` its number in its sequence. An object that is not `evaluated` (a distractor, a crowd, a
    flag of 0, a box without area) is kept so that official preprocessing can use it.
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
    """One image of a split. Paths are relative to the dataset's root, with forward slashes.

    `drawn_on` is the size (width, height) of the picture that it was labelled on, as the file
    `labels` states it: it must be that of the image. `window` (left, top, right, bottom in pixels)
    is the part of the picture that is the image, to which its objects refer; None for all of it.
    """

    image_id: str
    split: str
    path: str
    mask: str | None = None
    instances: str | None = None
    sequence: str | None = None
    frame: int | None = None
    group: str | None = None
    objects: tuple[ObjectEntry, ...] = ()
    drawn_on: tuple[int, int] | None = None
    labels: str = ""
    window: tuple[int, int, int, int] | None = None


@dataclass(frozen=True)
class Relevance:
    """A pair in a retrieval benchmark; its `grade` is easy, hard, junk or positive."""

    query_id: str
    image_id: str
    grade: str


@dataclass(frozen=True)
class Layout:
    """A dataset as a reader describes it, not yet checked against the files.

    `images` may be a generator, so that a dataset of 280 000 images is never completely in memory.
    `labels` maps each allowed value of a mask file to a class id (an index into `classes`) or
    to `IGNORE`; any other value is an error. `instances` maps each value of the instance masks
    (except 0, which is never an object) to (class id, fine class), or to None if it is no object;
    any other value is an error. `instance_scope` is where a value means a single object: the whole
    dataset, a sequence (DAVIS), or an image (Cityscapes); a key of `instances` may also be that of
    `key` instead of a value. `reader` is the name of the reader, which
    `readers.read` sets. In a `partial` one, images may lack a mask. `official` is false for
    content of other files than the official ones.
    `sequences` (split -> names) and `only`, which gives the images of some of them, are those of a
    dataset of which a few sequences can be read without the others.
    """

    classes: tuple[str, ...]
    labels: Mapping[int, int]
    images: Iterable[ImageEntry]
    palette: tuple[tuple[int, int, int], ...] = ()
    instances: Mapping[Any, tuple[int, str] | None] = field(default_factory=dict)
    instance_scope: Literal["dataset", "sequence", "image"] = "dataset"
    relevance: Iterable[Relevance] = ()
    terms: Terms = Terms()
    reader: str = ""
    partial: bool = False
    official: bool = True
    sequences: Mapping[str, Collection[str]] = field(default_factory=dict)
    only: Callable[[Mapping[str, Collection[str]]], Iterable[ImageEntry]] | None = None

    def key(self, entry: ImageEntry, value: int) -> Hashable:
        """What is equal for a value of instance masks wherever it means the same object."""
        if self.instance_scope == "dataset":
            return value
        return (entry.sequence if self.instance_scope == "sequence" else entry.image_id), value
