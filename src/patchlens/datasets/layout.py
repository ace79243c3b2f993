"""What a dataset module says about a folder: the images, where their masks are, what ids mean."""

from collections.abc import Mapping
from dataclasses import dataclass, field

IGNORE = 255  # the class id of pixels that neither vote nor count


@dataclass(frozen=True)
class ImageEntry:
    """One image of a split. Paths are relative to the dataset's root, with forward slashes."""

    image_id: str
    split: str
    path: str
    mask: str
    instances: str | None = None
    sequence: str | None = None
    frame: int | None = None
    group: str | None = None


@dataclass(frozen=True)
class Layout:
    """A dataset as its module reads it: nothing here has been checked against the files yet.

    `labels` maps each value that a mask file may hold to a class id (an index into `classes`) or
    to `IGNORE`; any other value is an error. `instances` maps a value of the instance masks to
    (class id, fine class).
    """

    classes: tuple[str, ...]
    labels: Mapping[int, int]
    images: list[ImageEntry]
    palette: tuple[tuple[int, int, int], ...] = ()
    instances: Mapping[int, tuple[int, str]] = field(default_factory=dict)
