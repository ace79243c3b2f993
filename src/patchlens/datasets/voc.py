"""Pascal VOC 2012 segmentation, with SBD's annotations as a further split.

Layout: the development kit's documentation (host.robots.ox.ac.uk/pascal/VOC/voc2012) and
torchvision's VOCSegmentation and SBDataset; datasets: Everingham et al., IJCV 2015; Hariharan et
al., ICCV 2011.
"""

from collections.abc import Iterator
from pathlib import Path

from patchlens.datasets.below import listed
from patchlens.datasets.catalogue import Entry
from patchlens.datasets.layout import IGNORE, ImageEntry, Layout
from patchlens.datasets.reading import lines, top
from patchlens.errors import DataError


def _colour(class_id: int) -> tuple[int, int, int]:
    """VOC's palette: the bits of the id are spread over the channels, from the highest bit down."""
    red = green = blue = 0
    for shift in range(7, -1, -1):
        red |= (class_id & 1) << shift
        green |= (class_id >> 1 & 1) << shift
        blue |= (class_id >> 2 & 1) << shift
        class_id >>= 3
    return red, green, blue


VOC, SBD = "VOCdevkit/VOC2012", "benchmark_RELEASE/dataset"
SPLITS = ("train", "val")


def read(root: Path, facts: Entry) -> Layout:
    """Read the existing lists of train and val, and those of SBD if `benchmark_RELEASE` exists.

    Raises:
        SourceError: there is no list of VOC.
        DataError: a list names an image or a mask that does not exist.
    """
    lists = [f"{VOC}/ImageSets/Segmentation/{split}.txt" for split in SPLITS]
    here = top(root, *lists, how=facts.how)
    images = [
        entry
        for split, name in zip(SPLITS, lists, strict=True)
        if (here / name).is_file()
        for entry in _listed(root, split, here / name, here / VOC / "JPEGImages",
                             here / VOC / "SegmentationClass", "png")
    ]  # fmt: skip
    if (here / SBD).is_dir():
        images += _sbd(root, here / SBD, {entry.image_id for entry in images})
    ids = range(len(facts.classes))
    labels = {i: i for i in ids} | {255: IGNORE}
    return Layout(tuple(facts.classes), labels, images, tuple(_colour(i) for i in ids))


def _sbd(root: Path, folder: Path, taken: set[str]) -> Iterator[ImageEntry]:
    for split in SPLITS:
        listed = _listed(
            root, "sbd", folder / f"{split}.txt", folder / "img", folder / "cls", "mat"
        )
        for entry in listed:
            if entry.image_id not in taken:
                yield entry


def _listed(
    root: Path, split: str, path: Path, images: Path, masks: Path, suffix: str
) -> Iterator[ImageEntry]:
    there = {p.name for folder in (images, masks) if folder.is_dir() for p in listed(folder)}
    for number, stem in lines(path):
        for folder, name in ((images, f"{stem}.jpg"), (masks, f"{stem}.{suffix}")):
            if name not in there:
                raise DataError(f"{path}, line {number}: no file {folder / name}")
        yield ImageEntry(
            image_id=stem,
            split=split,
            path=(images.relative_to(root) / f"{stem}.jpg").as_posix(),
            mask=(masks.relative_to(root) / f"{stem}.{suffix}").as_posix(),
        )
