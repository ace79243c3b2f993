"""Pictures and their annotations, as tools write them, as a dataset of kind `folder`."""

import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from patchlens.annotations import (
    coco,
    cvat,
    label_studio,
    labelme,
    mask_files,
    supervisely,
    voc,
    yolo,
)
from patchlens.annotations.page import BACKGROUND, Page, Read, Shape
from patchlens.annotations.pixels import Size, around
from patchlens.annotations.source import Source, below, short
from patchlens.datasets.boxes import Box, Frame, check_size
from patchlens.datasets.folder_yaml import NAME
from patchlens.datasets.images import image_size
from patchlens.datasets.layout import IGNORE, ImageEntry, ObjectEntry, Terms
from patchlens.datasets.masks import Mask, open_mask
from patchlens.errors import DataError
from patchlens.files import whole_folder, write_json, write_text
from patchlens.given import printable
from patchlens.names import nearest
from patchlens.settings import yaml_text

OBJECTS = "objects.json"
MOST_CLASSES = 254  # the last values of a mask of 8 bits are those of background and ignored pixels


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
    "label_studio": Format("Label Studio JSON", label_studio.find, label_studio.read),
    "supervisely": Format("Supervisely JSON", supervisely.find, supervisely.read),
}
MASKS = Format("class masks", mask_files.find, mask_files.read)  # where no other format is found


@dataclass(frozen=True)
class Converted:
    """What became of pictures and annotations; names are those that `splits` takes.

    Attributes:
        format: of the annotations, as in `FORMATS`; empty without annotations.
        classes: names that occur, in the order of the annotations; the class of what no shape
            covers is `background`.
        labelled: pictures with a class mask or a box.
        unlabelled: the others.
        masks: how many have a class mask.
        boxes: objects that are evaluated.
        sequences: videos, whose frames are in neither list.
        notes: what was left out or decided, and why; one line each.
    """

    format: str
    classes: list[str]
    labelled: list[str]
    unlabelled: list[str]
    masks: int = 0
    boxes: int = 0
    sequences: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


class _Photo(NamedTuple):
    name: str  # in the dataset
    path: Path
    written: str  # its path below what was given


def convert(photos: Path, annotations: Path | None, out: Path) -> Converted:
    """Write the dataset `out` of kind `folder`; its dataset.yaml has all but `splits`.

    Pictures are hard links where the disk allows it, else copies. An existing `out` is replaced
    only when everything is written.

    Args:
        photos: a folder, searched with all folders in it, or an archive of one.
        annotations: a file, a folder or an archive in one of `FORMATS`, which its content tells; it
            may hold the pictures too. None: the pictures have no labels.
        out: the folder to write.

    Raises:
        SourceError: there is nothing at a path.
        DataError: the format is not recognised or not clear, no picture has an annotation, or a
            file is broken, contradicts its picture or is not safe to read.
    """
    with whole_folder(out) as partial:
        scratch = partial / ".scratch"
        found = _convert(photos, annotations, partial, scratch)
        shutil.rmtree(scratch, ignore_errors=True)
    return found


def with_splits(out: Path, splits: Mapping[str, Sequence[str]]) -> None:
    """Add `splits` to the dataset.yaml of a converted dataset, or replace those that are there."""
    content = yaml_text.read(out / NAME)
    write_text(
        yaml_text.dumped(content | {"splits": {k: [*v] for k, v in splits.items()}}), out / NAME
    )


def _convert(photos: Path, annotations: Path | None, out: Path, scratch: Path) -> Converted:
    given = Source(photos, scratch)
    if annotations is None:
        pictures, name, read = given.pictures, "", Read([], [])
    else:
        source = given if annotations == photos else Source(annotations, scratch)
        name, read = _read(source)
        pictures = [path for path in given.pictures if path not in read.masks]
        if source is not given:  # a picture may be in both
            pictures += [p for p in source.pictures if p not in read.masks] if not pictures else []
    listed = _named(given, pictures)
    if not listed:
        raise DataError(f"{photos}: contains no pictures")
    writer = _Writer(out, read, listed)
    for photo, page in _paired(listed, read, annotations, writer.notes):
        writer.add(photo, page)
    return writer.close(name)


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


def _named(source: Source, pictures: Sequence[Path]) -> list[_Photo]:
    """Each picture with its name: its stem where that is unique, else its path."""
    stems = [path.stem for path in pictures]
    found: dict[str, Path] = {}
    listed = []
    for path, stem in zip(pictures, stems, strict=True):
        inside = path.relative_to(source.root) if path.is_relative_to(source.root) else path.name
        name = stem if stems.count(stem) == 1 else "-".join(Path(inside).with_suffix("").parts)
        if name in found:
            raise DataError(f"{path}: shares its name with {found[name]}; keep one of the two")
        found[name] = path
        listed.append(_Photo(name, path, str(inside)))
    return listed


def _paired(
    photos: Sequence[_Photo], read: Read, annotations: Path | None, notes: list[str]
) -> Iterator[tuple[_Photo, Page | None]]:
    """Every photo with its page; None: it is unlabelled."""
    known: dict[str, dict[str, _Photo]] = {}
    for photo in photos:
        for written in (photo.written, str(Path(photo.written).with_suffix(""))):
            for end in below(written):
                known.setdefault(end, {})[photo.name] = photo
    pages: dict[str, Page] = {}
    missing: list[str] = []
    for page in read.pages:
        found = next(
            (known[end] for name in page.pictures for end in _ends(name) if end in known), None
        )
        if found is None:
            missing.append(page.pictures[0])
            continue
        if len(found) > 1:
            several = short([photo.written for photo in found.values()])
            raise DataError(
                f"{page.place}: '{page.pictures[0]}' may be any of {several}; give the folder that "
                "was labelled"
            )
        [name] = found
        if name in pages:
            raise DataError(
                f"{page.place}: labels '{found[name].written}', as {pages[name].place} does; keep "
                "one of the two"
            )
        pages[name] = page
    if annotations is not None and not pages:
        hint = nearest(missing[0], [p.written for p in photos]) if missing else "it labels none"
        first = f"such as '{printable(missing[0])}'; " if missing else ""
        raise DataError(f"{annotations}: no picture that it labels is there, {first}{hint}")
    if missing:
        notes.append(f"{len(missing)} labelled pictures are not among the photos: {short(missing)}")
    for photo in photos:
        yield photo, pages.get(photo.name)


def _ends(name: str) -> Iterator[str]:
    for end in below(name):
        yield end
        yield str(Path(end).with_suffix(""))


class _Writer:
    """Writes a dataset picture by picture."""

    def __init__(self, out: Path, read: Read, photos: Sequence[_Photo]) -> None:
        self.notes = list(read.notes)
        self._out, self._read, self._photos = out, read, photos
        names = [BACKGROUND, *(name for name in read.classes if name != BACKGROUND)]
        if len(names) > MOST_CLASSES:
            raise DataError(f"{len(names)} classes are more than the {MOST_CLASSES} of a mask")
        self._codes = {name: code for code, name in enumerate(names)}
        self._used, self._listed = (np.zeros(IGNORE + 1, dtype=bool) for _ in range(2))
        self._frame = Frame()
        self._empty: list[str] = []
        self._images: list[dict[str, Any]] = []
        self._objects: list[dict[str, Any]] = []
        self._labelled: list[str] = []
        self._unlabelled: list[str] = []
        self._masks = self._boxed = self._bare = 0

    def add(self, photo: _Photo, page: Page | None) -> None:
        """Link a picture, and write what is known of it."""
        path = self._out / "images" / f"{photo.name}{photo.path.suffix}"
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            os.link(photo.path, path)
        except OSError:  # another disk, or one without links
            shutil.copy2(photo.path, path)
        if page is None:
            self._unlabelled.append(photo.name)
            return
        size = image_size(photo.path)
        entry = ImageEntry(photo.name, "", photo.written, drawn_on=page.size, labels=page.place)
        check_size(entry, size, Path())
        shapes = page.shapes(size)
        if not shapes and page.mask is None:
            self._empty.append(photo.name)
            self._unlabelled.append(photo.name)
            return
        drawn, objects = self._drawn(shapes, size)
        self._list(page, path, size, objects)
        mask = drawn if page.mask is None else self._of_mask(page, page.mask, size)
        if mask is not None:
            self._save(mask, photo.name)
        self._labelled.append(photo.name)

    def _save(self, mask: Mask, name: str) -> None:
        self._masks += 1
        self._used |= np.bincount(mask.ravel(), minlength=IGNORE + 1) > 0
        target = self._out / "masks" / f"{name}.png"
        target.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(mask).save(target)

    def _of_mask(self, page: Page, path: Path, size: Size) -> Mask:
        codes = self._codes
        labels = {v: IGNORE if n is None else codes[n] for v, n in self._read.meaning.items()}
        mask = open_mask(path, labels, Terms(colours=self._read.colours))
        if mask.shape[::-1] != size:
            shown = f"{mask.shape[1]}×{mask.shape[0]}, its picture {size[0]}×{size[1]}"
            raise DataError(f"{page.place}: is {shown}; a mask must have the size of its picture")
        return mask

    def _drawn(
        self, shapes: Sequence[Shape], size: Size
    ) -> tuple[Mask | None, list[dict[str, Any]]]:
        """The class mask of shapes, each over those before it, if any has pixels; the objects.

        Pixels that only a box covers are ignored: which of them are the object is not known.
        """
        mask = np.full(size[::-1], self._codes[BACKGROUND], dtype=np.uint8)
        drawn, bare = np.zeros(size[::-1], dtype=bool), list[Box]()
        objects = []
        for shape in shapes:
            box, code = shape.box, self._codes[shape.label]
            if shape.draw is not None:
                pixels = shape.draw(size)
                mask[pixels], drawn = code, drawn | pixels
                box = box or around(pixels)
            elif box is not None:
                bare.append(box)
            if box is not None:
                x0, y0, x1, y1 = box
                about = {"category_id": code, "bbox": [x0, y0, x1 - x0, y1 - y0]}
                objects.append({**shape.more, **about, "ignore": int(not shape.evaluated)})
        if not drawn.any():
            return None, objects
        for box in bare:
            x0, y0, x1, y1 = (max(0, round(v)) for v in box)
            inside = slice(y0, y1), slice(x0, x1)
            mask[inside][~drawn[inside]] = IGNORE
            self._bare += 1
        return mask, objects

    def _list(self, page: Page, path: Path, size: Size, objects: list[dict[str, Any]]) -> None:
        """Add a picture and its objects to the json."""
        image = len(self._images) + 1
        width, height = size
        self._images.append({"id": image, "file_name": path.name, "width": width, "height": height})
        listed = []
        for found in objects:
            (x, y, w, h), code, evaluated = found["bbox"], found["category_id"], not found["ignore"]
            listed.append(ObjectEntry("", code, (x, y, x + w, y + h), evaluated=evaluated))
            self._boxed += evaluated and w > 0 and h > 0
            self._listed[code] = True
            self._objects.append(found | {"id": len(self._objects) + 1, "image_id": image})
        entry = ImageEntry(path.stem, "", path.name, objects=tuple(listed), labels=page.place)
        self._frame.add([(entry, size)])

    def close(self, name: str) -> Converted:
        """Write the description, when all pictures are there."""
        self._frame.check(self._out, official=False)
        if self._empty:
            self.notes.append(
                f"{len(self._empty)} pictures are listed without a shape and taken as unlabelled: "
                f"{short(self._empty)}"
            )
        names = [
            name for name, code in self._codes.items() if self._used[code] or self._listed[code]
        ]
        names = names or [BACKGROUND]  # of pictures without labels
        about: dict[str, Any] = {"classes": {self._codes[name]: name for name in names}}
        if self._used[IGNORE]:
            about["ignore"] = [IGNORE]
        if self._boxed:
            about["objects"] = OBJECTS
            categories = [{"id": self._codes[name], "name": name} for name in names]
            content = {"images": self._images, "categories": categories}
            write_json(content | {"annotations": self._objects}, self._out / OBJECTS)
        if self._masks < len(self._photos) and (self._masks or not self._boxed):
            about["partial"] = True
        if self._bare:
            self.notes.append(
                f"{self._bare} boxes have no outline: pixels that only they cover are ignored in "
                "the class masks"
            )
        write_text(yaml_text.dumped(about), self._out / NAME)
        return Converted(
            name,
            names if name else [],
            self._labelled,
            self._unlabelled,
            self._masks,
            self._boxed,
            [],
            self.notes,
        )
