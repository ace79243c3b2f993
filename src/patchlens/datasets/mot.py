"""MOTChallenge: MOT15, MOT16 and MOT17, pedestrians in videos, boxes with track ids.

Layout, columns and the 13 classes of MOT16 and MOT17: github.com/JonathonLuiten/TrackEval
(mot_challenge_2d_box.py, docs), motchallenge.net/instructions. MOT15: Leal-Taixé et al.,
arXiv:1504.01942; MOT16 and MOT17: Milan et al., arXiv:1603.00831, whose tables give the counts.
"""

import configparser
from collections.abc import Iterator, Sequence
from pathlib import Path

from patchlens.datasets.below import at, check_inside, folders
from patchlens.datasets.catalogue import Entry
from patchlens.datasets.layout import ImageEntry, Layout, ObjectEntry
from patchlens.datasets.reading import frames, lines, text_of, top
from patchlens.datasets.tracks import Format, Line, read_tracks
from patchlens.errors import DataError, SourceError

SPLITS = ("train", "test")


def read(
    root: Path,
    facts: Entry,
    *,
    class_column: bool = True,
    seqinfo: bool = True,
    detectors: Sequence[str] = (),
) -> Layout:
    """Read the sequences of the splits that exist; at least one must.

    Args:
        root: the dataset's root.
        facts: its entry in the catalogue.
        class_column: whether gt.txt has the class; else all objects are of the first class.
        seqinfo: whether every sequence must have a seqinfo.ini; else frames are those in img1.
        detectors: suffixes of the names of folders that are copies of one sequence.

    Raises:
        SourceError: there is no split, or a ground truth or `seqinfo.ini` is missing.
        DataError: a line is malformed, a frame is missing, copies of a sequence differ.
    """
    here = top(root, *(f"{split}/*/img1" for split in SPLITS), how=facts.how)
    present = [split for split in SPLITS if (here / split).is_dir()]
    images = (
        entry
        for split in present
        for name, copies in _sequences(here / split, detectors).items()
        for entry in _sequence(root, split, name, copies, facts, class_column, seqinfo)
    )
    return Layout(tuple(facts.classes), {}, images)


def _sequences(split: Path, detectors: Sequence[str]) -> dict[str, list[Path]]:
    """Name -> its folders: one per detector in MOT17, a single one in MOT15 and MOT16."""
    found: dict[str, list[Path]] = {}
    for folder in folders(split):
        name, _, detector = folder.name.rpartition("-")
        found.setdefault(name if detector in detectors else folder.name, []).append(folder)
    return found


def _sequence(
    root: Path,
    split: str,
    name: str,
    copies: list[Path],
    facts: Entry,
    class_column: bool,
    seqinfo: bool,
) -> Iterator[ImageEntry]:
    folder = copies[0]
    images, size = _images(folder, seqinfo)
    form: Format = "motchallenge" if class_column else "mot15"
    truth = read_tracks(folder / "gt" / "gt.txt", form) if split == "train" else {}
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
            drawn_on=size,
            labels=str(folder),
            objects=tuple(
                _object(name, line, facts, class_column) for line in truth.get(frame, ())
            ),
        )


def _images(folder: Path, seqinfo: bool) -> tuple[dict[int, Path], tuple[int, int] | None]:
    """The frames of a sequence, and their size as seqinfo.ini states it."""
    path = folder / "seqinfo.ini"
    if not path.is_file():
        if seqinfo:
            raise SourceError(f"{path}: no such file; it must give the number of frames")
        return frames(folder / "img1"), None
    info = configparser.ConfigParser(interpolation=None)
    try:
        info.read_string(text_of(path))
        about = next(info[name] for name in info.sections() if name.lower() == "sequence")
        where, length = about["imDir"], int(about["seqLength"])
        size = about.getint("imWidth", 0), about.getint("imHeight", 0)
    except (configparser.Error, KeyError, StopIteration, ValueError) as error:
        what = " ".join(str(error).split()) or "[Sequence]"
        raise DataError(f"{path}: {what} is wrong or missing; take the official file") from None
    check_inside(where, f"{path}: imDir")
    images = frames(at(folder, where))
    if len(images) != length or list(images) != list(range(1, length + 1)):
        missing = next((n for n in range(1, length + 1) if n not in images), None)
        what = f"frame {missing} is missing" if missing else f"there are {len(images)} frames"
        raise DataError(f"{path}: seqLength is {length}, but {what}")
    return images, size if all(size) else None


def _content(path: Path) -> list[str]:
    return sorted(text for _, text in lines(path))


def _object(sequence: str, line: Line, facts: Entry, class_column: bool) -> ObjectEntry:
    label = line.label if class_column else 1
    if label is None or not 1 <= label <= len(facts.classes):
        raise DataError(f"{line.place}: class {label}; {facts.title} has 1 to {len(facts.classes)}")
    return ObjectEntry(
        instance=f"{sequence}/{line.track}",
        class_id=label - 1,
        box=line.box,
        track=line.track,
        evaluated=line.active and label == 1,
    )
