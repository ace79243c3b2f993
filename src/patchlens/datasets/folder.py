"""The user's own images: `images/`, their annotations, and `dataset.yaml`.

dataset.yaml:
    classes: [road, car, person]    # a pixel value i of a mask is class i; or value -> name:
                                    # {1: road, 2: car, 3: person}
    ignore: [255]                   # pixel values that neither vote nor count
    colours: {road: [128, 64, 128], car: [0, 0, 142], person: [220, 20, 60]}  # of colour masks
    ignore_colours: [[0, 0, 0]]     # as ignore, of colour masks
    range: [0, 65535]               # black and white of grey pictures of more than 8 bits
    background: [255, 255, 255]     # what stands behind transparent pixels
    splits:                         # names of images (without suffix) and of sequences;
      support: [a, b, c]            # or a file with one name per line
      query: query.txt
      video: [walk]
    sequences: [walk]               # images/walk/000001.jpg, ...: frames by number
    partial: true                   # images without a mask are unlabelled, and not forgotten
    objects: objects.json           # boxes in COCO's style
    instances: instances.csv        # what the values of instances/a.png, ... are (0: nothing);
                                    # or `majority`: the class of most of its pixels in masks/
    instance_scope: image           # where a number means one object: dataset, sequence or image
    tracks: {1: person, 3: car}     # tracks/walk.txt; class numbers, null to leave one out
    tracks_format: motchallenge     # or mot15, visdrone, uavdt: the meaning of the columns

Only `classes` and `splits` are required. Masks (`masks/`, paired by name) are required unless
objects, instances or tracks are given. See docs/own-data.md for an example.
"""

from collections.abc import Collection, Iterator
from dataclasses import replace
from pathlib import Path, PurePosixPath

from patchlens.datasets.below import at, nfc
from patchlens.datasets.catalogue import Entry
from patchlens.datasets.folder_objects import listed_objects
from patchlens.datasets.folder_yaml import MAJORITY, NAME, Description, describe, names_of
from patchlens.datasets.instances import by_majority, from_table
from patchlens.datasets.layout import ImageEntry, Layout
from patchlens.datasets.reading import by_stem, frames
from patchlens.errors import DataError, SourceError
from patchlens.given import printable
from patchlens.names import nearest


def read(root: Path, _: Entry) -> Layout:
    """Read the description and pair images with masks, instance masks, objects and tracks.

    Raises:
        SourceError: the folder, its description or a file named there is missing.
        DataError: the description is wrong, or a file contradicts it.
    """
    description = describe(root / NAME)
    classes = tuple(description.classes)
    stills = by_stem(root, root / "images")
    videos = {name: frames(at(root / "images", name)) for name in description.sequences}
    if both := sorted(set(stills) & set(videos)):
        raise DataError(f"{root / stills[both[0]]}: has the same name as a sequence; rename one")
    images = list(_images(root, description, stills, videos))
    listed = listed_objects(root, description, stills, videos)
    images = [replace(i, **listed.get(i.image_id, {})) for i in images]
    scope = description.instance_scope
    colours = description.colours or {}
    layout = Layout(
        classes,
        description.labels(),
        images,
        palette=tuple((c[0], c[1], c[2]) for name in classes if (c := colours.get(name))),
        instance_scope=scope or "dataset",
        terms=description.terms(),
        partial=description.partial,
    )
    if description.instances is None:
        return layout
    if scope == "sequence" and (stray := [i for i in images if i.sequence is None]):
        raise DataError(
            f"{root / stray[0].path}: is in no sequence, but {NAME} has instance_scope: sequence"
        )
    if description.instances == MAJORITY:
        return replace(layout, instances=by_majority(root, layout, stated=scope is not None))
    return replace(layout, instances=from_table(at(root, description.instances), classes))


def _images(
    root: Path,
    description: Description,
    stills: dict[str, str],
    videos: dict[str, dict[int, Path]],
) -> Iterator[ImageEntry]:
    partial = description.partial
    masks = _Masks(root, "masks", "mask", description.needs_masks(), partial)
    given = description.instances is not None
    required = given and description.tracks is None
    instances = _Masks(root, "instances", "instance mask", required, partial)
    if given and not (root / "instances").is_dir():
        raise SourceError(f"{root / 'instances'}: no such folder")
    seen, known = dict[str, str](), {*stills, *videos}
    for split, names in description.splits.items():
        for written in names_of(root, split, names):
            name = _plain(written, known)
            if name in seen:
                raise DataError(f"{root / NAME}: '{name}' is in {seen[name]} and in {split}")
            seen[name] = split
            if name in stills:
                entries = [ImageEntry(name, split, stills[name])]
            elif name in videos:
                entries = [_frame(root, split, name, *item) for item in videos[name].items()]
            else:
                raise DataError(
                    f"{root / 'images'}: no image '{printable(name)}.*' (split {split}); write one "
                    f"name per entry or line; {nearest(name, known)}"
                )
            for entry in entries:
                found = instances.of(entry) if given else None
                yield replace(entry, mask=masks.of(entry), instances=found)


def _plain(written: str, known: Collection[str]) -> str:
    """The name of an image or a sequence, which may be written as a path below the root."""
    path = PurePosixPath(written.replace("\\", "/"))
    parts = path.parts[1:] if path.parts[:1] == ("images",) else path.parts
    names = [written, "/".join(parts), "/".join((*parts[:-1], path.stem))]
    return next((name for name in names if name in known), written)


def _frame(root: Path, split: str, sequence: str, frame: int, file: Path) -> ImageEntry:
    path = file.relative_to(root).as_posix()
    name = f"{sequence}/{nfc(file.stem)}"
    return ImageEntry(name, split, path, sequence=sequence, frame=frame)


class _Masks:
    """The masks of one type: a folder has one for each of its images, or none, or is partial."""

    def __init__(self, root: Path, folder: str, what: str, required: bool, partial: bool) -> None:
        self._root, self._folder, self._what = root, folder, what
        self._required, self._partial = required and not partial, partial
        self._found: dict[str, dict[str, str]] = {}

    def of(self, image: ImageEntry) -> str | None:
        """The path of an image's mask."""
        sequence, stem = image.sequence or "", nfc(Path(image.path).stem)
        folder = at(self._root / self._folder, sequence)
        if sequence not in self._found:
            there = self._required or folder.is_dir()
            self._found[sequence] = by_stem(self._root, folder) if there else {}
        found = self._found[sequence]
        if stem not in found and not self._partial and (found or self._required):
            place = folder.relative_to(self._root).as_posix()
            near = next((f"rename '{n}.*'" for n in found if n.startswith(stem)), "draw it")
            raise DataError(
                f"{self._root / image.path}: no {self._what} '{stem}.*' in {place}/; {near}, or "
                "take the image out of splits"
            )
        return found.get(stem)
