"""Cityscapes: 2048×1024 street photographs of 50 cities, fine annotations.

Layout, ids and colours: github.com/mcordts/cityscapesScripts (README.md, helpers/labels.py,
preparation/json2instanceImg.py); dataset: Cordts et al., CVPR 2016. The archives ship labelIds, not
labelTrainIds: ids are translated here.
"""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from patchlens.datasets.below import folders, listed
from patchlens.datasets.catalogue import Entry
from patchlens.datasets.layout import IGNORE, ImageEntry, Layout
from patchlens.datasets.reading import part, top
from patchlens.errors import DataError, SourceError

# labelId, display colour and whether it has instances, per class in the order of the train ids.
EVALUATED = (
    (7, (128, 64, 128), False),
    (8, (244, 35, 232), False),
    (11, (70, 70, 70), False),
    (12, (102, 102, 156), False),
    (13, (190, 153, 153), False),
    (17, (153, 153, 153), False),
    (19, (250, 170, 30), False),
    (20, (220, 220, 0), False),
    (21, (107, 142, 35), False),
    (22, (152, 251, 152), False),
    (23, (70, 130, 180), False),
    (24, (220, 20, 60), True),
    (25, (255, 0, 0), True),
    (26, (0, 0, 142), True),
    (27, (0, 0, 70), True),
    (28, (0, 60, 100), True),
    (31, (0, 80, 100), True),
    (32, (0, 0, 230), True),
    (33, (119, 11, 32), True),
)
PALETTE = tuple(colour for _, colour, _ in EVALUATED)
LABEL_IDS = range(34)  # license plate is -1, which no PNG contains
LABELS = dict.fromkeys(LABEL_IDS, IGNORE) | {row[0]: i for i, row in enumerate(EVALUATED)}
IGNORED_INSTANCES = (29, 30)  # caravan, trailer
SPLITS = ("train", "val", "test")
NAME = re.compile(r"(?P<sequence>.+_\d{6})_(?P<frame>\d{6})")
TRAIN_IDS = "_gtFine_labelTrainIds.png"
IMAGE, MASK, INSTANCES = "_leftImg8bit.png", "_gtFine_labelIds.png", "_gtFine_instanceIds.png"


def read(root: Path, facts: Entry, *, all_ids: bool = False) -> Layout:
    """Read the splits whose images exist; train and val need their annotations.

    With `all_ids`, the classes are all label ids but 0 (unlabeled), in their order; they have no
    colours here.

    Raises:
        SourceError: there are no images, or train or val has images but no annotations.
        DataError: an image and its annotations do not pair, or a name is not one of Cityscapes.
    """
    here = top(root, "leftImg8bit", how=facts.how)
    splits = [split for split in SPLITS if (here / "leftImg8bit" / split).is_dir()]
    if not splits:
        raise SourceError(f"{here / 'leftImg8bit'}: contains no train, val or test. {facts.how}")
    images = [entry for split in splits for entry in _split(root, here, split, facts)]
    labels = {i: i - 1 if i else IGNORE for i in LABEL_IDS} if all_ids else LABELS
    palette = () if all_ids else PALETTE
    return Layout(
        tuple(facts.classes), labels, images, palette, _instances(labels), instance_scope="image"
    )


def _instances(labels: Mapping[int, int]) -> dict[int, tuple[int, str] | None]:
    """The values of instances; those of an ignored label are no objects."""
    meanings: dict[int, tuple[int, str] | None] = dict.fromkeys(LABEL_IDS)
    for label_id in [*IGNORED_INSTANCES, *(i for i, _, countable in EVALUATED if countable)]:
        meaning = (labels[label_id], "") if labels[label_id] != IGNORE else None
        meanings |= dict.fromkeys(range(label_id * 1000, label_id * 1000 + 1000), meaning)
    return meanings


def _split(root: Path, here: Path, split: str, facts: Entry) -> Iterator[ImageEntry]:
    images, annotations = here / "leftImg8bit" / split, part(root, here, "gtFine") / split
    for labelled in folders(annotations) if annotations.is_dir() else ():
        if not (images / labelled.name).is_dir():
            raise SourceError(f"{images / labelled.name}: no such folder, but annotations of "
                              f"{labelled.name} exist. {facts.how}")  # fmt: skip
    # Retrieval of objects needs the instances; segmentation does without.
    cities = folders(annotations) if annotations.is_dir() and split != "test" else []
    has_instances = any(_stems(city, INSTANCES) for city in cities)
    for city in folders(images):
        stems = _stems(city, IMAGE)
        labelled = annotations / city.name
        if split != "test":
            if not labelled.is_dir():
                raise SourceError(f"{labelled}: no such folder, but images of {city.name} "
                                  f"exist. {facts.how}")  # fmt: skip
            for suffix in (MASK, INSTANCES) if has_instances else (MASK,):
                _check_pairs(city, stems, labelled, suffix)
        for stem in stems:
            match = NAME.fullmatch(stem)
            if match is None:
                raise DataError(f"{city / stem}{IMAGE}: the name is not <city>_<sequence>_<frame>")
            base = labelled.relative_to(root)
            yield ImageEntry(
                image_id=stem,
                split=split,
                path=(city.relative_to(root) / f"{stem}{IMAGE}").as_posix(),
                mask=None if split == "test" else (base / f"{stem}{MASK}").as_posix(),
                instances=(base / f"{stem}{INSTANCES}").as_posix() if has_instances else None,
                sequence=match["sequence"],
                frame=int(match["frame"]),
                group=city.name,
            )


def _check_pairs(city: Path, images: list[str], labelled: Path, suffix: str) -> None:
    masks = _stems(labelled, suffix)
    if missing := sorted(set(images) - set(masks)):
        others = {name for name in _stems(labelled, TRAIN_IDS) if suffix == MASK} & {*missing}
        hint = (
            "; labelTrainIds are not read: unpack gtFine_trainvaltest.zip again" if others else ""
        )
        raise DataError(f"{labelled / missing[0]}{suffix}: missing, but {missing[0]}{IMAGE} is in "
                        f"{city}{hint}")  # fmt: skip
    if surplus := sorted(set(masks) - set(images)):
        raise DataError(f"{city / surplus[0]}{IMAGE}: missing, but {surplus[0]}{suffix} is in "
                        f"{labelled}")  # fmt: skip


def _stems(folder: Path, suffix: str) -> list[str]:
    return [path.name.removesuffix(suffix) for path in listed(folder, f"*{suffix}")]
