"""MOTChallenge's text files (motchallenge.net/instructions): boxes of the tracks of one video.

Frames and pixels count from 1. Names of classes are those of labels.txt beside it, as CVAT has it.
"""

import re
from collections.abc import Callable
from pathlib import Path

from patchlens.annotations.page import Page, Read, Shape
from patchlens.annotations.pixels import Size
from patchlens.annotations.source import Source
from patchlens.datasets.reading import lines
from patchlens.datasets.tracks import Format, Line, read_tracks
from patchlens.errors import DataError

START = re.compile(r"\s*\d+\s*,\s*\d+\s*(?:,\s*[-+.\deE]+\s*){7,8},?\s*")
MOT15 = 9  # commas of its 10 columns
UNNAMED = "object"  # of files without classes


def find(source: Source) -> list[Path]:
    """The text files whose first line is a frame, a track, a box, and three or four numbers."""
    return [path for path in source.named(".txt") if START.fullmatch(_first(path))]


def _first(path: Path) -> str:
    with path.open("rb") as stream:
        return stream.readline(1 << 16).decode("utf-8-sig", "replace")


def read(source: Source, paths: list[Path]) -> Read:
    """Read one file per video, which is called like the file, or like the folder around gt/."""
    classes: dict[str, None] = {}
    pages: list[Page] = []
    for path in paths:
        form: Format = (
            "mot15" if _first(path).strip().rstrip(",").count(",") == MOT15 else "motchallenge"
        )
        beside = path.with_name("labels.txt")
        names = [name for _, name in lines(beside)] if beside.is_file() else []
        video = path.parent.parent.name if path.parent.name == "gt" else path.stem
        for frame, found in sorted(read_tracks(path, form).items()):
            shapes = [_shape(line, names) for line in found]
            classes |= dict.fromkeys(shape.label for shape in shapes)
            place = f"{source.shown(path)}: frame {frame}"
            if frame < 1:
                raise DataError(f"{place}: frames count from 1")
            names_of = (f"{frame:06}",)
            pages.append(Page(place, names_of, None, _all(shapes), None, video, frame - 1))
    return Read([*classes], pages)


def _all(shapes: list[Shape]) -> Callable[[Size], list[Shape]]:
    return lambda _: shapes


def _shape(line: Line, names: list[str]) -> Shape:
    label = UNNAMED if line.label is None else f"class {line.label}"
    if names and line.label is not None:
        if not 0 < line.label <= len(names):
            raise DataError(f"{line.place}: class {line.label} is not in labels.txt; add it there")
        label = names[line.label - 1]
    return Shape(label, line.box, evaluated=line.active, track=line.track)
