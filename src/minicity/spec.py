"""Names, sizes and splits of the minicity data set (no heavy imports)."""

from dataclasses import dataclass

HEIGHT = 128
WIDTH = 256
IGNORE = 255

CLASSES = (
    "road",
    "sidewalk",
    "building",
    "tree",
    "grass",
    "sky",
    "pole",
    "sign",
    "car",
    "person",
)
ROAD, SIDEWALK, BUILDING, TREE, GRASS, SKY, POLE, SIGN, CAR, PERSON = range(len(CLASSES))

PALETTE = (
    (110, 78, 128),
    (228, 120, 200),
    (96, 100, 112),
    (46, 120, 52),
    (150, 214, 110),
    (92, 160, 220),
    (240, 176, 60),
    (250, 236, 70),
    (40, 60, 190),
    (220, 40, 60),
)
"""RGB display colour of each class, 0..255."""

FREE_SEEDS = 1_000_000
"""The evaluation uses no seeds from here on: use them for pre-training frames."""


@dataclass(frozen=True)
class Split:
    """One part of the data set: ``count`` scenes with seeds ``first_seed + i``.

    ``frames`` is 1 for stills and the number of frames of each sequence for videos.
    """

    first_seed: int
    count: int
    frames: int

    def scene_name(self, index: int) -> str:
        """Name of scene ``index``: ``s0007`` for a still, ``v03`` for a sequence."""
        return f"s{index:04d}" if self.frames == 1 else f"v{index:02d}"

    def frame_names(self, index: int) -> list[str]:
        """File stems of the frames of scene ``index``, in order."""
        name = self.scene_name(index)
        if self.frames == 1:
            return [name]
        return [f"{name}_{frame:04d}" for frame in range(self.frames)]


SPLITS = {
    "support": Split(10_000, 64, 1),
    "query": Split(20_000, 64, 1),
    "video_train": Split(30_000, 4, 40),
    "video_test": Split(40_000, 4, 40),
}
EVALUATION_SEEDS = range(20_000, 30_000), range(40_000, 50_000)
"""Scenes with these seeds draw from the test half of the cast, all others from the train half."""
