"""DAVIS 2016 and 2017: videos at 480p with a mask of every object in every frame.

There are two kinds, because the same value has different meanings: in 2016, 255 is the object; in
2017, it is void and the objects are 1, 2, ...
Layout and encoding: github.com/davisvideochallenge/davis2017-evaluation (davis2017/davis.py);
datasets: Perazzi et al., CVPR 2016; Pont-Tuset et al., arXiv:1704.00675.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from patchlens.datasets.below import check_inside
from patchlens.datasets.catalogue import Entry
from patchlens.datasets.layout import IGNORE, ImageEntry, Layout
from patchlens.datasets.reading import lines, pairs, top
from patchlens.errors import DataError

PALETTE = ((0, 0, 0), (236, 95, 103))
SPLITS = ("train", "val")
VOID = 255
# By release: the folders of the lists, the class of each pixel value, and the object values.
LISTS = {2016: ("2016", "480p"), 2017: ("2017",)}
LABELS = {
    2016: {0: 0, 255: 1},
    2017: {0: 0} | dict.fromkeys(range(1, VOID), 1) | {VOID: IGNORE},
}
INSTANCES: dict[int, dict[int, tuple[int, str] | None]] = {
    2016: {255: (1, "")},
    2017: dict.fromkeys(range(1, VOID), (1, "")) | {VOID: None},
}


def read(root: Path, facts: Entry, *, release: Literal[2016, 2017]) -> Layout:
    """Read the sequences of the splits whose lists exist, as encoded in `release`.

    Raises:
        SourceError: there is no list, or the folder of a sequence is missing.
        DataError: a frame has no annotation, or a sequence has no frames.
    """
    found = [f"ImageSets/{folder}" for folder in LISTS[release]]
    here = top(root, *(f"{folder}/{s}.txt" for folder in found for s in SPLITS), how=facts.how)
    lists = next(
        here / folder
        for folder in found
        if any((here / folder / f"{split}.txt").is_file() for split in SPLITS)
    )
    images = [
        entry
        for split in SPLITS
        if (lists / f"{split}.txt").is_file()
        for sequence in _sequences(lists / f"{split}.txt")
        for entry in _frames(root, here, split, sequence)
    ]
    return Layout(
        classes=tuple(facts.classes),
        labels=LABELS[release],
        images=images,
        palette=PALETTE,
        instances=INSTANCES[release],
        instance_scope="sequence",
    )


def _sequences(path: Path) -> list[str]:
    """The names in a list; for a line with file names, the folder of the first file."""
    found = dict[str, None]()
    for number, line in lines(path):
        name = line.split()[0]
        sequence = Path(name).parent.name or name
        check_inside(sequence, f"{path}, line {number}")
        found[sequence] = None
    return list(found)


def _frames(root: Path, here: Path, split: str, sequence: str) -> Iterator[ImageEntry]:
    folder = here / "JPEGImages/480p" / sequence
    found = list(pairs(root, folder, here / "Annotations/480p" / sequence))
    if not found:
        raise DataError(f"{folder}: contains no frames")
    for stem, image, mask in found:
        if not stem.isdecimal():
            raise DataError(f"{root / image}: the name of a frame must be its number")
        yield ImageEntry(
            image_id=f"{sequence}/{stem}",
            split=split,
            path=image,
            mask=mask,
            instances=mask,
            sequence=sequence,
            frame=int(stem),
        )
