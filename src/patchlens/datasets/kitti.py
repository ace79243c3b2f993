"""KITTI multi-object tracking: 21 driving videos with tracks, 29 without.

Columns and layout: the devkit's readme (copied in github.com/JonathonLuiten/TrackEval as
docs/KITTI-format.txt); evaluated objects: there and in kitti_2d_box.py.
"""

from collections.abc import Iterator
from pathlib import Path

from patchlens.datasets.below import folders
from patchlens.datasets.boxes import corners
from patchlens.datasets.catalogue import Entry
from patchlens.datasets.layout import ImageEntry, Layout, ObjectEntry
from patchlens.datasets.reading import decimal, frames, lines, part, top, whole
from patchlens.errors import DataError, SourceError
from patchlens.names import nearest

ALIASES = {"Person": "Person_sitting"}  # TrackEval reads this spelling
EVALUATED = ("Car", "Pedestrian")
MAX_TRUNCATED, MAX_OCCLUDED = 0, 2
SPLITS = {"training": "train", "testing": "test"}


def read(root: Path, facts: Entry) -> Layout:
    """Read the splits whose images exist; at least one must.

    Raises:
        SourceError: there is no split, or the labels of a training sequence are missing.
        DataError: a line is malformed or names a frame that does not exist.
    """
    here = top(root, *(f"{folder}/image_02" for folder in SPLITS), how=facts.how)
    present = [folder for folder in SPLITS if (here / folder / "image_02").is_dir()]
    images = (
        entry
        for folder in present
        for sequence in folders(here / folder / "image_02")
        for entry in _sequence(root, here / folder, sequence, facts)
    )
    return Layout(tuple(facts.classes), {}, images)


def _sequence(root: Path, folder: Path, sequence: Path, facts: Entry) -> Iterator[ImageEntry]:
    images = frames(sequence)
    split = SPLITS[folder.name]
    labels = part(root, folder.parent, f"{folder.name}/label_02") / f"{sequence.name}.txt"
    if split == "train" and not labels.is_file():
        raise SourceError(f"{labels}: no such file. {facts.how}")
    objects = _objects(labels, images, facts.classes) if split == "train" else {}
    for frame, path in images.items():
        # A test sequence shares its number with a training sequence.
        name = f"{split}_{sequence.name}"
        yield ImageEntry(
            image_id=f"{name}/{path.stem}",
            split=split,
            path=path.relative_to(root).as_posix(),
            sequence=name,
            frame=frame,
            objects=tuple(objects.get(frame, ())),
        )


def _objects(
    path: Path, images: dict[int, Path], classes: list[str]
) -> dict[int, list[ObjectEntry]]:
    found: dict[int, list[ObjectEntry]] = {}
    seen: set[tuple[int, int]] = set()
    for number, text in lines(path):
        place = f"{path}, line {number}"
        try:
            frame, entry = _object(path.stem, number, text.split(), classes)
        except ValueError as error:
            raise DataError(f"{place}: {error}") from None
        if frame not in images:
            raise DataError(f"{place}: frame {frame} has no image")
        if entry.track is not None and (frame, entry.track) in seen:
            raise DataError(f"{place}: track {entry.track} is in frame {frame} twice")
        if entry.track is not None:
            seen.add((frame, entry.track))
        found.setdefault(frame, []).append(entry)
    return found


def _object(
    sequence: str, number: int, fields: list[str], classes: list[str]
) -> tuple[int, ObjectEntry]:
    if len(fields) != 17:
        raise ValueError(f"has {len(fields)} columns instead of 17")
    frame, track, kind = whole(fields[0]), whole(fields[1]), ALIASES.get(fields[2], fields[2])
    if kind not in classes:
        raise ValueError(f"unknown type '{kind}'; {nearest(kind, classes)}")
    left, top_, right, bottom = (decimal(field) for field in fields[6:10])
    shown = whole(fields[3]) <= MAX_TRUNCATED and whole(fields[4]) <= MAX_OCCLUDED
    evaluated = kind in EVALUATED and shown and track >= 0
    return frame, ObjectEntry(
        instance=f"train_{sequence}/{track}" if track >= 0 else f"train_{sequence}/line {number}",
        class_id=classes.index(kind),
        box=corners(left, top_, right + 1, bottom + 1, evaluated=evaluated),
        track=track if track >= 0 else None,
        evaluated=evaluated,
    )
