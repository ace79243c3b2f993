"""ADE20K as SceneParse150: scenes with 150 classes of things and stuff.

Layout and encoding: github.com/CSAILVision/sceneparsing (README.md), class names from its
objectInfo150.txt (the first of several); dataset: Zhou et al., CVPR 2017.
"""

from collections.abc import Iterator
from pathlib import Path

from patchlens.datasets.catalogue import Entry
from patchlens.datasets.layout import IGNORE, ImageEntry, Layout
from patchlens.datasets.reading import pairs, part, top

SPLITS = ("training", "validation")


def read(root: Path, facts: Entry) -> Layout:
    """Read the splits whose images exist.

    Raises:
        SourceError: there are no images, or the annotations of a split are missing.
        DataError: an image and an annotation do not pair.
    """
    here = top(root, *(f"images/{split}" for split in SPLITS), how=facts.how)
    images = [
        entry
        for split in SPLITS
        if (here / "images" / split).is_dir()
        for entry in _split(root, here, split)
    ]
    labels = {0: IGNORE} | {i + 1: i for i in range(len(facts.classes))}
    return Layout(tuple(facts.classes), labels, images)


def _split(root: Path, here: Path, split: str) -> Iterator[ImageEntry]:
    masks = part(root, here, f"annotations/{split}")
    for stem, image, mask in pairs(root, here / "images" / split, masks):
        yield ImageEntry(stem, split, image, mask)
