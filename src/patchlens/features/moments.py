"""Moments of each dimension over the patches of each image, and the ranking by variance."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from patchlens.arrays import Floats, Ints
from patchlens.stored import open_tensors, reading

ROUNDING = 1e-12  # of the mean square: less variance than this is rounding


@dataclass(frozen=True)
class Moments:
    """Per-image sums in float64, so that adding rows merges any set of images.

    Attributes:
        count: patches of each image [N].
        total: Σx of each image and dimension [N, D].
        squares: Σx² of each image and dimension [N, D].
    """

    count: Ints
    total: Floats
    squares: Floats

    @classmethod
    def of(cls, patches: NDArray[np.float32]) -> "Moments":
        """Moments of patch features [N, h, w, D]."""
        flat = patches.reshape(len(patches), -1, patches.shape[-1]).astype(np.float64)
        count = np.full(len(flat), flat.shape[1], dtype=np.int64)
        return cls(count, flat.sum(axis=1), np.square(flat).sum(axis=1))

    @classmethod
    def concatenate(cls, parts: Sequence["Moments"]) -> "Moments":
        """Moments of all images of the parts, in order."""
        return cls(
            np.concatenate([p.count for p in parts]),
            np.concatenate([p.total for p in parts]),
            np.concatenate([p.squares for p in parts]),
        )

    @classmethod
    def read(cls, path: Path) -> tuple["Moments", list[str]]:
        """Open a file of the prune stage: the moments of each image, and the image ids."""
        with reading(path):
            file, header = open_tensors(path)
            moments = cls(*(file.get_tensor(key) for key in ("count", "total", "squares")))
            ids: list[str] = header["about"]["image_ids"]
            if not len(ids) == len(moments.count) == len(moments.total) == len(moments.squares):
                raise ValueError("it is not one row per image")
            return moments, ids

    def mean_and_variance(self, rows: Sequence[int]) -> tuple[Floats, Floats]:
        """Mean and population variance [D] over all patches of these images."""
        sums = (self.total[rows].sum(axis=0), self.squares[rows].sum(axis=0))
        return _mean_and_variance(self.count[rows].sum(), *sums)

    def resampled(self, weights: Floats) -> Floats:
        """Population variance [B, D] where each image counts `weights` [B, N] times."""
        sums = (weights @ self.total, weights @ self.squares)
        return _mean_and_variance((weights @ self.count)[:, None], *sums)[1]


def _mean_and_variance(n: Any, total: Floats, squares: Floats) -> tuple[Floats, Floats]:
    mean, square = total / n, squares / n
    variance = square - np.square(mean)
    return mean, np.where(variance > ROUNDING * square, variance, 0)


def rank_by_variance(variance: Floats) -> Ints:
    """Dimensions from the highest variance to the lowest; ties go to the lower dimension."""
    return np.argsort(-variance, kind="stable").astype(np.int64)


def top_count(width: int, parts: int) -> int:
    """⌈D / parts⌉: a share of the width as a number of dimensions, at least 1."""
    return -(-width // parts)


def spectrum(variance: Floats) -> dict[str, Floats]:
    """The concentration of the variance [..., D] over the dimensions.

    Returns:
        `top1`, `top5`, `top_1pct` (⌈D/100⌉), `top_10pct` (⌈D/10⌉): shares of the total variance in
        0..1; `participation`: (Σv)²/Σv², between 1 (one dimension has all the variance) and D
        (all equal). Each [...]; 0 if nothing varies.
    """
    total = variance.sum(axis=-1, keepdims=True)
    shares = np.sort(variance, axis=-1)[..., ::-1] / np.where(total > 0, total, 1)
    top = shares.cumsum(axis=-1)
    width = variance.shape[-1]
    squares = np.square(shares).sum(axis=-1)
    return {
        "top1": top[..., 0],
        "top5": top[..., min(5, width) - 1],
        "top_1pct": top[..., top_count(width, 100) - 1],
        "top_10pct": top[..., top_count(width, 10) - 1],
        "participation": np.divide(1, squares, out=np.zeros_like(squares), where=squares > 0),
    }


@dataclass(frozen=True)
class Ranked:
    """The output of the prune stage: one row per support seed.

    Attributes:
        seeds: the support seeds.
        mean, variance: of each dimension over the patches that variants are fitted on [S, D].
        ranking: dimensions from the highest variance to the lowest [S, D].
    """

    seeds: list[int]
    mean: Floats
    variance: Floats
    ranking: Ints

    @classmethod
    def read(cls, path: Path) -> "Ranked":
        """Open a file of the prune stage."""
        with reading(path):
            file, header = open_tensors(path)
            tensors = [file.get_tensor(key) for key in ("mean", "variance", "ranking")]
            seeds: list[int] = header["about"]["seeds"]
            if any(tensor.shape != (len(seeds), *tensors[0].shape[1:]) for tensor in tensors):
                raise ValueError("it is not one row per seed")
            return cls(seeds, *tensors)
