"""Which picture an annotation is of: names are compared with the pictures that there are."""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from patchlens.annotations import video
from patchlens.annotations.page import Page
from patchlens.annotations.source import Source, below, short
from patchlens.datasets.below import nfc
from patchlens.datasets.reading import frames as numbered
from patchlens.errors import DataError
from patchlens.given import printable
from patchlens.names import nearest

NUMBER = re.compile(r"^(.*?)[-_. ]*(\d{1,18})$")


class Photo(NamedTuple):
    """A picture of the dataset.

    Attributes:
        name: in the dataset; of a frame, with its sequence before it.
        path: the file.
        written: its path below what was given.
        sequence: name of its video.
        frame: its number in the video, as in its name.
        position: its position in the whole video, from 0.
    """

    name: str
    path: Path
    written: str
    sequence: str | None = None
    frame: int = 0
    position: int = 0


def stills(source: Source, pictures: Sequence[Path]) -> list[Photo]:
    """Each picture with its name: its stem where that is unique, else its path."""
    counts = Counter(path.stem for path in pictures)
    found: dict[str, Path] = {}
    listed = []
    for path in pictures:
        inside = (
            path.relative_to(source.root) if path.is_relative_to(source.root) else Path(path.name)
        )
        name = path.stem if counts[path.stem] == 1 else "-".join(inside.with_suffix("").parts)
        if name in found:
            raise DataError(f"{path}: shares its name with {found[name]}; keep one of the two")
        found[name] = path
        listed.append(Photo(name, path, str(inside)))
    return listed


def films(source: Source, scratch: Path, every: int, pages: Sequence[Page]) -> list[Photo]:
    """Every n-th frame of each video, and those that a page is of, written to `scratch`."""
    found = []
    for path, name, wanted in _sequences(source.videos, source, pages):
        folder = scratch / "frames" / name
        folder.mkdir(parents=True)
        for number, picture in video.frames(path, every, wanted):
            target = folder / f"{number:06}.jpg"
            video.save(picture, target)
            inside = f"{name}/{number:06}"
            found.append(Photo(inside, target, f"{inside}.jpg", name, number, number))
    return found


def folders(
    source: Source, pictures: Sequence[Path], every: int, pages: Sequence[Page]
) -> list[Photo]:
    """Every n-th picture of each folder as a video, and those that a page is of."""
    found = []
    for path, name, wanted in _sequences(sorted({p.parent for p in pictures}), source, pages):
        for position, (number, file) in enumerate(numbered(path).items()):
            if position % every == 0 or {position, number} & wanted:
                inside = f"{name}/{nfc(file.stem)}"
                photo = Photo(inside, file, f"{name}/{file.name}", name, number, position)
                found.append(photo)
    return found


def _sequences(
    paths: Sequence[Path], source: Source, pages: Sequence[Page]
) -> Iterator[tuple[Path, str, set[int]]]:
    """Each video with its name, and the numbers of the frames that pages may be of."""
    names = [nfc((path if path != source.root else source.given).stem) for path in paths]
    if len({*names}) < len(names):
        names = ["-".join(path.relative_to(source.root).with_suffix("").parts) for path in paths]
    for path, name in zip(paths, names, strict=True):
        sole = len(paths) == 1
        yield path, name, {n for page in pages for n in _numbers(page, name, sole=sole)}


def _numbers(page: Page, sequence: str, *, sole: bool) -> Iterator[int]:
    """The numbers of the frame of a video that a page may be of."""
    if page.frame is not None:
        yield page.frame
    for name in page.pictures:
        path = Path(name.replace("\\", "/"))
        for stem in (path.name, path.stem):
            if (match := NUMBER.match(stem)) and (sole or sequence in (match[1], path.parent.name)):
                yield int(match[2])


class Pairs:
    """Photos with their pages.

    Attributes:
        pages: name of a photo -> its page.
        notes: what has no photo, or was decided.
    """

    def __init__(self, photos: Sequence[Photo], pages: Sequence[Page], place: Path) -> None:
        self.pages: dict[str, Page] = {}
        self.notes: list[str] = []
        self._photos = photos
        self._known: dict[str, dict[str, Photo]] = {}
        for photo in photos:
            for written in (photo.written, str(Path(photo.written).with_suffix(""))):
                for end in below(written):
                    self._known.setdefault(end, {})[photo.name] = photo
        of_frames = [photo for photo in photos if photo.sequence is not None]
        self._by_number = {(p.sequence, p.frame): {p.name: p} for p in of_frames}
        self._by_position = {(p.sequence, p.position): {p.name: p} for p in of_frames}
        self._sequences = {photo.sequence for photo in photos if photo.sequence is not None}
        missing = [page for page in pages if not self._pair(page, alone=len(pages) == 1)]
        if not self.pages:
            if not missing:
                raise DataError(f"{place}: labels no picture")
            name = missing[0].pictures[0]
            raise DataError(
                f"{place}: no picture that it labels is there, such as '{printable(name)}'; "
                f"{nearest(name, [photo.written for photo in photos])}"
            )
        if missing:
            names = short([page.pictures[0] for page in missing])
            self.notes.append(f"labelled, but not among the photos: {len(missing)} ({names})")

    def _pair(self, page: Page, *, alone: bool) -> bool:
        found = self._of(page)
        if not found and alone and len(self._sequences) == 1 and page.frame is None:
            first = self._photos[0]
            self.notes.append(f"{page.place} names no frame, and is taken for the first one")
            found = {first.name: first}
        if not found:
            return False
        if len(found) > 1:
            several = short([photo.written for photo in found.values()])
            raise DataError(
                f"{page.place}: '{page.pictures[0]}' may be any of {several}; give the folder that "
                "was labelled"
            )
        [name] = found
        if name in self.pages:
            raise DataError(
                f"{page.place}: labels '{found[name].written}', as {self.pages[name].place} does; "
                "keep one of the two"
            )
        self.pages[name] = page
        return True

    def _of(self, page: Page) -> dict[str, Photo]:
        """The photos that a page may be of."""
        sole = len(self._sequences) == 1
        if self._sequences and page.frame is not None:
            stem = Path(page.video).stem
            named = next(iter(self._sequences)) if sole else stem
            return self._by_position.get((named, page.frame), {})
        for name in page.pictures:
            for end in below(name):
                for written in (end, str(Path(end).with_suffix(""))):
                    if written in self._known:
                        return self._known[written]
        for sequence in self._sequences:
            for number in _numbers(page, str(sequence), sole=sole):
                if found := self._by_number.get((sequence, number)):
                    return found
        return {}
