"""ADE20K as SceneParse150: scenes with 150 classes of things and stuff.

Layout and encoding: github.com/CSAILVision/sceneparsing (README.md), class names from its
objectInfo150.txt (the first of several); dataset: Zhou et al., CVPR 2017.
"""

from collections.abc import Iterator
from pathlib import Path

from patchlens.datasets.card import Card
from patchlens.datasets.files import pairs
from patchlens.datasets.layout import IGNORE, ImageEntry, Layout
from patchlens.datasets.reading import top
from patchlens.datasets.sources.all import SOURCES

NAMES = """
wall, building, sky, floor, tree, ceiling, road, bed, windowpane, grass, cabinet, sidewalk,
person, earth, door, table, mountain, plant, curtain, chair, car, water, painting, sofa,
shelf, house, sea, mirror, rug, field, armchair, seat, fence, desk, rock, wardrobe, lamp,
bathtub, railing, cushion, base, box, column, signboard, chest of drawers, counter, sand,
sink, skyscraper, fireplace, refrigerator, grandstand, path, stairs, runway, case, pool
table, pillow, screen door, stairway, river, bridge, bookcase, blind, coffee table, toilet,
flower, book, hill, bench, countertop, stove, palm, kitchen island, computer, swivel chair,
boat, bar, arcade machine, hovel, bus, towel, light, truck, tower, chandelier, awning,
streetlight, booth, television, airplane, dirt track, apparel, pole, land, bannister,
escalator, ottoman, bottle, buffet, poster, stage, van, ship, fountain, conveyer belt,
canopy, washer, plaything, swimming pool, stool, barrel, basket, waterfall, tent, bag,
minibike, cradle, oven, ball, food, step, tank, trade name, microwave, pot, animal, bicycle,
lake, dishwasher, screen, blanket, sculpture, hood, sconce, vase, traffic light, tray,
ashcan, fan, pier, crt screen, plate, monitor, bulletin board, shower, radiator, glass,
clock, flag
"""
CLASSES = tuple(" ".join(name.split()) for name in NAMES.split(","))
LABELS = {0: IGNORE} | {value: value - 1 for value in range(1, len(CLASSES) + 1)}
SPLITS = ("training", "validation")
CARD = Card(
    **vars(SOURCES["ade20k"]),
    tasks=("segmentation",),
    layout="""\
ADEChallengeData2016/images/{training,validation}/ADE_{train,val}_<8 digits>.jpg
ADEChallengeData2016/annotations/{training,validation}/ADE_{train,val}_<8 digits>.png""",
    counts={
        "training": {"images": 20210, "masks": 20210},
        "validation": {"images": 2000, "masks": 2000},
    },
    classes=CLASSES,
    encoding=(
        "A pixel of 0 is `other` and is ignored; value v is class v − 1 (wall is 0).",
        "Images differ in size. Names are the first of each row of objectInfo150.txt.",
        "Benchmarks that keep 0 as a class, or class ids from 1, are not comparable.",
    ),
)
HOW = f"Unpack {CARD.archives[0].url} there"


def read(root: Path) -> Layout:
    """Read the splits whose images are there.

    Raises:
        SourceError: no images, or the annotations of a split are missing.
        DataError: an image and an annotation do not pair.
    """
    here = top(root, *(f"images/{split}" for split in SPLITS), how=HOW)
    images = [
        entry
        for split in SPLITS
        if (here / "images" / split).is_dir()
        for entry in _split(root, here, split)
    ]
    return Layout(CLASSES, LABELS, images)


def _split(root: Path, here: Path, split: str) -> Iterator[ImageEntry]:
    for stem, image, mask in pairs(root, here / "images" / split, here / "annotations" / split):
        yield ImageEntry(stem, split, image, mask)
