"""DAVIS 2016 and 2017: videos at 480p with a mask of every object in every frame.

Two kinds, since the same value means different things: in 2016 a pixel of 255 is the object, in
2017 it is void and the objects are 1, 2, ...
Layout and encoding: github.com/davisvideochallenge/davis2017-evaluation (davis2017/davis.py);
datasets: Perazzi et al., CVPR 2016; Pont-Tuset et al., arXiv:1704.00675.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path

from patchlens.datasets.card import Card
from patchlens.datasets.files import pairs
from patchlens.datasets.layout import IGNORE, ImageEntry, Layout
from patchlens.datasets.reading import lines, top
from patchlens.datasets.sources.all import SOURCES
from patchlens.errors import DataError

CLASSES = ("background", "object")
PALETTE = ((0, 0, 0), (236, 95, 103))
SPLITS = ("train", "val")
VOID = 255
LABELS_2016 = {0: 0, 255: 1}
LABELS_2017 = {0: 0} | dict.fromkeys(range(1, VOID), 1) | {VOID: IGNORE}
CARD_2016 = Card(
    **vars(SOURCES["davis2016"]),
    tasks=("davis",),
    layout="""\
DAVIS/ImageSets/2016/{train,val}.txt       # names of sequences, or
DAVIS/ImageSets/480p/{train,val}.txt       # lines /JPEGImages/480p/... /Annotations/480p/...
DAVIS/JPEGImages/480p/<sequence>/<5 digits>.jpg
DAVIS/Annotations/480p/<sequence>/<5 digits>.png""",
    counts={"train": {"instances": 30}, "val": {"instances": 20}},
    classes=CLASSES,
    encoding=(
        "255 is the object, 0 is background, no other value occurs; one object a sequence, also "
        "where it consists of several things.",
        "Frames are numbered from 0; a sequence's object is one instance through its frames.",
        "The annotations of the 2017 release are others: they are kind davis2017.",
    ),
)
CARD_2017 = Card(
    **vars(SOURCES["davis2017"]),
    tasks=("davis",),
    layout="""\
DAVIS/ImageSets/2017/{train,val}.txt       # names of sequences
DAVIS/JPEGImages/480p/<sequence>/<5 digits>.jpg
DAVIS/Annotations/480p/<sequence>/<5 digits>.png""",
    counts={"val": {"images": 1999, "masks": 1999, "instances": 61}},
    classes=CLASSES,
    encoding=(
        "Palette PNGs: 0 is background, 1, 2, ... are the objects of the sequence, 255 is void "
        "and ignored (in 2016 it is the object).",
        "Frames are numbered from 0; value n of a sequence is one instance through its frames, "
        "and its track.",
        "`Annotations_unsupervised` is another task and not read.",
    ),
)


def read_2016(root: Path) -> Layout:
    """Read the sequences of DAVIS 2016 in the splits whose lists are there.

    Raises:
        SourceError: no list, or a sequence's folder is missing.
        DataError: a frame has no annotation, or none of them.
    """
    lists = [f"ImageSets/{folder}/{s}.txt" for folder in ("2016", "480p") for s in SPLITS]
    here = top(root, *lists, how=CARD_2016.how)
    folder = here / "ImageSets/2016"
    if not any((folder / f"{split}.txt").is_file() for split in SPLITS):
        folder = here / "ImageSets/480p"
    return _layout(root, here, folder, LABELS_2016, {255: (1, "")})


def read_2017(root: Path) -> Layout:
    """Read the sequences of DAVIS 2017 in the splits whose lists are there.

    Raises:
        SourceError: no list, or a sequence's folder is missing.
        DataError: a frame has no annotation, or none of them.
    """
    how = f"Unpack {CARD_2017.archives[0].url} there"
    here = top(root, *(f"ImageSets/2017/{split}.txt" for split in SPLITS), how=how)
    objects: dict[int, tuple[int, str] | None] = dict.fromkeys(range(1, VOID), (1, ""))
    return _layout(root, here, here / "ImageSets/2017", LABELS_2017, objects | {VOID: None})


def _layout(
    root: Path,
    here: Path,
    lists: Path,
    labels: Mapping[int, int],
    instances: Mapping[int, tuple[int, str] | None],
) -> Layout:
    images = [
        entry
        for split in SPLITS
        if (lists / f"{split}.txt").is_file()
        for sequence in _sequences(lists / f"{split}.txt")
        for entry in _frames(root, here, split, sequence)
    ]
    return Layout(CLASSES, labels, images, PALETTE, instances, instance_scope="sequence")


def _sequences(path: Path) -> list[str]:
    """The names in a list; of a line that names files, the folder of the first."""
    found = (line.split()[0] for _, line in lines(path))
    return list(dict.fromkeys(Path(name).parent.name or name for name in found))


def _frames(root: Path, here: Path, split: str, sequence: str) -> Iterator[ImageEntry]:
    folder = here / "JPEGImages/480p" / sequence
    found = list(pairs(root, folder, here / "Annotations/480p" / sequence))
    if not found:
        raise DataError(f"{folder}: holds no frame")
    for stem, image, mask in found:
        if not stem.isdecimal():
            raise DataError(f"{root / image}: a frame is named by its number")
        yield ImageEntry(
            image_id=f"{sequence}/{stem}",
            split=split,
            path=image,
            mask=mask,
            instances=mask,
            sequence=sequence,
            frame=int(stem),
        )
