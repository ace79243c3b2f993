"""Feature variants: transforms of patch features before a distance or a probe.

All are fitted on patches without their labels: of a seed's support images in T1, of all support
images in T2 to T4 (of the query if there are none), or as `fit_on` says.
"""

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property
from math import ceil

import numpy as np
from numpy.typing import NDArray

from patchlens.settings.features import Prune, VariantName

Array = NDArray[np.float32]
Transform = Callable[[Array], Array]
WITH_M: tuple[VariantName, ...] = ("prune", "keep_top", "prune_random")
EIGENVALUE_FLOOR = 1e-4  # of the largest: whitening must not amplify noise


@dataclass(frozen=True)
class FitData:
    """The data that variants are fitted on.

    Attributes:
        mean, variance: of each dimension [D].
        ranking: dimensions from the highest variance to the lowest [D].
        m: number of dimensions that `prune` and `prune_random` drop and `keep_top` keeps.
        patches: yields the patch features in parts [n, D]; only principal components need them.
    """

    mean: NDArray[np.float64]
    variance: NDArray[np.float64]
    ranking: NDArray[np.int64]
    m: int
    patches: Callable[[], Iterable[Array]]

    @cached_property
    def components(self) -> tuple[NDArray[np.float64], NDArray[np.float64], int]:
        """Eigenvalues [D], largest first, eigenvectors [D, D] (columns), and the rank n − 1."""
        return principal_components(self.patches(), self.mean)


def draws(name: VariantName, settings: Prune, seeds: int = 1) -> int:
    """The number of fits of a variant per support seed.

    The random control is fitted so often that all seeds together have at least `random_draws`
    draws; other variants are fitted once.
    """
    return ceil(settings.random_draws / seeds) if name == "prune_random" else 1


def pruned_count(m: float, width: int) -> int:
    """The share `m` of the width D as a number of dimensions."""
    return round(m * width)


def fit(name: VariantName, data: FitData, settings: Prune, *, seed: int, draw: int) -> Transform:
    """Fit a variant; the transform maps [n, D] to [n, D'] float32, where D' may be 0.

    `center`: x − mean. `l2`: x / ‖x‖. `zscore`: (x − mean) / std; constant dimensions become 0.
    `prune` drops the m dimensions of highest variance, `keep_top` keeps only them, `prune_random`
    drops m in the order of a hash of seed, draw and dimension. `pca_drop_top` drops the first
    principal components; `pca_whiten` keeps min(n − 1, D) and divides by the root of the
    eigenvalue, floored at 1e-4 of the largest.
    """
    width, m = len(data.mean), data.m
    mean = data.mean.astype(np.float32)
    match name:
        case "raw":
            return lambda x: x
        case "center":
            return lambda x: x - mean
        case "l2":
            return unit_rows
        case "zscore":
            std = np.sqrt(data.variance)
            scale = np.where(std > 0, 1 / np.where(std > 0, std, 1), 0).astype(np.float32)
            return lambda x: (x - mean) * scale
        case "prune":
            return _columns(data.ranking[m:])
        case "keep_top":
            return _columns(data.ranking[:m])
        case "prune_random":
            return _columns(random_order(width, seed, draw)[m:])
        case "pca_drop_top":
            _, vectors, _ = data.components
            return _project(mean, vectors[:, settings.pca_drop :])
        case "pca_whiten":
            values, vectors, rank = data.components
            kept = min(rank, width)
            # The second floor is for constant features.
            floor = max(EIGENVALUE_FLOOR * values[0], np.finfo(np.float32).tiny)
            scale = 1 / np.sqrt(np.maximum(values[:kept], floor))
            return _project(mean, vectors[:, :kept] * scale)


def applied(transform: Transform, patches: Array) -> Array:
    """A transform of rows [n, D] applied to patch maps [..., D] -> [..., D']."""
    flat = transform(patches.reshape(-1, patches.shape[-1]))
    return flat.reshape(*patches.shape[:-1], flat.shape[-1])


def unit_rows(x: Array) -> Array:
    """Rows divided by their Euclidean norm; a zero row stays zero."""
    norm = np.sqrt(np.einsum("nd,nd->n", x, x))[:, None]
    scale = np.divide(1, norm, out=np.zeros_like(norm), where=norm > 0)
    return np.asarray(x * scale)


def principal_components(
    parts: Iterable[Array], mean: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64], int]:
    """Eigenvalues [D], largest first, eigenvectors [D, D] (columns) of the covariance, and n − 1.

    Args:
        parts: the patches [n, D] in parts.
        mean: their mean [D].
    """
    covariance, count = np.zeros((len(mean), len(mean))), 0
    for part in parts:
        centred = part - mean
        covariance += centred.T @ centred
        count += len(part)
    values, vectors = np.linalg.eigh(covariance / count)
    return values[::-1], vectors[:, ::-1], count - 1


def _columns(kept: NDArray[np.int64]) -> Transform:
    columns = np.sort(kept)
    return lambda x: np.ascontiguousarray(x[:, columns])


def _project(mean: Array, basis: NDArray[np.float64]) -> Transform:
    matrix = basis.astype(np.float32)
    return lambda x: np.asarray((x - mean) @ matrix, dtype=np.float32)


def random_order(width: int, seed: int, draw: int) -> NDArray[np.int64]:
    """The order in which `prune_random` drops dimensions [D], given by a hash."""
    keys = [hashlib.sha256(f"{seed}|{draw}|{i}".encode()).digest() for i in range(width)]
    return np.array(sorted(range(width), key=keys.__getitem__), dtype=np.int64)
