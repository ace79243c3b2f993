"""From an image to model input and back: whole images or tiles, one patch grid per image."""

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from patchlens.settings.datasets import View

FILTERS = {"bicubic": Image.Resampling.BICUBIC, "bilinear": Image.Resampling.BILINEAR}


def tile_counts(view: View, size: tuple[int, int]) -> tuple[int, int]:
    """Rows and columns of tiles of an image of `size` (height, width); (1, 1) for whole images.

    Raises:
        ValueError: the tiles do not cover the image exactly.
    """
    if view.tile is None:
        return 1, 1
    height, width = size
    if height % view.tile or width % view.tile:
        raise ValueError(f"{height}×{width} pixels cannot be divided into tiles of {view.tile}")
    return height // view.tile, width // view.tile


def cut(
    image: Image.Image, view: View, input_size: tuple[int, int], interpolation: str
) -> NDArray[np.uint8]:
    """Views of one image, uint8 [V, 3, H, W], tiles in row-major order; antialiased resize."""
    rows, columns = tile_counts(view, (image.height, image.width))
    size = (input_size[1], input_size[0])
    width, height = image.width // columns, image.height // rows
    boxes = [
        (c * width, r * height, (c + 1) * width, (r + 1) * height)
        for r in range(rows)
        for c in range(columns)
    ]
    # Cropped first: with resize's own `box`, the filter would reach into the neighbouring tiles.
    views = [np.asarray(image.crop(box).resize(size, FILTERS[interpolation])) for box in boxes]
    return np.ascontiguousarray(np.stack(views).transpose(0, 3, 1, 2))


def stitch(tokens: NDArray[np.generic], rows: int, columns: int) -> NDArray[np.generic]:
    """Patch maps of one image's tiles [rows·columns, h, w, D] as one [rows·h, columns·w, D]."""
    _, h, w, width = tokens.shape
    grid = tokens.reshape(rows, columns, h, w, width).swapaxes(1, 2)
    return grid.reshape(rows * h, columns * w, width)
