"""Which module reads which kind of dataset, and its card."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

from patchlens.datasets import (
    ade20k,
    bdd100k_seg,
    bdd100k_track,
    camvid,
    cityscapes,
    coil100,
    cub200,
    davis,
    fair1m,
    folder,
    grocerystore,
    instre,
    kitti,
    mot,
    revisited,
    voc,
)
from patchlens.datasets.card import Card
from patchlens.datasets.layout import Layout
from patchlens.datasets.minicity import read as minicity

Reader = Callable[[Path], Layout]

KINDS: tuple[tuple[Card, Reader], ...] = (
    (minicity.CARD, minicity.read),
    (folder.CARD, folder.read),
    (cityscapes.CARD, cityscapes.read),
    (ade20k.CARD, ade20k.read),
    (voc.CARD, voc.read),
    (camvid.CARD, camvid.read),
    (bdd100k_seg.CARD, bdd100k_seg.read),
    (bdd100k_track.CARD, bdd100k_track.read),
    (mot.MOT15, partial(mot.read, card=mot.MOT15)),
    (mot.MOT16, partial(mot.read, card=mot.MOT16)),
    (mot.MOT17, partial(mot.read, card=mot.MOT17)),
    (kitti.CARD, kitti.read),
    (davis.CARD_2016, davis.read_2016),
    (davis.CARD_2017, davis.read_2017),
    (fair1m.CARD, fair1m.read),
    (revisited.ROXFORD5K, partial(revisited.read, card=revisited.ROXFORD5K)),
    (revisited.RPARIS6K, partial(revisited.read, card=revisited.RPARIS6K)),
    (instre.CARD, instre.read),
    (cub200.CARD, cub200.read),
    (grocerystore.CARD, grocerystore.read),
    (coil100.CARD, coil100.read),
)
CARDS: dict[str, Card] = {card.kind: card for card, _ in KINDS}
READERS: dict[str, Reader] = {card.kind: read for card, read in KINDS}
