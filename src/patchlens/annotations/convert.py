"""Pictures and their annotations, as tools write them, as a dataset of kind `folder`."""

import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from patchlens.annotations import (
    coco,
    cvat,
    label_studio,
    labelme,
    mask_files,
    mot,
    supervisely,
    video,
    voc,
    yolo,
)
from patchlens.annotations.page import Page, Read
from patchlens.annotations.pairing import Pairs, Photo, films, folders, stills
from patchlens.annotations.source import Source
from patchlens.annotations.write import Converted, Writer
from patchlens.datasets.folder_yaml import NAME
from patchlens.errors import DataError
from patchlens.files import whole_folder, write_text
from patchlens.progress import track
from patchlens.settings import yaml_text


class Format(NamedTuple):
    """A format: the files of a source that are in it, and how they are read."""

    title: str
    find: Callable[[Source], list[Path]]
    read: Callable[[Source, list[Path]], Read]


FORMATS: dict[str, Format] = {
    "coco": Format("COCO JSON", coco.find, coco.read),
    "labelme": Format("LabelMe JSON", labelme.find, labelme.read),
    "cvat": Format("CVAT XML", cvat.find, cvat.read),
    "voc": Format("Pascal VOC", voc.find, voc.read),
    "yolo": Format("YOLO", yolo.find, yolo.read),
    "mot": Format("MOTChallenge", mot.find, mot.read),
    "label_studio": Format("Label Studio JSON", label_studio.find, label_studio.read),
    "supervisely": Format("Supervisely JSON", supervisely.find, supervisely.read),
}
MASKS = Format("class masks", mask_files.find, mask_files.read)  # where no other format is found


def convert(
    photos: Path, annotations: Path | None, out: Path, *, every: int = 1, frames: bool = False
) -> Converted:
    """Write the dataset `out` of kind `folder`; its dataset.yaml has all but `splits`.

    Pictures are hard links where the disk allows it, else copies. An existing `out` is replaced
    only when everything is written.

    Args:
        photos: a picture or a video, a folder of either with all folders in it, or an archive.
        annotations: a file, a folder or an archive in one of `FORMATS`, which its content tells; it
            may hold the pictures too. None: the pictures have no labels.
        out: the folder to write.
        every: of videos, every n-th frame is kept, and those that are labelled.
        frames: whether each folder of pictures is a video, with the number of the frame at the end
            of a name.

    Raises:
        SourceError: there is nothing at a path.
        DataError: the format is not recognised or not clear, no picture has an annotation, or a
            file is broken, contradicts its picture or is not safe to read.
    """
    with whole_folder(out) as partial:
        scratch = partial / ".scratch"
        scratch.mkdir()
        given = Source(photos, scratch)
        name, read, source = "", Read([], []), given
        if annotations is not None:
            source = given if annotations == photos else Source(annotations, scratch)
            name, read = _read(source)
            frames |= name == "mot"  # which has nothing but videos
        pages = [*read.pages]
        listed = _photos(given, source, read, scratch, every, pages, frames=frames)
        writer = Writer(partial, read, listed, annotations or photos)
        found = Pairs(listed, pages, annotations) if annotations is not None else None
        writer.notes += found.notes if found else []
        for photo in track(listed, total=len(listed), what="convert"):
            writer.add(photo, found.pages.get(photo.name) if found else None)
        converted = writer.close(name)
        shutil.rmtree(scratch)
    return converted


def with_splits(out: Path, splits: Mapping[str, Sequence[str]]) -> None:
    """Add `splits` to the dataset.yaml of a converted dataset, or replace those that are there."""
    content = yaml_text.read(out / NAME) | {"splits": {k: [*v] for k, v in splits.items()}}
    write_text(yaml_text.dumped(content), out / NAME)


def _photos(
    given: Source,
    source: Source,
    read: Read,
    scratch: Path,
    every: int,
    pages: Sequence[Page],
    *,
    frames: bool,
) -> list[Photo]:
    """The pictures of a source, or those that lie beside its annotations."""
    pictures = [path for path in given.pictures if path not in read.masks]
    if not pictures and not given.videos:
        pictures = [path for path in source.pictures if path not in read.masks]
        given = source
    if pictures and given.videos:
        raise DataError(
            f"{given.given}: holds videos ({len(given.videos)}) and pictures ({len(pictures)}); "
            "give one of the two, in a folder of its own"
        )
    if not pictures and not given.videos:
        raise DataError(f"{given.given}: contains no pictures, and no video ({video.NAMES})")
    if given.videos:
        return films(given, scratch, every, pages)
    return folders(given, pictures, every, pages) if frames else stills(given, pictures)


def _read(source: Source) -> tuple[str, Read]:
    """The annotations of a source in the one format that it has."""
    found = {name: paths for name, form in FORMATS.items() if (paths := form.find(source))}
    if len(found) > 1:
        both = " and ".join(f"{FORMATS[n].title} ({source.shown(p[0])})" for n, p in found.items())
        raise DataError(f"{source.given}: holds annotations in several formats: {both}; give one")
    for name, paths in found.items():
        return name, FORMATS[name].read(source, paths)
    if paths := MASKS.find(source):
        return "masks", MASKS.read(source, paths)
    known = ", ".join(form.title for form in [*FORMATS.values(), MASKS])
    raise DataError(f"{source.given}: is in no format of annotations that is read: {known}")
