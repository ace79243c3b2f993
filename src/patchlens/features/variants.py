"""Feature variants: transforms of patch features before a distance or a probe.

All are fitted on patches without their labels: of a seed's support images in T1, of all support
images in T2 to T4 (of the query if there are none), or as `fit_on` says.

A new variant is an entry of `VARIANTS`.
"""

import hashlib
import inspect
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property
from math import ceil
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from patchlens.arrays import Array
from patchlens.errors import FitError
from patchlens.settings.features import Prune, VariantName

Transform = Callable[[Array], Array]
EIGENVALUE_FLOOR = 1e-4  # of the largest: whitening must not amplify noise


@dataclass(frozen=True)
class FitData:
    """What variants are fitted on.

    Attributes:
        mean, variance: of each dimension [D].
        ranking: dimensions from the highest variance to the lowest [D].
        m: how many dimensions `prune` and `prune_random` drop, `keep_top` and `keep_random` keep.
        patches: gives the patch features themselves in parts [n, D]; only principal components
            need them, a part at a time.
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


class Chance(NamedTuple):
    """What decides a random choice: the support seed and the number of the draw."""

    seed: int
    draw: int


class Variant(NamedTuple):
    """A feature variant.

    Attributes:
        fit: makes the transform. Its docstring is what docs/variants.md says of the variant: a
            title, and what is done to the feature x of a patch.
        learns: what is estimated from the patches that it is fitted on.
        settings: the keys of `prune` in params.yaml that shape it.
        keeps_directions: whether every x is only scaled, so that cosines are those of `raw`.
        keeps_differences: whether all x are moved by one vector, which free intercepts take up.
    """

    fit: Callable[[FitData, Prune, Chance], Transform]
    learns: tuple[Literal["mean", "variance", "ranking", "components"], ...] = ()
    settings: tuple[Literal["m", "random_draws", "pca_drop"], ...] = ()
    keeps_directions: bool = False
    keeps_differences: bool = False

    @property
    def title(self) -> str:
        """A few words."""
        return self._words()[0].rstrip(".")

    @property
    def does(self) -> str:
        """What is done to the feature x of a patch."""
        return " ".join(self._words()[1].split())

    def _words(self) -> tuple[str, str]:
        title, _, does = (inspect.getdoc(self.fit) or "").partition("\n\n")
        return title, does


def _raw(data: FitData, prune: Prune, chance: Chance) -> Transform:
    """Features as they are.

    x unchanged: the baseline of all other variants.
    """
    return lambda x: x


def _center(data: FitData, prune: Prune, chance: Chance) -> Transform:
    """The mean is subtracted.

    x − μ, with the mean μ of the patches.
    """
    mean = data.mean.astype(np.float32)
    return lambda x: x - mean


def _l2(data: FitData, prune: Prune, chance: Chance) -> Transform:
    """Every patch has length 1.

    x / ‖x‖; a zero patch stays zero.
    """
    return unit_rows


def _zscore(data: FitData, prune: Prune, chance: Chance) -> Transform:
    """Every dimension has mean 0 and variance 1.

    (x − μ) / σ, with the mean μ and the standard deviation σ (divisor n) of each dimension; a
    dimension that does not vary becomes 0.
    """
    mean, std = data.mean.astype(np.float32), np.sqrt(data.variance)
    scale = np.where(std > 0, 1 / np.where(std > 0, std, 1), 0).astype(np.float32)
    return lambda x: (x - mean) * scale


def _prune(data: FitData, prune: Prune, chance: Chance) -> Transform:
    """The dimensions of highest variance are dropped.

    x without the m dimensions of highest variance.
    """
    return _columns(data.ranking[data.m :])


def _keep_top(data: FitData, prune: Prune, chance: Chance) -> Transform:
    """Only the dimensions of highest variance are kept.

    The m dimensions of x that `prune` drops: what do they contribute?
    """
    return _columns(data.ranking[: data.m])


def _prune_random(data: FitData, prune: Prune, chance: Chance) -> Transform:
    """Random dimensions are dropped: the control of `prune`.

    x without m dimensions, the first in the order of sha256("seed|draw|dimension"); scores are
    means over draws.
    """
    return _columns(random_order(len(data.mean), *chance)[data.m :])


def _keep_random(data: FitData, prune: Prune, chance: Chance) -> Transform:
    """Only random dimensions are kept: the control of `keep_top`.

    The m dimensions of x that `prune_random` drops; scores are means over draws.
    """
    return _columns(random_order(len(data.mean), *chance)[: data.m])


def _pca_drop_top(data: FitData, prune: Prune, chance: Chance) -> Transform:
    """The first principal components are dropped.

    (x − μ) V, with the eigenvectors V of the covariance after the first `pca_drop`.
    """
    _, vectors, _ = data.components
    return _project(data.mean, vectors[:, prune.pca_drop :])


def _pca_whiten(data: FitData, prune: Prune, chance: Chance) -> Transform:
    """Every principal component has variance 1.

    (x − μ) V Λ^(−1/2), with the first min(n − 1, D) eigenvectors V and eigenvalues Λ of the
    covariance of the n patches; an eigenvalue below 1e-4 of the largest counts as 1e-4 of it.
    """
    values, vectors, rank = data.components
    kept = min(rank, len(data.mean))
    # The second floor is for features that do not vary at all.
    floor = max(EIGENVALUE_FLOOR * values[0], np.finfo(np.float32).tiny)
    scale = 1 / np.sqrt(np.maximum(values[:kept], floor))
    return _project(data.mean, vectors[:, :kept] * scale)


VARIANTS: dict[VariantName, Variant] = {
    "raw": Variant(_raw, keeps_directions=True, keeps_differences=True),
    "center": Variant(_center, learns=("mean",), keeps_differences=True),
    "l2": Variant(_l2, keeps_directions=True),
    "zscore": Variant(_zscore, learns=("mean", "variance")),
    "prune": Variant(_prune, learns=("ranking",), settings=("m",)),
    "keep_top": Variant(_keep_top, learns=("ranking",), settings=("m",)),
    "prune_random": Variant(_prune_random, settings=("m", "random_draws")),
    "keep_random": Variant(_keep_random, settings=("m", "random_draws")),
    "pca_drop_top": Variant(_pca_drop_top, learns=("mean", "components"), settings=("pca_drop",)),
    "pca_whiten": Variant(_pca_whiten, learns=("mean", "components")),
}
WITH_M = tuple(name for name, variant in VARIANTS.items() if "m" in variant.settings)
RANDOM = tuple(n for n, variant in VARIANTS.items() if "random_draws" in variant.settings)


def fit(name: VariantName, data: FitData, settings: Prune, *, seed: int, draw: int) -> Transform:
    """Fit a variant; the transform maps [n, D] to [n, D'] float32.

    D' is 0 for `keep_top` and `keep_random` with m = 0 only.

    Raises:
        FitError: the variant would drop every dimension.
    """
    _check_some_left(name, data.m, settings, len(data.mean))
    return VARIANTS[name].fit(data, settings, Chance(seed, draw))


def check_width(settings: Prune, names: Iterable[VariantName], width: int) -> None:
    """Refuse settings by which one of these variants drops all of `width` dimensions.

    Raises:
        FitError: names the key and what is allowed.
    """
    for name in names:
        _check_some_left(name, pruned_count(settings.m, width), settings, width)


def _check_some_left(name: VariantName, m: int, settings: Prune, width: int) -> None:
    if name in ("prune", "prune_random") and m >= width:
        raise FitError(
            f"prune.m: {settings.m:g} drops all {width} dimensions; use a share below "
            f"{(width - 0.5) / width:.4g}"
        )
    if name == "pca_drop_top" and settings.pca_drop >= width:
        raise FitError(
            f"prune.pca_drop: {settings.pca_drop} drops all {width} components; use at most "
            f"{width - 1}, or remove pca_drop_top from the variants"
        )


def draws(name: VariantName, settings: Prune, seeds: int = 1) -> int:
    """The number of fits of a variant per support seed.

    The random control is fitted so often that all seeds together have at least `random_draws`
    draws; other variants are fitted once.
    """
    return ceil(settings.random_draws / seeds) if name in RANDOM else 1


def pruned_count(m: float, width: int) -> int:
    """The number of dimensions that a share `m` of the width D means."""
    return round(m * width)


def pruned_counts(settings: Prune, width: int) -> list[int]:
    """The numbers of dimensions for `prune.choices`: distinct, ascending, in 1..D−1."""
    return sorted({pruned_count(m, width) for m in settings.choices} - {0, width})


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
        parts: the patches [n, D], some at a time.
        mean: their mean [D].
    """
    covariance, count = np.zeros((len(mean), len(mean))), 0
    for part in parts:
        centred = part - mean
        covariance += centred.T @ centred
        count += len(part)
    values, vectors = np.linalg.eigh(covariance / count)
    return values[::-1], vectors[:, ::-1], count - 1


def random_order(width: int, seed: int, draw: int) -> NDArray[np.int64]:
    """The order in which `prune_random` drops dimensions [D]: that of a hash."""
    keys = [hashlib.sha256(f"{seed}|{draw}|{i}".encode()).digest() for i in range(width)]
    return np.array(sorted(range(width), key=keys.__getitem__), dtype=np.int64)


def _columns(kept: NDArray[np.int64]) -> Transform:
    columns = np.sort(kept)
    return lambda x: np.ascontiguousarray(x[:, columns])


def _project(mean: NDArray[np.float64], basis: NDArray[np.float64]) -> Transform:
    origin, matrix = mean.astype(np.float32), basis.astype(np.float32)
    return lambda x: np.asarray((x - origin) @ matrix, dtype=np.float32)
