"""Writes a dataset of kind `folder`, picture by picture."""

import os
import shutil
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from PIL import Image

from patchlens.annotations.page import BACKGROUND, Page, Read, Shape, meant
from patchlens.annotations.pairing import Photo
from patchlens.annotations.pixels import Size, around
from patchlens.annotations.source import short
from patchlens.datasets.boxes import Box, Frame, check_size
from patchlens.datasets.folder_yaml import NAME
from patchlens.datasets.images import image_size
from patchlens.datasets.layout import IGNORE, ImageEntry, ObjectEntry, Terms
from patchlens.datasets.masks import Mask, open_ids, open_mask
from patchlens.errors import DataError
from patchlens.files import write_csv, write_json, write_text
from patchlens.given import printable
from patchlens.settings import yaml_text

OBJECTS, INSTANCES = "objects.json", "instances.csv"
MOST_CLASSES = 254  # the last values of a mask of 8 bits are those of background and ignored pixels


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
        recurring: classes that such objects have in several pictures.
        sequences: videos, whose frames are in neither list -> their labelled frames.
        notes: what was left out or decided, and why; one line each.
    """

    format: str
    classes: list[str]
    labelled: list[str]
    unlabelled: list[str]
    masks: int = 0
    boxes: int = 0
    recurring: int = 0
    sequences: Mapping[str, int] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


class _Boxed(NamedTuple):
    """A box of a frame, which has no outline."""

    photo: Photo
    size: Size
    number: int
    code: int
    box: Box
    evaluated: bool


class Writer:
    """Writes a dataset picture by picture."""

    def __init__(self, out: Path, read: Read, photos: Sequence[Photo], place: Path) -> None:
        self.notes, self._place = list(read.notes), place
        self._out, self._read, self._photos = out, read, photos
        written = {name: meant(name) for name in read.classes}
        names = [n for n in dict.fromkeys([BACKGROUND, *written.values()]) if n is not None]
        if len(names) > MOST_CLASSES:
            raise DataError(f"{place}: has {len(names)} classes, a mask at most {MOST_CLASSES}")
        for name in names:
            if not name or printable(name) != name:
                called = f"'{printable(name)}'; give it a name of one line"
                raise DataError(f"{place}: a class is called {called}")
        self._codes = {name: code for code, name in enumerate(names)}
        self._of_label = {n: IGNORE if m is None else self._codes[m] for n, m in written.items()}
        self._used, self._listed = (np.zeros(IGNORE + 1, dtype=bool) for _ in range(2))
        self._frame = Frame()
        self._empty: list[str] = []
        self._holders: dict[int, set[str]] = {}  # class -> pictures with an evaluated object
        self._images: list[dict[str, Any]] = []
        self._objects: list[dict[str, Any]] = []
        self._labelled: list[str] = []
        self._unlabelled: list[str] = []
        self._masks = self._boxed = self._bare = 0
        self._sequences = dict.fromkeys((p.sequence for p in photos if p.sequence is not None), 0)
        self._numbers: dict[Hashable, tuple[int, str]] = {}  # of the objects of videos
        self._frames: list[_Boxed] = []
        self._outlined = False

    def add(self, photo: Photo, page: Page | None) -> None:
        """Link a picture, and write what is known of it."""
        path = self._out / "images" / f"{photo.name}{photo.path.suffix}"
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            os.link(photo.path, path)
        except OSError:  # another disk, or one without links
            shutil.copy2(photo.path, path)
        if page is None:
            self._unlabelled += [photo.name] if photo.sequence is None else []
            return
        size = image_size(photo.path)
        entry = ImageEntry(photo.name, "", photo.written, drawn_on=page.size, labels=page.place)
        check_size(entry, size, Path())
        shapes = page.shapes(size)
        if not shapes and page.mask is None:
            self._empty.append(photo.name)
            self._unlabelled += [photo.name] if photo.sequence is None else []
            return
        drawn, objects = self._drawn(shapes, size)
        self._list(page, path, size, objects)
        mask = drawn if page.mask is None else self._of_mask(page, page.mask, size)
        if mask is not None:
            self._masks += 1
            self._used |= np.bincount(mask.ravel(), minlength=IGNORE + 1) > 0
            self._save(mask, "masks", photo.name)
        if photo.sequence is None:
            self._labelled.append(photo.name)
            return
        self._sequences[photo.sequence] += 1
        if page.mask is None:
            self._add_shapes(photo, shapes, size)
        else:
            assert mask is not None
            self._add_classes(photo, mask)

    def _add_shapes(self, photo: Photo, shapes: Sequence[Shape], size: Size) -> None:
        """The objects of a frame: by their tracks or else by their classes."""
        values = np.zeros(size[::-1], dtype=np.uint8)
        for shape in shapes:
            if (code := self._of_label[shape.label]) in (IGNORE, self._codes[BACKGROUND]):
                continue
            key = (photo.sequence, shape.label if shape.track is None else shape.track)
            number = self._number(key, [*self._codes][code])
            if shape.draw is not None:
                values[shape.draw(size)] = number
            elif shape.box is not None:
                tracked = shape.evaluated and shape.track is not None
                found = _Boxed(photo, size, number, code, shape.box, tracked)
                self._frames.append(found)
        if values.any():
            self._outlined = True
            self._save(values, "instances", photo.name)

    def _add_classes(self, photo: Photo, mask: Mask) -> None:
        """The objects of a frame with a class mask: one per class."""
        values = np.zeros_like(mask)
        for name, code in self._codes.items():
            if name != BACKGROUND and (mask == code).any():
                values[mask == code] = self._number((photo.sequence, name), name)
        self._outlined = True
        self._save(values, "instances", photo.name)

    def _number(self, key: Hashable, name: str) -> int:
        """The number of an object in all videos."""
        number, known = self._numbers.setdefault(key, (len(self._numbers) + 1, name))
        if known != name:
            both = f"'{known}' in one frame and '{name}' in another"
            raise DataError(f"{self._place}: track {key} is {both}; give each object its own track")
        if number > MOST_CLASSES:
            most = f"more than {MOST_CLASSES} objects of videos; give fewer videos"
            raise DataError(f"{self._place}: has {most}")
        return number

    def _save(self, values: Mask, folder: str, name: str) -> None:
        target = self._out / folder / f"{name}.png"
        target.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(values).save(target)

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
            box, code = shape.box, self._of_label[shape.label]
            if shape.draw is not None:
                pixels = shape.draw(size)
                mask[pixels], drawn = code, drawn | pixels
                box = box or around(pixels)
            elif box is not None:
                bare.append(box)
            if box is not None and code not in (IGNORE, self._codes[BACKGROUND]):
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
        listed = list[ObjectEntry]()
        for found in objects:
            (x, y, w, h), code, evaluated = found["bbox"], found["category_id"], not found["ignore"]
            called, box = f"{path.stem}/{len(listed) + 1}", (x, y, x + w, y + h)
            listed.append(ObjectEntry(called, code, box, evaluated=evaluated))
            if evaluated and w > 0 and h > 0:
                self._boxed += 1
                self._holders.setdefault(code, set()).add(path.stem)
            self._listed[code] = True
            self._objects.append(found | {"id": len(self._objects) + 1, "image_id": image})
        entry = ImageEntry(path.stem, "", path.name, objects=tuple(listed), labels=page.place)
        self._frame.add([(entry, size)])

    def close(self, name: str) -> Converted:
        """Write the description, when all pictures are there."""
        self._frame.check(self._out, official=False)
        used = self._used | self._listed
        names = [name for name, code in self._codes.items() if used[code]]
        names = names or [BACKGROUND]  # of pictures without labels
        about: dict[str, Any] = {"classes": {self._codes[name]: name for name in names}}
        if self._used[IGNORE]:
            about["ignore"] = [IGNORE]
        if self._sequences:
            about |= {"sequences": [*self._sequences]} | self._close_videos(names)
        elif self._boxed:
            about["objects"] = OBJECTS
            categories = [{"id": self._codes[name], "name": name} for name in names]
            content = {"images": self._images, "categories": categories}
            write_json(content | {"annotations": self._objects}, self._out / OBJECTS)
        objects = {"objects", "tracks"} & {*about}
        if self._masks < len(self._photos) and (self._masks or not objects):
            about["partial"] = True
        if self._empty:
            self.notes.append(
                "pictures listed without a shape, and taken as unlabelled: "
                f"{len(self._empty)} ({short(self._empty)})"
            )
        if self._bare:
            self.notes.append(
                f"boxes without an outline: {self._bare}; pixels that only they cover are ignored "
                "in the class masks"
            )
        write_text(yaml_text.dumped(about), self._out / NAME)
        return Converted(
            name,
            names if name else [],
            self._labelled,
            self._unlabelled,
            self._masks,
            self._boxed,
            sum(len(pictures) > 1 for pictures in self._holders.values()),
            self._sequences,
            self.notes,
        )

    def _close_videos(self, names: Sequence[str]) -> dict[str, Any]:
        """Tracks, if the objects are boxes that recur; else instance masks to propagate."""
        frames_of: dict[int, int] = {}
        for found in self._frames:
            frames_of[found.number] = frames_of.get(found.number, 0) + found.evaluated
        if not self._outlined and any(count > 1 for count in frames_of.values()):
            lines: dict[str | None, list[str]] = {name: [] for name in self._sequences}
            for photo, _, number, code, (x0, y0, x1, y1), evaluated in self._frames:
                box = f"{x0 + 1:.2f},{y0 + 1:.2f},{x1 - x0:.2f},{y1 - y0:.2f}"  # pixels from 1
                line = f"{photo.frame},{number},{box},{int(evaluated)},{code},1"
                lines[photo.sequence].append(line)
            for name, written in lines.items():
                text = "".join(f"{line}\n" for line in written)
                write_text(text, self._out / "tracks" / f"{name}.txt")
            return {"tracks": {self._codes[name]: name for name in names if name != BACKGROUND}}
        if not self._numbers:
            return {}
        self._fill_boxes()
        table = pd.DataFrame([*self._numbers.values()], columns=["instance", "class"])
        write_csv(table, self._out / INSTANCES)
        return {"instances": INSTANCES, "instance_scope": "sequence", "partial": True}

    def _fill_boxes(self) -> None:
        """Add objects of which only the box is known to the instance masks, filled."""
        by_frame: dict[str, list[_Boxed]] = {}
        for found in self._frames:
            by_frame.setdefault(found.photo.name, []).append(found)
        for name, boxes in by_frame.items():
            path = self._out / "instances" / f"{name}.png"
            values = np.zeros(boxes[0].size[::-1], dtype=np.uint8)
            outlined = open_ids(path) if path.exists() else values
            for found in boxes:
                x0, y0, x1, y1 = (max(0, round(v)) for v in found.box)
                values[y0:y1, x0:x1] = found.number
            self._save(np.where(outlined > 0, outlined, values), "instances", name)
        if by_frame:
            self.notes.append("objects of which only the box is known are propagated as full boxes")
