"""MOTChallenge's text format of tracks, with one box per line, independent of any benchmark.

Columns (motchallenge.net/instructions): frame, id, left, top, width, height, flag (0: not
evaluated), then either class and visibility (9 columns, MOT16 and later) or x, y, z in the world
(10 columns, MOT15 and results: no class). Numbers are 1-based: pixel 1 is the first.
"""

from pathlib import Path
from typing import NamedTuple

from patchlens.datasets.boxes import Box, from_size
from patchlens.datasets.reading import lines, whole
from patchlens.errors import DataError


class Line(NamedTuple):
    """One box: `place` names file and line, `label` is the class column (None: not in the file)."""

    place: str
    frame: int
    track: int
    box: Box  # 0-based, x1 and y1 exclusive
    active: bool
    label: int | None


def read_tracks(path: Path) -> dict[int, list[Line]]:
    """The boxes of a sequence: frame number as written -> its lines in the order of the file.

    Raises:
        SourceError: the file does not exist.
        DataError: a line is malformed, or a track has two boxes in a frame.
    """
    found: dict[int, list[Line]] = {}
    seen: dict[tuple[int, int], int] = {}
    for number, text in lines(path):
        place = f"{path}, line {number}"
        try:
            line = _parse(place, text.rstrip(",").split(","))
        except (ValueError, OverflowError) as error:
            raise DataError(f"{place}: {error}") from None
        earlier = seen.setdefault((line.frame, line.track), number)
        if earlier != number:
            twice = f"track {line.track} is in frame {line.frame} twice"
            raise DataError(f"{place}: {twice} (see line {earlier})")
        found.setdefault(line.frame, []).append(line)
    return found


def _parse(place: str, fields: list[str]) -> Line:
    if len(fields) not in (9, 10):
        raise ValueError(f"has {len(fields)} columns instead of 9 (MOT16, MOT17) or 10 (MOT15)")
    frame, track = whole(fields[0]), whole(fields[1])
    if track < 0:
        raise ValueError(f"track {track}: the file lists detections, not tracks")
    left, top, width, height, flag = (float(field) for field in fields[2:7])
    label = whole(fields[7]) if len(fields) == 9 else None
    box = from_size(left - 1, top - 1, width, height, evaluated=flag != 0)
    return Line(place, frame, track, box, flag != 0, label)
