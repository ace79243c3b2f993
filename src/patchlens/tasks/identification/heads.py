"""The queries and galleries of T2: patches, pooled squares of patches, and objects.

A head is a set of queries and a gallery, both weighted means of patches.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any, Literal

import numpy as np

from patchlens.arrays import Bools, Ints
from patchlens.features.cell import IMAGES
from patchlens.tasks.identification.copies import GEOMETRIC, Copy, Matrix, mapped, moved_area
from patchlens.tasks.objects import Objects, as_weights, patch_coverage, size_bins

Size = tuple[int, int]
Grid = tuple[int, int]
EDGE = 1e-6  # pixels: a corner that rounding moves off the image's edge is still on it
NO_BIN = -1  # for queries that are not objects


@dataclass(frozen=True)
class Head:
    """Queries and gallery of one granularity.

    Attributes:
        name: `patch`, `patch_<g>`, `object`.
        gallery: weights of the patches of each clean image, sparse [n, h·w].
        labels: the identity of each row of the gallery [G].
        queries: weights of the patches of each copy, sparse [q, h·w].
        targets: the label that a hit has [Q].
        bins: size bin of each query [Q], an index into `objects.SIZES`, or `NO_BIN`.
    """

    name: str
    gallery: Sequence[Any]
    labels: Ints
    queries: Sequence[Any]
    targets: Ints
    bins: Ints

    @property
    def copy(self) -> Ints:
        """The copy of each query [Q]."""
        return np.repeat(np.arange(len(self.queries)), [len_of(one) for one in self.queries])

    @cached_property
    def chunks(self) -> tuple[list[Any], list[Any]]:
        """Weights of gallery and of queries, `IMAGES` images to a block-diagonal matrix."""
        from scipy.sparse import block_diag  # slow to import, and tables need none

        def joined(weights: Sequence[Any]) -> list[Any]:
            starts = range(0, len(weights), IMAGES)
            return [block_diag(weights[start : start + IMAGES], "csr") for start in starts]

        return joined(self.gallery), joined(self.queries)


def patch_head(
    copies: Sequence[Copy],
    rows: Ints,
    sizes: Sequence[Size],
    grid: Grid,
    g: int,
    share: int | Literal["all"],
    seed: int,
) -> Head:
    """Squares of g × g patches on a grid; the remainder at the right and bottom is dropped.

    A square is a query if its four corners map inside the clean image, so that it has no padding.
    Its target is the square that contains its mapped centre; if the centre lies in the dropped
    remainder, the square is not a query.

    Args:
        copies: the degraded copies.
        rows: the clean image of each copy, as a row of the gallery.
        sizes: height and width in pixels of each clean image.
        grid: patch rows and columns.
        g: patches per side.
        share: maximum number of queries per copy, chosen by a seeded draw.
        seed: the seed of that draw.
    """
    blocks = block_weights(grid, g)
    count, places, targets = len_of(blocks), [], []
    for copy, row in zip(copies, rows, strict=True):
        target = block_targets(copy.to_clean(sizes[row]), sizes[row], grid, g)
        valid = np.flatnonzero(target >= 0)
        if share != "all":
            valid = np.sort(copy.generator("patches", seed, g).permutation(valid)[:share])
        places.append(valid)
        targets.append(row * count + target[valid])
    found = np.concatenate(targets).astype(np.int64)
    return Head(
        name="patch" if g == 1 else f"patch_{g}",
        gallery=[blocks] * len(sizes),
        labels=np.arange(len(sizes) * count),
        queries=[blocks[place] for place in places],
        targets=found,
        bins=np.full(len(found), NO_BIN),
    )


def block_weights(grid: Grid, g: int) -> Any:
    """Weights of the patches in the mean of each g × g block, sparse [blocks, h·w]."""
    from scipy.sparse import csr_array

    rows, columns = grid[0] // g, grid[1] // g
    patches = np.arange(grid[0] * grid[1]).reshape(grid)[: rows * g, : columns * g]
    squares = patches.reshape(rows, g, columns, g).swapaxes(1, 2).reshape(-1, g * g)
    weights = np.full(squares.size, 1 / g**2, dtype=np.float32)
    starts = np.arange(len(squares) + 1) * g * g
    return csr_array((weights, squares.ravel(), starts), shape=(len(squares), grid[0] * grid[1]))


def block_targets(to_clean: Matrix, size: Size, grid: Grid, g: int) -> Ints:
    """The clean block that contains the mapped centre of each block of a copy [blocks].

    −1 for a block that reaches out of the clean image, or whose centre lies in no block. A centre
    on an edge belongs to the block right of it or below.
    """
    step = np.array([size[1] / grid[1], size[0] / grid[0]]) * g  # x, y in pixels
    rows, columns = grid[0] // g, grid[1] // g
    y, x = np.divmod(np.arange(rows * columns), max(columns, 1))
    corner = np.stack([x, y], axis=-1).astype(np.float64)
    inside = np.ones(len(corner), dtype=bool)
    for offset in ((0, 0), (0, 1), (1, 0), (1, 1)):
        point = mapped(to_clean, (corner + offset) * step)
        inside &= ((point >= -EDGE) & (point <= np.array(size[::-1]) + EDGE)).all(axis=-1)
    centre = np.floor((mapped(to_clean, (corner + 0.5) * step) + EDGE) / step).astype(np.int64)
    inside &= ((centre >= 0) & (centre < [columns, rows])).all(axis=-1)
    return np.where(inside, centre[:, 1] * columns + centre[:, 0], -1)


def object_head(
    copies: Sequence[Copy],
    rows: Ints,
    sizes: Sequence[Size],
    grid: Grid,
    objects: Objects,
    areas: Callable[[int], Bools],
) -> Head:
    """Objects: the mean of their patches, weighted by how much of each the moved area covers.

    Only patches that map inside the clean image have weight; an object without one is not a query.
    A hit is the same instance in any image. Where nothing moves, the gallery's weights are used.

    Args:
        copies: the degraded copies.
        rows: the clean image of each copy, as a row of the gallery.
        sizes: height and width in pixels of each clean image.
        grid: patch rows and columns.
        objects: the gallery, in the order of the images; each covers some patch.
        areas: a clean image, as a row of the gallery -> the areas of its objects [O, H, W].
    """
    bounds = np.searchsorted(objects.row, np.arange(len(sizes) + 1))
    gallery = [objects.weights[a:b] for a, b in pairwise(bounds)]
    queries, chosen = [], []
    for copy, row in zip(copies, rows, strict=True):
        members = np.arange(bounds[row], bounds[row + 1])
        weights = gallery[row]
        if copy.degradation in GEOMETRIC and len(members):
            to_clean = copy.to_clean(sizes[row])
            valid = (block_targets(to_clean, sizes[row], grid, 1) >= 0).reshape(grid)
            moved = [moved_area(area, to_clean) for area in areas(int(row))]
            weights = as_weights(np.stack([patch_coverage(area, grid) for area in moved]) * valid)
        kept = np.asarray(weights.sum(axis=1)) > 0
        queries.append(weights[np.flatnonzero(kept)])
        chosen.append(members[kept])
    where = np.concatenate(chosen)
    bins = size_bins(objects.size[where])
    return Head("object", gallery, objects.instance, queries, objects.instance[where], bins)


def len_of(matrix: Any) -> int:
    """Rows of a sparse matrix."""
    return int(matrix.shape[0])
