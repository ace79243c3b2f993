"""BDD100K semantic segmentation: 10 000 street photographs, Cityscapes' 19 classes.

Layout and checksums: github.com/bdd100k/bdd100k (doc/source/download.rst, format.rst); dataset: Yu
et al., CVPR 2020.
"""

from pathlib import Path

from patchlens.datasets.catalogue import Entry
from patchlens.datasets.cityscapes import PALETTE
from patchlens.datasets.layout import IGNORE, Layout
from patchlens.datasets.reading import paired_splits

SPLITS = ("train", "val")


def read(root: Path, facts: Entry) -> Layout:
    """Read the splits whose images exist; only test has no masks. Errors as in `paired_splits`."""
    images = paired_splits(
        root, facts.how, SPLITS, "images/10k", "labels/sem_seg/masks", unlabelled=("test",)
    )
    labels = {i: i for i in range(len(facts.classes))} | {255: IGNORE}
    return Layout(tuple(facts.classes), labels, images, PALETTE)
