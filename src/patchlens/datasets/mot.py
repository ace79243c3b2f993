"""MOTChallenge: MOT15, MOT16 and MOT17, pedestrians in videos, boxes with track ids.

Layout, columns and the 13 classes of MOT16 and MOT17: github.com/JonathonLuiten/TrackEval
(mot_challenge_2d_box.py, docs), motchallenge.net/instructions. MOT15: Leal-Taixé et al.,
arXiv:1504.01942; MOT16 and MOT17: Milan et al., arXiv:1603.00831, whose tables give the counts.
"""

import configparser
from collections.abc import Iterator
from pathlib import Path

from patchlens.datasets.card import Card
from patchlens.datasets.layout import ImageEntry, Layout, ObjectEntry
from patchlens.datasets.reading import folders, frames, lines, top
from patchlens.datasets.sources.all import SOURCES
from patchlens.datasets.tracks import Line, read_tracks
from patchlens.errors import DataError, SourceError

CLASSES = (
    "pedestrian",
    "person_on_vehicle",
    "car",
    "bicycle",
    "motorbike",
    "non_mot_vehicle",
    "static_person",
    "distractor",
    "occluder",
    "occluder_on_ground",
    "occluder_full",
    "reflection",
    "crowd",
)
SPLITS = ("train", "test")
DETECTORS = ("DPM", "FRCNN", "SDP")
LAYOUT = """\
{train,test}/<sequence>/
  img1/000001.jpg ...    # 1-based
  gt/gt.txt              # train only
  seqinfo.ini"""


def _card(kind: str, counts: tuple[int, int], *more: str) -> Card:
    return Card(
        **vars(SOURCES[kind]),
        tasks=("tracking", "retrieval", "identification"),
        layout=LAYOUT,
        counts={s: {"images": n} for s, n in zip(SPLITS, counts, strict=True)},
        classes=CLASSES[:1] if kind == "mot15" else CLASSES,
        encoding=(
            "Frames, ids and pixels are 1-based; `frame` keeps the dataset's number, boxes become "
            "0-based.",
            "A frame without objects is an image too; the test split has no ground truth.",
            *more,
        ),
    )


_CLASSES_AND_FLAG = (
    "gt.txt has 9 columns: frame, id, left, top, width, height, flag, class, visibility; only "
    "flag 1 and class 1 (pedestrian) is evaluated, the rest (distractors, static persons, "
    "occluders, ...) is kept for official preprocessing."
)
MOT15 = _card(
    "mot15",
    (5503, 5783),
    "gt.txt has 10 columns: the seventh is the flag, there is no class; every object is a "
    "pedestrian.",
    "Older copies have no seqinfo.ini: then the frames are those in img1.",
)
MOT16 = _card("mot16", (5316, 5919), _CLASSES_AND_FLAG)
MOT17 = _card(
    "mot17",
    (5316, 5919),
    _CLASSES_AND_FLAG,
    "The copies of a sequence for the detectors DPM, FRCNN and SDP share images and ground truth: "
    "the first that is there is read, under the name without the detector, and it is an error if "
    "their ground truth differs.",
)


def read(root: Path, card: Card) -> Layout:
    """Read the sequences of the splits that exist; at least one must.

    Raises:
        SourceError: no split, or a ground truth or `seqinfo.ini` is missing.
        DataError: a line is malformed, a frame is missing, copies of a sequence differ.
    """
    here = top(root, *(f"{split}/*/img1" for split in SPLITS), how=card.how)
    present = [split for split in SPLITS if (here / split).is_dir()]
    images = (
        entry
        for split in present
        for name, copies in _sequences(here / split, card).items()
        for entry in _sequence(root, split, name, copies, card)
    )
    return Layout(card.classes, {}, images)


def _sequences(split: Path, card: Card) -> dict[str, list[Path]]:
    """Name -> its folders: one a detector in MOT17, one in all in MOT15 and MOT16."""
    found: dict[str, list[Path]] = {}
    for folder in folders(split):
        name, _, detector = folder.name.rpartition("-")
        known = card is MOT17 and detector in DETECTORS
        found.setdefault(name if known else folder.name, []).append(folder)
    return found


def _sequence(
    root: Path, split: str, name: str, copies: list[Path], card: Card
) -> Iterator[ImageEntry]:
    folder = copies[0]
    images = _images(folder, card)
    truth = read_tracks(folder / "gt" / "gt.txt") if split == "train" else {}
    for copy in copies[1:] if split == "train" else []:
        if _content(copy / "gt" / "gt.txt") != _content(folder / "gt" / "gt.txt"):
            raise DataError(f"{copy / 'gt' / 'gt.txt'}: differs from that of {folder.name}")
    if strays := sorted(set(truth) - set(images)):
        raise DataError(
            f"{truth[strays[0]][0].place}: frame {strays[0]} has no image in {folder.name}"
        )
    for frame, path in images.items():
        yield ImageEntry(
            image_id=f"{name}/{path.stem}",
            split=split,
            path=path.relative_to(root).as_posix(),
            sequence=name,
            frame=frame,
            objects=tuple(_object(name, line, card) for line in truth.get(frame, ())),
        )


def _images(folder: Path, card: Card) -> dict[int, Path]:
    path = folder / "seqinfo.ini"
    if not path.is_file():
        if card is not MOT15:
            raise SourceError(f"{path}: no such file; it says how many frames the sequence has")
        return frames(folder / "img1", "*.jpg")
    info = configparser.ConfigParser(interpolation=None)
    try:
        info.read_string(path.read_text(encoding="utf-8-sig"))
        about = info["Sequence"]
        where, suffix, length = about["imDir"], about["imExt"], int(about["seqLength"])
    except (configparser.Error, KeyError, ValueError) as error:
        raise DataError(f"{path}: {' '.join(str(error).split())} is wrong or missing") from None
    images = frames(folder / where, f"*{suffix}")
    if list(images) != list(range(1, length + 1)):
        missing = next((n for n in range(1, length + 1) if n not in images), None)
        what = f"frame {missing} is missing" if missing else f"{len(images)} frames are there"
        raise DataError(f"{path}: seqLength is {length}, but {what}")
    return images


def _content(path: Path) -> list[str]:
    return sorted(text for _, text in lines(path))


def _object(sequence: str, line: Line, card: Card) -> ObjectEntry:
    label = 1 if card is MOT15 else line.label
    if label is None or not 1 <= label <= len(CLASSES):
        raise DataError(f"{line.place}: class {label}; {card.title} has 1 to {len(CLASSES)}")
    return ObjectEntry(
        instance=f"{sequence}/{line.track}",
        class_id=label - 1,
        box=line.box,
        track=line.track,
        evaluated=line.active and label == 1,
    )
