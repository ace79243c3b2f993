"""The variance study of a model on a dataset: dimensions of high variance and what they encode."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import combinations
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.ndimage import sobel

from patchlens.arrays import Array, Floats, Ints
from patchlens.features.moments import rank_by_variance, spectrum, top_count
from patchlens.tasks.variance.spread import Spread

CUES = ("row", "column", "brightness", "edges")


def cues(image: NDArray[np.uint8], grid: tuple[int, int]) -> Array:
    """Cues of a patch that need no model: its position, brightness and edges.

    Args:
        image: RGB [H, W, 3].
        grid: patch rows h and columns w.

    Returns:
        [h, w, 4]: row and column as shares of the image in 0..1, mean luma (Rec. 601) in 0..1, and
        mean magnitude of the luma's gradient (Sobel, per pixel, scaled by 1/8).
    """
    h, w = grid
    luma = image @ np.array([0.299, 0.587, 0.114], np.float32) / 255
    edges = np.hypot(*(sobel(luma, axis, mode="nearest") / 8 for axis in (0, 1)))
    rows, columns = np.meshgrid((np.arange(h) + 0.5) / h, (np.arange(w) + 0.5) / w, indexing="ij")
    beside = [_pooled(shown, grid) for shown in (luma, edges)]
    return np.stack([rows, columns, *beside], axis=-1).astype(np.float32)


def _pooled(shown: NDArray[np.floating], grid: tuple[int, int]) -> Floats:
    """Means [h, w] of the pixels that each patch touches, as torch's `adaptive_avg_pool2d`."""
    sums = np.zeros(np.add(shown.shape, 1))
    sums[1:, 1:] = shown.cumsum(axis=0, dtype=np.float64).cumsum(axis=1)
    (top, bottom), (left, right) = (
        (np.arange(n) * size // n, -(-np.arange(1, n + 1) * size // n))
        for n, size in zip(grid, shown.shape, strict=True)
    )
    inside = sums[bottom][:, right] - sums[top][:, right] - sums[bottom][:, left]
    inside += sums[top][:, left]
    return np.asarray(inside / np.outer(bottom - top, right - left))


def spread_with_cues(batches: Iterable[tuple[Array, Array]]) -> Spread:
    """The spread of features and cues side by side, over batches of ([n, D], [n, 4])."""
    whole: Spread | None = None
    for features, beside in batches:
        part = Spread.of(np.hstack([features.astype(np.float64), beside]))
        whole = part if whole is None else whole.merge(part)
    assert whole is not None
    return whole


class Study(NamedTuple):
    """One layer: `numbers` of the layer, one row per dimension, one row per rank."""

    numbers: dict[str, float]
    dimensions: pd.DataFrame
    spectrum: pd.DataFrame


def study(spread: Spread) -> Study:
    """Read the study of a layer from the spread of its features and cues.

    `numbers`: the shares and the participation ratio of `moments.spectrum`; `pca_participation`,
    the same ratio over the eigenvalues of the covariance; `kurtosis_top`, the mean kurtosis of the
    ⌈D/100⌉ dimensions of highest variance; `<cue>_top` and `<cue>_rest`, the mean |r| with a cue
    of those dimensions and of all others.
    """
    width = len(spread.mean) - len(CUES)
    own, beside = slice(0, width), slice(width, None)
    variance = spread.variance[own]
    kurtosis = spread.kurtosis[own]
    r = spread.correlation(own, beside)
    ranking = rank_by_variance(variance)
    eigenvalues = spread.eigenvalues(own)
    top = ranking[: top_count(width, 100)]
    rest = ranking[len(top) :]
    numbers = {name: float(value) for name, value in spectrum(variance).items()}
    numbers["pca_participation"] = float(spectrum(eigenvalues)["participation"])
    numbers["kurtosis_top"] = float(kurtosis[top].mean())
    for i, cue in enumerate(CUES):
        numbers[f"{cue}_top"] = float(np.abs(r[top, i]).mean())
        numbers[f"{cue}_rest"] = float(np.abs(r[rest, i]).mean()) if len(rest) else 0.0
    shares = variance[ranking] / (variance.sum() or 1.0)
    eigen = eigenvalues / (eigenvalues.sum() or 1.0)
    ranks = np.arange(1, width + 1)
    return Study(
        numbers,
        pd.DataFrame(
            {
                "rank": ranks,
                "dimension": ranking,
                "mean": spread.mean[ranking],
                "variance": variance[ranking],
                "share": shares,
                "kurtosis": kurtosis[ranking],
            }
            | {f"r_{cue}": r[ranking, i] for i, cue in enumerate(CUES)}
        ),
        pd.DataFrame(
            {
                "rank": ranks,
                "share": shares,
                "cumulative": shares.cumsum(),
                "eigen_share": eigen,
                "eigen_cumulative": eigen.cumsum(),
            }
        ),
    )


def overlaps(rankings: Mapping[str, Ints], sizes: Sequence[int]) -> pd.DataFrame:
    """The share of the top m dimensions that two rankings have in common, per pair and m.

    Args:
        rankings: name -> dimensions from the highest variance to the lowest [D].
        sizes: the values of m, in 1..D.

    Returns:
        Columns a, b, m, overlap (|A ∩ B| / m), chance (m / D: that of two random sets).
    """
    rows = [
        (a, b, m, len(np.intersect1d(x[:m], y[:m])) / m, m / len(x))
        for (a, x), (b, y) in combinations(rankings.items(), 2)
        for m in sizes
    ]
    return pd.DataFrame(rows, columns=["a", "b", "m", "overlap", "chance"])
