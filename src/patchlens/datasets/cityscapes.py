"""Cityscapes: 2048×1024 street photographs of 50 cities, fine annotations.

Layout, ids and colours: github.com/mcordts/cityscapesScripts (README.md, helpers/labels.py,
preparation/json2instanceImg.py); dataset: Cordts et al., CVPR 2016. The archives ship labelIds, not
labelTrainIds: ids are translated here.
"""

import re
from collections.abc import Iterator
from pathlib import Path

from patchlens.datasets.card import Card
from patchlens.datasets.layout import IGNORE, ImageEntry, Layout
from patchlens.datasets.reading import folders, top
from patchlens.datasets.sources.all import SOURCES
from patchlens.errors import DataError, SourceError

# labelId, name, display colour, whether it has instances; in the order of the train ids.
EVALUATED = (
    (7, "road", (128, 64, 128), False),
    (8, "sidewalk", (244, 35, 232), False),
    (11, "building", (70, 70, 70), False),
    (12, "wall", (102, 102, 156), False),
    (13, "fence", (190, 153, 153), False),
    (17, "pole", (153, 153, 153), False),
    (19, "traffic light", (250, 170, 30), False),
    (20, "traffic sign", (220, 220, 0), False),
    (21, "vegetation", (107, 142, 35), False),
    (22, "terrain", (152, 251, 152), False),
    (23, "sky", (70, 130, 180), False),
    (24, "person", (220, 20, 60), True),
    (25, "rider", (255, 0, 0), True),
    (26, "car", (0, 0, 142), True),
    (27, "truck", (0, 0, 70), True),
    (28, "bus", (0, 60, 100), True),
    (31, "train", (0, 80, 100), True),
    (32, "motorcycle", (0, 0, 230), True),
    (33, "bicycle", (119, 11, 32), True),
)
CLASSES = tuple(name for _, name, _, _ in EVALUATED)
PALETTE = tuple(colour for _, _, colour, _ in EVALUATED)
LABEL_IDS = range(34)  # license plate is -1 and never drawn into a PNG
LABELS = dict.fromkeys(LABEL_IDS, IGNORE) | {row[0]: i for i, row in enumerate(EVALUATED)}
IGNORED_INSTANCES = (29, 30)  # caravan, trailer
SPLITS = ("train", "val", "test")
NAME = re.compile(r"(?P<sequence>.+_\d{6})_(?P<frame>\d{6})")
IMAGE, MASK, INSTANCES = "_leftImg8bit.png", "_gtFine_labelIds.png", "_gtFine_instanceIds.png"
CARD = Card(
    **vars(SOURCES["cityscapes"]),
    tasks=("segmentation", "identification"),
    layout="""\
leftImg8bit/{train,val,test}/<city>/<city>_<sequence>_<frame>_leftImg8bit.png
gtFine/{train,val}/<city>/<city>_<sequence>_<frame>_gtFine_labelIds.png
gtFine/{train,val}/<city>/<city>_<sequence>_<frame>_gtFine_instanceIds.png""",
    counts={
        "train": {"images": 2975, "masks": 2975, "groups": 18},
        "val": {"images": 500, "masks": 500, "groups": 3},
        "test": {"images": 1525},
    },
    pixels=(1024, 2048),
    classes=CLASSES,
    encoding=(
        "labelIds are translated to the 19 train ids; all other ids (0 to 6, 9, 10, 14 to 16, 18, "
        "29, 30) are ignored (255). License plate is −1 and never drawn.",
        "instanceIds hold labelId × 1000 + n for a single thing; a smaller value is no instance "
        "(also a group such as cars that cannot be told apart). The same value in two images is "
        "two things. Caravans and trailers are no objects here.",
        "The annotations of test are dummies: its images have no mask here.",
        "The city is the group: `per: group` chooses images of each city.",
        "`leftImg8bit_blurred` is another package: results are computed on the original images.",
    ),
)


def read(root: Path) -> Layout:
    """Read the splits whose images are there; train and val need their annotations.

    Raises:
        SourceError: no images, or no annotations of train or val although its images are there.
        DataError: an image and its annotations do not pair, or a name is not Cityscapes' own.
    """
    here = top(root, "leftImg8bit", how=CARD.how)
    splits = [split for split in SPLITS if (here / "leftImg8bit" / split).is_dir()]
    if not splits:
        raise SourceError(f"{here / 'leftImg8bit'}: holds no train, val or test. {CARD.how}")
    images = [entry for split in splits for entry in _split(root, here, split)]
    return Layout(CLASSES, LABELS, images, PALETTE, _instances(), instance_scope="image")


def _instances() -> dict[int, tuple[int, str] | None]:
    meanings: dict[int, tuple[int, str] | None] = dict.fromkeys(LABEL_IDS)
    for label_id in IGNORED_INSTANCES:
        meanings |= dict.fromkeys(range(label_id * 1000, label_id * 1000 + 1000))
    for class_id, (label_id, _, _, countable) in enumerate(EVALUATED):
        if countable:
            values = range(label_id * 1000, label_id * 1000 + 1000)
            meanings |= dict.fromkeys(values, (class_id, ""))
    return meanings


def _split(root: Path, here: Path, split: str) -> Iterator[ImageEntry]:
    images, annotations = here / "leftImg8bit" / split, here / "gtFine" / split
    for labelled in folders(annotations) if annotations.is_dir() else ():
        if not (images / labelled.name).is_dir():
            raise SourceError(f"{images / labelled.name}: no such folder, but annotations of "
                              f"{labelled.name} are there. {CARD.how}")  # fmt: skip
    for city in folders(images):
        stems = _stems(city, IMAGE)
        labelled = annotations / city.name
        if split != "test":
            if not labelled.is_dir():
                raise SourceError(f"{labelled}: no such folder, but images of {city.name} are "
                                  f"there. {CARD.how}")  # fmt: skip
            for suffix in (MASK, INSTANCES):
                _check_pairs(city, stems, labelled, suffix)
        for stem in stems:
            match = NAME.fullmatch(stem)
            if match is None:
                raise DataError(f"{city / stem}{IMAGE}: is not named <city>_<sequence>_<frame>")
            base = labelled.relative_to(root)
            yield ImageEntry(
                image_id=stem,
                split=split,
                path=(city.relative_to(root) / f"{stem}{IMAGE}").as_posix(),
                mask=None if split == "test" else (base / f"{stem}{MASK}").as_posix(),
                instances=None if split == "test" else (base / f"{stem}{INSTANCES}").as_posix(),
                sequence=match["sequence"],
                frame=int(match["frame"]),
                group=city.name,
            )


def _check_pairs(city: Path, images: list[str], labelled: Path, suffix: str) -> None:
    masks = _stems(labelled, suffix)
    if missing := sorted(set(images) - set(masks)):
        raise DataError(f"{labelled / missing[0]}{suffix}: missing, but {missing[0]}{IMAGE} is in "
                        f"{city}")  # fmt: skip
    if surplus := sorted(set(masks) - set(images)):
        raise DataError(f"{city / surplus[0]}{IMAGE}: missing, but {surplus[0]}{suffix} is in "
                        f"{labelled}")  # fmt: skip


def _stems(folder: Path, suffix: str) -> list[str]:
    return sorted(p.name.removesuffix(suffix) for p in folder.glob(f"*{suffix}"))
