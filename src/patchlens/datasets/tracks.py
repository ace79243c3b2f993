"""Text formats of tracks, with one box per line, independent of any benchmark.

All begin with frame, id, left, top, width, height; what follows depends on the format, see
`FORMATS`. Numbers are 1-based: pixel 1 is the first. Columns are separated by commas, semicolons,
tabs or blanks.
"""

import re
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple

from patchlens.datasets.boxes import Box, from_size
from patchlens.datasets.reading import decimal, lines, whole
from patchlens.errors import DataError
from patchlens.progress import log

NO_CLASS = ["-1"] * 3  # x, y, z of results, and of ground truth without a world


@dataclass(frozen=True)
class Columns:
    """What the columns of a format mean after the box; positions from 0, None: not in the file.

    `flag` is 0 for boxes that are not evaluated. `classes` are the numbers of a fixed list: a user
    names those to read, and the others are left out.
    """

    counts: tuple[int, ...]
    flag: int | None = None
    label: int | None = None
    visibility: int | None = None
    classes: Collection[int] = ()


Format = Literal["motchallenge", "mot15", "visdrone", "uavdt"]
FORMATS: dict[Format, Columns] = {
    # motchallenge.net/instructions: MOT16 and later, DanceTrack, CVAT, our own tracks
    "motchallenge": Columns((9,), flag=6, label=7, visibility=8),
    # MOT15: x, y, z in the world instead of class and visibility
    "mot15": Columns((9, 10), flag=6),
    # VisDrone-MOT: score (0: ignored), class, truncation, occlusion; github.com/VisDrone
    "visdrone": Columns((10,), flag=6, label=7, classes=range(12)),
    # UAVDT's gt_whole.txt: out of view, occlusion, class
    "uavdt": Columns((9,), label=8, classes=(1, 2, 3)),
}


class Line(NamedTuple):
    """One box: `place` names file and line, `label` is the class column (None: not in the file)."""

    place: str
    frame: int
    track: int
    box: Box  # 0-based, x1 and y1 exclusive
    active: bool
    label: int | None


def read_tracks(
    path: Path, form: Format = "motchallenge", left_out: Collection[int] = ()
) -> dict[int, list[Line]]:
    """The boxes of a sequence: frame number as written -> its lines in the order of the file.

    Args:
        path: the file.
        form: its format, a name in `FORMATS`.
        left_out: classes whose lines are not read.

    Raises:
        SourceError: the file does not exist.
        DataError: a line is malformed, or a track has two boxes in a frame.
    """
    found: dict[int, list[Line]] = {}
    seen: dict[tuple[int, int], int] = {}
    dropped = 0
    for number, text in lines(path):
        place = f"{path}, line {number}"
        try:
            line = _parse(place, cells(text), form)
            if line.label in left_out:
                dropped += 1
                continue
            if line.track < 0:
                raise ValueError(f"track {line.track}: the file lists detections, not tracks")
        except (ValueError, OverflowError) as error:
            head = "; remove the header" if number == 1 and re.match("[A-Za-z]", text) else ""
            raise DataError(f"{place}: {error}{head}") from None
        earlier = seen.setdefault((line.frame, line.track), number)
        if earlier != number:
            twice = f"track {line.track} is in frame {line.frame} twice"
            raise DataError(f"{place}: {twice} (see line {earlier})")
        found.setdefault(line.frame, []).append(line)
    if dropped:
        log.info("%s: left out %d boxes of other classes", path, dropped)
    return found


def cells(text: str) -> list[str]:
    """The columns of a line."""
    return re.split(r"\s*[,;]\s*|\s+", text.rstrip(",; \t"))


def _parse(place: str, fields: list[str], form: Format) -> Line:
    columns = FORMATS[form]
    if form == "motchallenge" and fields[7:] == NO_CLASS:
        columns = FORMATS["mot15"]
    if len(fields) not in columns.counts:
        others = [name for name, of in FORMATS.items() if len(fields) in of.counts]
        hint = f"tracks_format may be {' or '.join(others)}" if others else "see docs/own-data.md"
        counts = " or ".join(str(count) for count in columns.counts)
        raise ValueError(f"has {len(fields)} columns instead of {counts} ({form}); {hint}")
    left, top, width, height = (decimal(field) for field in fields[2:6])
    active = columns.flag is None or decimal(fields[columns.flag]) != 0
    label = None if columns.label is None else whole(fields[columns.label])
    if columns.visibility is not None:
        for place_of, what in ((6, "flag"), (columns.visibility, "visibility")):
            if not -1 <= decimal(fields[place_of]) <= 1:
                raise ValueError(
                    f"{what} {fields[place_of]} is above 1; if the file is UAVDT's, which has the "
                    "class in the last column, write tracks_format: uavdt"
                )
    box = from_size(left - 1, top - 1, width, height, evaluated=active)
    return Line(place, whole(fields[0]), whole(fields[1]), box, active, label)
