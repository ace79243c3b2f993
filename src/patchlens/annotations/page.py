"""What every reader of annotations gives: the shapes or the class mask of each picture."""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from patchlens.annotations.pixels import Draw, Size
from patchlens.datasets.boxes import Box
from patchlens.errors import DataError

BACKGROUND = "background"  # the class of what no shape covers


VOID = ("ignore", "void", "unlabelled", "unlabeled")  # first words of names of ignored pixels


def once(place: object, listed: Iterable[Any]) -> None:
    """Refuse a list of names or values in which one stands twice, but for None.

    Raises:
        DataError: names it.
    """
    for entry, count in Counter(listed).items():
        if count > 1 and entry is not None:
            raise DataError(f"{place}: '{entry}' is listed twice; remove one, or rename it")


def meant(name: str) -> str | None:
    """The class that a name means: `background` has several spellings, and None is ignored."""
    plain = name.strip()
    first = re.split(r"\W", plain.strip("_").casefold())[0]
    if first in VOID:
        return None
    return BACKGROUND if plain.strip("_").casefold() == BACKGROUND else plain


@dataclass(frozen=True)
class Shape:
    """One thing in a picture.

    Attributes:
        label: its class, as written.
        box: x0, y0, x1, y1 in pixels, 0-based, x1 and y1 exclusive; None: that around its pixels.
        draw: its pixels [H, W] in a picture of width and height; None: only the box is known.
        evaluated: False for crowds and what the annotator marked as difficult.
        track: its number in its video.
        more: keys that an object of ours may have too, such as `instance`.
    """

    label: str
    box: Box | None = None
    draw: Draw | None = None
    evaluated: bool = True
    track: int | None = None
    more: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Page:
    """The annotation of one picture, or of one frame of a video.

    Attributes:
        place: file and entry, for messages.
        pictures: how the annotation names the picture: alternatives, the likeliest first. They are
            compared with the pictures that exist, and never opened.
        size: of the picture that was labelled, if the annotation states it.
        shapes: size of the picture -> its shapes, in the order in which they are drawn.
        mask: a class mask instead of shapes.
        video: name of the video, if the annotation has frames.
        frame: position in the video, from 0.
    """

    place: str
    pictures: tuple[str, ...]
    size: Size | None = None
    shapes: Callable[[Size], Sequence[Shape]] = lambda _: ()
    mask: Path | None = None
    video: str = ""
    frame: int | None = None


@dataclass
class Read:
    """The annotations of a source.

    Attributes:
        classes: names, in the order of the source.
        pages: one per labelled picture; a picture without shapes has nothing in it.
        meaning: of class masks: value (or packed colour) -> class; None: ignored.
        colours: whether class masks are in colour, see `Terms.colours`.
        masks: the files that are masks, and so no pictures.
        notes: what was left out, and why.
    """

    classes: Sequence[str]
    pages: Iterable[Page]
    meaning: Mapping[int, str | None] = field(default_factory=dict)
    colours: bool = False
    masks: frozenset[Path] = frozenset()
    notes: list[str] = field(default_factory=list)


def each(
    make: Callable[..., Shape], items: Sequence[tuple[Any, ...]]
) -> Callable[[Size], list[Shape]]:
    """`Page.shapes` that makes a shape of each item and the size of the picture."""
    return lambda size: [make(*item, size) for item in items]


def entries(place: str, content: Mapping[str, Any], key: str) -> list[Any]:
    """The list at a key of a JSON.

    Raises:
        DataError: it is no list.
    """
    found = content[key]
    if not isinstance(found, list):
        raise DataError(f"{place}: {key} is no list; export it again")
    return found


def stated(width: Any, height: Any) -> Size | None:
    """A size as an annotation states it, as numbers or text; None: it does not."""
    both = str(width), str(height)
    size = (int(both[0]), int(both[1])) if all(v.isdecimal() for v in both) else (0, 0)
    return size if all(size) else None
