"""BDD100K semantic segmentation: 10 000 street photographs, Cityscapes' 19 classes.

Layout and checksums: github.com/bdd100k/bdd100k (doc/source/download.rst, format.rst); dataset: Yu
et al., CVPR 2020.
"""

from collections.abc import Iterator
from pathlib import Path

from patchlens.datasets.catalogue import Entry
from patchlens.datasets.cityscapes import PALETTE
from patchlens.datasets.layout import IGNORE, ImageEntry, Layout
from patchlens.datasets.reading import by_stem, pairs, part, top

SPLITS = ("train", "val", "test")
IMAGES, MASKS = "images/10k", "labels/sem_seg/masks"


def read(root: Path, facts: Entry) -> Layout:
    """Read the splits whose images exist; train and val need their masks.

    Raises:
        SourceError: there are no images, or the masks of train or val are missing.
        DataError: an image and a mask do not pair.
    """
    here = top(root, *(f"{IMAGES}/{split}" for split in SPLITS), how=facts.how)
    images = [
        entry
        for split in SPLITS
        if (here / IMAGES / split).is_dir()
        for entry in _split(root, here, split)
    ]
    labels = {i: i for i in range(len(facts.classes))} | {255: IGNORE}
    return Layout(tuple(facts.classes), labels, images, PALETTE)


def _split(root: Path, here: Path, split: str) -> Iterator[ImageEntry]:
    if split == "test":
        for stem, image in by_stem(root, here / IMAGES / split).items():
            yield ImageEntry(stem, split, image)
        return
    masks = part(root, here, f"{MASKS}/{split}")
    for stem, image, mask in pairs(root, here / IMAGES / split, masks):
        yield ImageEntry(stem, split, image, mask)
