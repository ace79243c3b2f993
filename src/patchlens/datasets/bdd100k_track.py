"""BDD100K multiple object tracking 2020: driving videos at 5 Hz, eight classes, boxes with ids.

Layout and label format: github.com/JonathonLuiten/TrackEval (docs/BDD100k-format.txt, taken from
the official page) and github.com/bdd100k/bdd100k (doc, label/to_rle.py); roles of the categories:
its configs/box_track.toml.
"""

from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

from patchlens.datasets.bdd100k_labels import (
    ALIASES,
    LABELS,
    folder_of,
    has_box,
    is_crowd,
    records,
)
from patchlens.datasets.below import folders, listed
from patchlens.datasets.boxes import corners
from patchlens.datasets.catalogue import Entry
from patchlens.datasets.layout import ImageEntry, Layout, ObjectEntry
from patchlens.datasets.reading import frames, top
from patchlens.errors import DataError, SourceError
from patchlens.names import nearest

DISTRACTORS = {"other person": "pedestrian", "other vehicle": "car", "trailer": "truck"}
SPLITS = ("train", "val", "test")
SHOWN = 20  # names of missing sequences in a message


def read(root: Path, facts: Entry) -> Layout:
    """Read the splits whose images exist; the label file of one video is in memory at a time.

    Of some sequences, only their images need to lie there: all labels come in one small archive,
    but the images of train are tens of GB.

    Raises:
        SourceError: there are no images, or train, val or one of their videos has images but no
            labels.
        DataError: a label file is malformed, or it and the images of its video do not pair.
    """
    here = top(root, "images/track", how=facts.how)
    splits = [split for split in SPLITS if (here / "images/track" / split).is_dir()]
    if not splits:
        raise SourceError(f"{here / 'images/track'}: contains no train, val or test. {facts.how}")
    labels = {split: _labels(root, here, split, facts) for split in splits}
    known = labels | {s: f for s in SPLITS if s not in labels and (f := folder_of(root, here, s))}
    sequences = {
        split: [path.name for path in folders(here / "images/track" / split)]
        if folder is None
        else [path.stem for path in listed(folder, "*.json")]
        for split, folder in known.items()
    }
    return Layout(
        tuple(facts.classes),
        {},
        _images(root, here, labels, facts.classes),
        sequences=sequences,
        only=lambda wanted: _only(root, here, known, facts, wanted),
    )


def _only(
    root: Path,
    here: Path,
    labels: dict[str, Path | None],
    facts: Entry,
    wanted: Mapping[str, Collection[str]],
) -> Iterator[ImageEntry]:
    """The images of the wanted sequences; no other video is looked at."""
    for split, names in wanted.items():
        images, folder = here / "images/track" / split, labels[split]
        if absent := sorted(name for name in names if not (images / name).is_dir()):
            raise SourceError(
                f"{images}: lacks {len(absent)} of the {len(names)} sequences that params.yaml "
                f"chooses: {', '.join(absent[:SHOWN])}; place these there, no others are needed. "
                f"{facts.how}"
            )
        for name in sorted(names):
            if folder is None:
                yield from _unlabelled(root, split, images / name)
            else:
                path = folder / f"{name}.json"
                yield from _video(root, split, images / name, path, facts.classes)


def _unlabelled(root: Path, split: str, video: Path) -> Iterator[ImageEntry]:
    for number, path in frames(video).items():
        yield _image(root, split, path, number - 1, ())


def _labels(root: Path, here: Path, split: str, facts: Entry) -> Path | None:
    found = folder_of(root, here, split)
    if found is None and split != "test":
        missing = here / LABELS[0] / split
        raise SourceError(f"{missing}: no such folder, but {split} has images. {facts.how}")
    return found


def _images(
    root: Path, here: Path, labels: dict[str, Path | None], classes: list[str]
) -> Iterator[ImageEntry]:
    for split, folder in labels.items():
        images = here / "images/track" / split
        if folder is None:
            for video in folders(images):
                yield from _unlabelled(root, split, video)
        else:
            names = {path.stem for path in listed(folder, "*.json")}
            for video in folders(images):
                if video.name not in names:
                    missing = folder / f"{video.name}.json"
                    raise SourceError(f"{missing}: no such file, but {video} has images")
            for name in sorted(names):
                yield from _video(root, split, images / name, folder / f"{name}.json", classes)


def _video(
    root: Path, split: str, folder: Path, path: Path, classes: list[str]
) -> Iterator[ImageEntry]:
    found: dict[int, tuple[str, list[Any]]] = {}
    shown = records(path)
    present = {file.name: number for number, file in frames(folder).items()}
    for position, record in enumerate(shown):
        try:
            name = str(record["name"])
            frame = int(record["frameIndex"] if "frameIndex" in record else record["index"])
        except (KeyError, TypeError, ValueError):
            what = "no name, or no integer frameIndex"
            raise DataError(f"{path}: frame at position {position}: {what}") from None
        if frame in found:
            raise DataError(f"{path}: frame {frame} occurs twice ({found[frame][0]}, {name})")
        if name not in present:
            raise DataError(f"{path}: frame {frame}: missing image {folder / name}")
        if present[name] != frame + 1:
            raise DataError(f"{path}: frame {frame}: image {name} must have number {frame + 1}")
        found[frame] = name, record.get("labels") or []
    if unlisted := sorted(set(present) - {name for name, _ in found.values()}):
        raise DataError(f"{path}: does not list the frame {folder / unlisted[0]}")
    for frame, (name, labels) in sorted(found.items()):
        objects = tuple(_objects(path, frame, labels, classes))
        yield _image(root, split, folder / name, frame, objects)


def _image(
    root: Path, split: str, path: Path, frame: int, objects: tuple[ObjectEntry, ...]
) -> ImageEntry:
    return ImageEntry(
        image_id=path.stem,
        split=split,
        path=path.relative_to(root).as_posix(),
        sequence=path.parent.name,
        frame=frame,
        objects=objects,
    )


def _objects(
    path: Path, frame: int, labels: list[Any], classes: list[str]
) -> Iterator[ObjectEntry]:
    for position, label in enumerate(labels):
        place = f"{path}: frame {frame}, object at position {position}"
        try:
            if not has_box(label):
                continue
            instance, category, edges = str(label["id"]), str(label["category"]), label["box2d"]
            evaluated = category not in DISTRACTORS and not is_crowd(label)
            x1, y1, x2, y2 = (float(edges[name]) for name in ("x1", "y1", "x2", "y2"))
            # x2 and y2 are the last pixel of the object.
            box = corners(x1, y1, x2 + 1, y2 + 1, evaluated=evaluated)
        except (AttributeError, KeyError, TypeError):
            raise DataError(f"{place}: has no id, category or box2d") from None
        except ValueError as error:
            raise DataError(f"{place}: {error}") from None
        name = DISTRACTORS.get(category) or ALIASES.get(category, category)
        if name not in classes:
            known = nearest(category, [*classes, *ALIASES, *DISTRACTORS])
            raise DataError(f"{place}: unknown category '{category}'; {known}")
        yield ObjectEntry(
            instance=f"{path.stem}/{instance}",
            class_id=classes.index(name),
            box=box,
            track=int(instance) if instance.isdecimal() else None,
            evaluated=evaluated,
        )
