"""`patchlens show tracking`: a sequence with the ids of tracks linked by appearance alone."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from patchlens.datasets.index import Index
from patchlens.datasets.masks import open_ids
from patchlens.datasets.tracks import read_tracks
from patchlens.errors import DataError, SettingsError
from patchlens.features.cell import Cell
from patchlens.files import whole_file
from patchlens.names import nearest
from patchlens.tasks.tracking.animation import Mark, animation
from patchlens.tasks.tracking.files import TrackFiles

SUFFIX = "gif"
FRAMES = 40  # at most; every n-th of a longer sequence


def run(path: Path, cell: Cell, sequence: str | None = None) -> None:
    """Draw the tracks of a sequence, with raw features, to the GIF `path` of at most 1 MB.

    The sequence is one of the query, by default the first.

    Raises:
        SettingsError: the sequence does not exist, or the query has no sequences.
        DataError: the tracks are missing, because the stage did not run.
    """
    index, dataset = cell.index, cell.dataset
    images = index.images.loc[index.query["image_id"]].sort_values("frame")
    known = [str(s) for s in images["sequence"].dropna().unique()]
    if not known:
        raise SettingsError(
            f"no query image of '{dataset}' is a frame of a sequence; choose a dataset with videos"
        )
    sequence = min(known) if sequence is None else sequence
    if sequence not in known:
        raise SettingsError(
            f"unknown sequence '{sequence}' of '{dataset}'; {nearest(sequence, known)}"
        )
    ids = list(images.index[images["sequence"] == sequence])
    folder = cell.tracks / "raw"
    if not folder.is_dir():
        raise DataError(f"{folder}: no tracks; run `dvc repro tracking` first")
    marks = _marks(index, cell.own.kind, sequence, ids, folder)
    shown = ids[:: -(-len(ids) // FRAMES)]
    with whole_file(path) as partial:
        animation([(index.image(i), marks.get(i, [])) for i in shown], partial)


def _marks(
    index: Index, kind: str, sequence: str, ids: Sequence[str], folder: Path
) -> Mapping[str, Sequence[Mark]]:
    """Image id -> the marks to draw in it."""
    if (folder / "davis").is_dir():
        masks = folder / "davis" / sequence
        return {i: list(_masked(masks / f"{Path(i).name}.png")) for i in ids}
    files = TrackFiles(index, kind, {sequence: list(ids)})
    lines = read_tracks(folder / "mot" / f"{files.stem(sequence)}.txt")
    numbers = index.images.loc[list(ids), "frame"]
    return {
        i: [Mark(line.track, line.box) for line in lines.get(int(number) + files.shift, ())]
        for i, number in zip(ids, numbers, strict=True)
    }


def _masked(path: Path) -> Iterator[Mark]:
    values = open_ids(path)
    for value in np.unique(values[values > 0]):
        mask = values == value
        y, x = (np.flatnonzero(mask.any(axis=axis)) for axis in (1, 0))
        yield Mark(int(value), (x[0], y[0], x[-1] + 1, y[-1] + 1), mask)
