"""Object features: the mean of the patches of an object."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import lru_cache
from typing import Any, TypeVar

import numpy as np

from patchlens.arrays import Array, Bools, Floats, Ints
from patchlens.features.variants import Transform, applied

Key = TypeVar("Key")
NONE = -1  # no frame number
BINS = 7  # RoIAlign cuts a box into 7 × 7 bins
SIZES = ("<1", "1–4", "4–16", ">16")
EDGES = (1, 4, 16)  # patches


@dataclass(frozen=True)
class Objects:
    """The objects [O] of some images, in the order of the images.

    Attributes:
        row: the image of each, as a row of the images that features are read by.
        instance: its identity, a number unique in the dataset.
        class_id: its class.
        fine_class: a number of its fine class, or of its class where it has no fine one.
        sequence: a number of the sequence of its image, or of the image where there is none.
        frame: the frame number of its image, `NONE` where there is none.
        number: its row in the table that it comes from, for what is not here.
        evaluated: False for distractors, crowds and the like.
        box: x0, y0, x1, y1 of its part inside the image, in pixels [O, 4].
        size: patches that it covers; 0 where its box lies outside the image, which has no feature.
        weights: how much each patch counts in its mean [O, h·w], a sparse matrix; rows sum to 1,
            or to 0 where `size` is 0.
    """

    row: Ints
    instance: Ints
    class_id: Ints
    fine_class: Ints
    sequence: Ints
    frame: Ints
    number: Ints
    evaluated: Bools
    box: Floats
    size: Floats
    weights: Any

    def __len__(self) -> int:
        return len(self.row)

    def take(self, where: Bools | Ints) -> "Objects":
        """Some of the objects, by a mask or by their numbers in ascending order."""
        return Objects(**{f.name: getattr(self, f.name)[where] for f in fields(self)})


def size_bins(size: Floats) -> Ints:
    """Which of `SIZES` each size falls in; a size of 1 is in 1–4."""
    return np.searchsorted(EDGES, size, side="right")


def patch_coverage(mask: Bools, grid: tuple[int, int]) -> Array:
    """Share of each patch [h, w] that a mask [H, W] covers; patches may cut through pixels."""
    if not mask.any():
        return np.zeros(grid, dtype=np.float32)
    # Only the part that holds the mask: an object is small in its image.
    y, x = (np.flatnonzero(mask.any(axis=axis)) for axis in (1, 0))
    inside = slice(y[0], y[-1] + 1), slice(x[0], x[-1] + 1)
    rows, columns = (
        _overlap(n, cells)[:, part] for n, cells, part in zip(mask.shape, grid, inside, strict=True)
    )
    return np.asarray(rows @ mask[inside].astype(np.float32) @ columns.T, dtype=np.float32)


def box_weights(boxes: Floats, grid: tuple[int, int]) -> Array:
    """Weights of the patches [N, h, w] in the mean of the 7 × 7 bins of RoIAlign over boxes.

    RoIAlign (He et al., Mask R-CNN, 2017) samples the patch map bilinearly at a regular grid of
    points in the box (`aligned`, as many as it is large); its mean is linear in the patches, and a
    product of weights of rows and of columns: torchvision gives both.

    Args:
        boxes: x0, y0, x1, y1 [N, 4] in patches, inside the map.
        grid: patch rows and columns.
    """
    import torch  # seconds to import, and datasets with masks need neither
    from torchvision.ops import roi_align

    rows, columns = grid
    rois = torch.zeros(len(boxes), 5)
    rois[:, 1:] = torch.from_numpy(boxes.astype(np.float32))
    # Channel i is 1 in row (column) i, so that its mean is the weight of that row (column).
    of_rows = torch.eye(rows)[None, :, :, None].expand(1, rows, rows, columns)
    of_columns = torch.eye(columns)[None, :, None, :].expand(1, columns, rows, columns)
    by_row, by_column = (
        roi_align(one_hot.contiguous(), rois, BINS, aligned=True).mean(dim=(2, 3)).numpy()
        for one_hot in (of_rows, of_columns)
    )
    return np.asarray(by_row[:, :, None] * by_column[:, None, :])


def as_weights(coverage: Array) -> Any:
    """Coverage maps [N, h, w] of objects as `Objects.weights`; an empty map stays empty."""
    from scipy.sparse import csr_array  # slow to import, and tables need none

    flat = coverage.reshape(len(coverage), coverage.shape[1] * coverage.shape[2])
    total = flat.sum(axis=1, keepdims=True)
    return csr_array(np.divide(flat, total, out=np.zeros_like(flat), where=total > 0))


def object_features(
    objects: Objects,
    images: int,
    features: Callable[[range], Array],
    transforms: Mapping[Key, Sequence[Transform]],
    chunk: int = 32,
) -> dict[Key, list[Array]]:
    """Object features [O, D'] of every transform, in one pass over the images.

    Args:
        objects: the objects; those without a patch get zeros.
        images: number of images.
        features: rows of the images -> raw patch features [n, h, w, D].
        transforms: variant -> its transforms, one per draw, applied to patches before the mean.
        chunk: images in memory at a time.
    """
    parts: dict[Key, list[list[Array]]] = {key: [[] for _ in of] for key, of in transforms.items()}
    bounds = np.searchsorted(objects.row, np.arange(images + 1))
    for start in range(0, max(images, 1), chunk):
        rows = range(start, min(start + chunk, images))
        patches = features(rows)
        for key, of_key in transforms.items():
            for part, transform in zip(parts[key], of_key, strict=True):
                for row, one in zip(rows, applied(transform, patches), strict=True):
                    weights = objects.weights[bounds[row] : bounds[row + 1]]
                    part.append(weights @ one.reshape(weights.shape[1], one.shape[-1]))
    return {key: [np.concatenate(part) for part in of] for key, of in parts.items()}


@lru_cache(maxsize=8)
def _overlap(pixels: int, cells: int) -> Array:
    """Share of each cell that each pixel covers [cells, pixels]; rows sum to 1."""
    edges = np.arange(cells + 1) * (pixels / cells)
    left = np.maximum(edges[:-1, None], np.arange(pixels))
    right = np.minimum(edges[1:, None], np.arange(1, pixels + 1))
    return np.asarray(np.clip(right - left, 0, None) * (cells / pixels), dtype=np.float32)
