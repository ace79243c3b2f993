"""DAVIS 2016 and 2017: videos at 480p with a mask of every object in every frame.

Two kinds, since the same value means different things: in 2016 a pixel of 255 is the object, in
2017 it is void and the objects are 1, 2, ...
Layout and encoding: github.com/davisvideochallenge/davis2017-evaluation (davis2017/davis.py);
datasets: Perazzi et al., CVPR 2016; Pont-Tuset et al., arXiv:1704.00675.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path

from patchlens.datasets.card import Archive, Card
from patchlens.datasets.files import by_stem
from patchlens.datasets.layout import IGNORE, ImageEntry, Layout
from patchlens.datasets.reading import lines, top
from patchlens.errors import DataError

CLASSES = ("background", "object")
PALETTE = ((0, 0, 0), (236, 95, 103))
SPLITS = ("train", "val")
VOID = 255
LABELS_2016 = {0: 0, 255: 1}
LABELS_2017 = {0: 0} | dict.fromkeys(range(1, VOID), 1) | {VOID: IGNORE}
ARCHIVES = (
    Archive("https://data.vision.ee.ethz.ch/csergi/share/davis/DAVIS-2017-trainval-480p.zip"),
)
CARD_2016 = Card(
    kind="davis2016",
    title="DAVIS 2016, 480p",
    tasks=("davis",),
    access="placed",
    licence="BSD, as github.com/davisvideochallenge/davis states",
    citation="Perazzi et al., A Benchmark Dataset and Evaluation Methodology for Video Object "
    "Segmentation, CVPR 2016",
    homepage="https://davischallenge.org/davis2016/code.html",
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
    how="Download DAVIS 2016 (TrainVal, 480p) from davischallenge.org/davis2016/code.html",
)
CARD_2017 = Card(
    kind="davis2017",
    title="DAVIS 2017, 480p",
    tasks=("davis",),
    access="open",
    licence="CC BY 4.0 unless stated in SOURCES.md of the dataset",
    citation="Pont-Tuset et al., The 2017 DAVIS Challenge on Video Object Segmentation, "
    "arXiv:1704.00675",
    homepage="https://davischallenge.org/davis2017/code.html",
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
    archives=ARCHIVES,
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
    how = f"Unpack {ARCHIVES[0].url} there"
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
    images = by_stem(root, here / "JPEGImages/480p" / sequence)
    masks = by_stem(root, here / "Annotations/480p" / sequence)
    if not images:
        raise DataError(f"{here / 'JPEGImages/480p' / sequence}: holds no frame")
    for stem in sorted({*images, *masks}):
        for found, folder in ((images, "JPEGImages"), (masks, "Annotations")):
            if stem not in found:
                raise DataError(f"{here / folder / '480p' / sequence}: no file '{stem}.*'")
        if not stem.isdecimal():
            raise DataError(f"{root / images[stem]}: a frame is named by its number")
        yield ImageEntry(
            image_id=f"{sequence}/{stem}",
            split=split,
            path=images[stem],
            mask=masks[stem],
            instances=masks[stem],
            sequence=sequence,
            frame=int(stem),
        )
