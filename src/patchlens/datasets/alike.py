"""Finds pictures that show the same, however each was saved."""

from collections.abc import Iterable

import numpy as np
from PIL import Image

FLAT = 8  # grey levels: a picture with fewer has no structure to compare
NEAR, CLOSE = 24, 8  # of 256 differences, and grey levels: more is another picture


def near_duplicates(pictures: Iterable[tuple[str, Image.Image]]) -> list[tuple[str, str]]:
    """Pairs of pictures that show the same.

    Compared are the signs of the differences between neighbours in 17×16 grey pixels (a difference
    hash); pairs of which at most `NEAR` of 256 differ are confirmed by their colours at 16×16. Flat
    pictures are left out.

    Args:
        pictures: name and picture, opened one after the other.
    """
    ids, bits, small = [], [], []
    for image_id, picture in pictures:
        grey = np.asarray(picture.convert("L").resize((17, 16), Image.Resampling.BOX), np.int16)
        if np.ptp(grey) > FLAT:
            ids.append(image_id)
            bits.append((np.diff(grey, axis=1) > 0).ravel())
            small.append(np.asarray(picture.resize((16, 16), Image.Resampling.BOX), np.int16))
    found, hashes = list[tuple[str, str]](), np.array(bits, np.float32).reshape(-1, 256)
    for row, image_id in enumerate(ids):
        rest = hashes[row + 1 :]
        differing = rest.sum(axis=1) + hashes[row].sum() - 2 * rest @ hashes[row]
        for other in np.flatnonzero(differing <= NEAR) + row + 1:
            if np.abs(small[row] - small[other]).mean() <= CLOSE:
                found.append((image_id, ids[other]))
    return found
