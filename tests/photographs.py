"""A folder as a user has it: a few small photographs with class masks of the same names."""

from pathlib import Path

import numpy as np
from PIL import Image


def photographs(folder: Path, count: int = 4) -> None:
    """Write `photos/` and `masks/`: dark above, bright below a border at a random height."""
    rng = np.random.default_rng(0)
    for n in range(count):
        mask = np.repeat(np.arange(2, dtype=np.uint8), 16)[rng.integers(8) :][:24]
        labels = np.broadcast_to(np.pad(mask, (0, 24 - len(mask)), "edge")[:, None], (24, 32))
        photo = (labels[..., None] * 120 + rng.integers(0, 60, (24, 32, 3))).astype(np.uint8)
        for name, picture in (("photos", photo), ("masks", labels)):
            (folder / name).mkdir(exist_ok=True)
            Image.fromarray(np.ascontiguousarray(picture)).save(folder / f"{name}/p{n}.png")
