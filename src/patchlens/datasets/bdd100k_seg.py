"""BDD100K semantic segmentation: 10 000 street photographs, Cityscapes' 19 classes.

Layout and checksums: github.com/bdd100k/bdd100k (doc/source/download.rst, format.rst); dataset: Yu
et al., CVPR 2020.
"""

from collections.abc import Iterator
from pathlib import Path

from patchlens.datasets.card import Card
from patchlens.datasets.cityscapes import CLASSES, PALETTE
from patchlens.datasets.files import by_stem, pairs
from patchlens.datasets.layout import IGNORE, ImageEntry, Layout
from patchlens.datasets.reading import top
from patchlens.datasets.sources.all import SOURCES

LABELS = {i: i for i in range(len(CLASSES))} | {255: IGNORE}
SPLITS = ("train", "val", "test")
IMAGES, MASKS = "images/10k", "labels/sem_seg/masks"
CARD = Card(
    **vars(SOURCES["bdd100k_seg"]),
    tasks=("segmentation",),
    layout="""\
bdd100k/images/10k/{train,val,test}/<id>.jpg
bdd100k/labels/sem_seg/masks/{train,val}/<id>.png""",
    counts={
        "train": {"images": 7000, "masks": 7000},
        "val": {"images": 1000, "masks": 1000},
        "test": {"images": 2000},
    },
    classes=CLASSES,
    encoding=(
        "A pixel is one of Cityscapes' 19 train ids; 255 is ignored.",
        "1280×720; the 10K images are no subset of the 100K images.",
        "The labels of test are not public: its images have no mask here.",
    ),
)


def read(root: Path) -> Layout:
    """Read the splits whose images are there; train and val need their masks.

    Raises:
        SourceError: no images, or the masks of train or val are missing.
        DataError: an image and a mask do not pair.
    """
    here = top(root, *(f"{IMAGES}/{split}" for split in SPLITS), how=CARD.how)
    images = [
        entry
        for split in SPLITS
        if (here / IMAGES / split).is_dir()
        for entry in _split(root, here, split)
    ]
    return Layout(CLASSES, LABELS, images, PALETTE)


def _split(root: Path, here: Path, split: str) -> Iterator[ImageEntry]:
    if split == "test":
        for stem, image in by_stem(root, here / IMAGES / split).items():
            yield ImageEntry(stem, split, image)
        return
    for stem, image, mask in pairs(root, here / IMAGES / split, here / MASKS / split):
        yield ImageEntry(stem, split, image, mask)
