"""BDD100K semantic segmentation: 10 000 street photographs, Cityscapes' 19 classes.

Layout and checksums: github.com/bdd100k/bdd100k (doc/source/download.rst, format.rst); dataset: Yu
et al., CVPR 2020.
"""

from collections.abc import Iterator
from pathlib import Path

from patchlens.datasets.card import Archive, Card
from patchlens.datasets.cityscapes import CLASSES, PALETTE
from patchlens.datasets.files import by_stem
from patchlens.datasets.layout import IGNORE, ImageEntry, Layout
from patchlens.datasets.reading import top
from patchlens.errors import DataError

LABELS = {i: i for i in range(len(CLASSES))} | {255: IGNORE}
SPLITS = ("train", "val", "test")
PORTAL = "https://bdd-data.berkeley.edu/portal.html"
IMAGES, MASKS = "images/10k", "labels/sem_seg/masks"
CARD = Card(
    kind="bdd100k_seg",
    title="BDD100K semantic segmentation",
    tasks=("segmentation",),
    access="account",
    licence="UC Regents: educational, research and non-profit use (doc/source/license.rst)",
    citation="Yu et al., BDD100K: A Diverse Driving Dataset for Heterogeneous Multitask Learning, "
    "CVPR 2020",
    homepage="https://bdd-data.berkeley.edu",
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
    how="Log in at bdd-data.berkeley.edu and download `10K Images` and `Segmentation`",
    archives=(
        Archive(PORTAL, md5="08f26aecceda982568063d3d5873378e", name="bdd100k_images_10k.zip"),
        Archive(
            PORTAL,
            md5="9a2968dde3345eeb689cffb1e26f9c78",
            name="bdd100k_sem_seg_labels_trainval.zip",
        ),
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
    images = by_stem(root, here / IMAGES / split)
    masks = {} if split == "test" else by_stem(root, here / MASKS / split)
    for stem in sorted({*images, *masks}):
        if stem not in images:
            raise DataError(f"{here / IMAGES / split}: no image '{stem}.*', but there is its mask")
        if stem not in masks and split != "test":
            raise DataError(f"{here / MASKS / split}: no mask '{stem}.*', but there is its image")
        yield ImageEntry(stem, split, images[stem], masks.get(stem))
