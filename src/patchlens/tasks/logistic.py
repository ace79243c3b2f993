"""Multinomial logistic regression with L2, fitted by L-BFGS on a CPU.

The objective is scikit-learn's: Σ log-loss / n + ‖W‖² / (2·C·n), intercepts unpenalised, raw
features (nothing is standardised behind the user's back). Patch features are so ill-conditioned
that L-BFGS on them takes hundreds of iterations, so the same objective is minimised in other
coordinates: features are centred (the free intercepts take the mean up) and rotated to their
principal axes, and every weight is scaled by the root of its curvature (Jacobi); of few features,
those of a class by all of its curvatures. The optimum is the same, an order of magnitude sooner; a
test holds it against scikit-learn.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from scipy.special import softmax

from patchlens.arrays import Array, Floats, Ints
from patchlens.errors import FitError
from patchlens.features.variants import Transform

TOLERANCE = 1e-4  # largest gradient entry, in coordinates where every weight has unit curvature
MEMORY = 20  # gradient pairs that L-BFGS keeps
PIECE = 1920  # rows that are copied at once
NARROW = 129  # features and intercept, of which all curvatures of a class are used
ROUNDING = 1e-5  # of these, in float32


def as_they_are(x: Array) -> Array:
    """The transform that changes nothing."""
    return x


@dataclass(frozen=True)
class Weights:
    """A fitted model: logits = x @ weights + intercepts, a column for each of `labels`."""

    weights: Array
    intercepts: Array
    labels: Ints

    def logits(self, x: Array) -> Array:
        """Logits [n, K]."""
        return np.asarray(x @ self.weights + self.intercepts)


def path(
    x: Array,
    y: Ints,
    values: list[float],
    max_iter: int,
    transform: Transform = as_they_are,
) -> Iterator[Weights]:
    """One fitted model for each C in ascending order, each started from the one before."""
    from scipy.optimize import minimize  # slow to import

    labels, target = np.unique(y, return_inverse=True)
    z, mean, axes = _rotated(x, transform)
    inner = np.zeros((len(z), len(labels)))
    for c in values:
        penalties = np.full((len(z), 1), 1 / (len(x) * c))
        penalties[-1] = 0
        coordinates = _coordinates(z, inner, penalties)
        start = coordinates.of(inner)
        for precision in (np.float32, np.float64):  # rounding may end the first too early
            found = minimize(
                _objective,
                start,
                args=(z.astype(precision, copy=False), target, coordinates, penalties),
                jac=True,
                method="L-BFGS-B",
                options={"maxiter": max_iter, "gtol": TOLERANCE, "ftol": 0, "maxcor": MEMORY}
                | {"maxfun": 10 * max_iter},
            )
            start, steep = found.x, np.abs(found.jac).max() > 2 * TOLERANCE
            if not steep or found.nit >= max_iter:
                break
        if steep:
            raise FitError(
                f"the linear probe did not converge in {max_iter} iterations at C = {c} "
                f"({found.message}); increase segmentation.linear.max_iter"
            )
        inner = coordinates.weights(found.x)
        weights = axes @ inner[:-1]
        intercepts = inner[-1] - mean @ weights
        yield Weights(weights.astype(np.float32), intercepts.astype(np.float32), labels)


def _rotated(x: Array, transform: Transform) -> tuple[Array, Floats, Floats]:
    """Features on their principal axes and a row of ones for the intercepts; their mean and axes.

    Patches are the last axis here and everywhere: sums over few classes are then twice as fast.
    """
    from scipy.linalg.blas import ssyrk

    parts = pieces(len(x))
    mean = sum(transform(x[part]).sum(axis=0, dtype=np.float64) for part in parts) / len(x)
    width = len(mean)
    products = np.zeros((width, width), dtype=np.float32, order="F")
    for part in parts:
        products = ssyrk(
            1, _centred(transform(x[part]), mean).T, beta=1, c=products, lower=1, overwrite_c=1
        )
    _, axes = np.linalg.eigh(products.astype(np.float64))  # which reads the lower half
    z = np.ones((width + 1, len(x)), dtype=np.float32)
    turn = axes.astype(np.float32).T
    for part in parts:
        np.matmul(turn, _centred(transform(x[part]), mean).T, out=z[:-1, part])
    return z, mean, axes


def _centred(x: Array, mean: Floats) -> Array:
    """In float64, rounded once, but without an array of it."""
    return np.subtract(x, mean, out=np.empty_like(x), casting="same_kind")


def pieces(rows: int) -> list[slice]:
    """Parts of many rows, so that nothing is copied as a whole; the last is the largest.

    Products of matrices that are summed over these have the bits of a single one, since BLAS sums
    in blocks that `PIECE` is a multiple of, and divides what is left.
    """
    starts = [PIECE * i for i in range(max(1, rows // PIECE))]
    return [slice(start, end) for start, end in pairwise([*starts, rows])]


@dataclass(frozen=True)
class _Coordinates:
    """Coordinates in which the objective is curved alike, at the weights that they were made for.

    Attributes:
        scale: of the weights [D + 1, K], one over the root of the curvature along each.
        factors: of the matrix [D + 1, D + 1] of curvatures of each class, in weights so scaled, the
            Cholesky factor and its inverse; None leaves the weights of a class as they are.
    """

    scale: Floats
    factors: tuple[Floats, Floats] | None

    def weights(self, flat: Floats) -> Floats:
        """The weights [D + 1, K] of a point."""
        columns = flat.reshape(self.scale.shape[::-1])
        if self.factors is not None:
            columns = (columns[:, None] @ self.factors[1])[:, 0]
        return columns.T * self.scale

    def of(self, weights: Floats) -> Floats:
        """The point of weights [D + 1, K]."""
        columns = (weights / self.scale).T
        if self.factors is not None:
            columns = (columns[:, None] @ self.factors[0])[:, 0]
        return columns.ravel()

    def slope(self, gradient: Floats) -> Floats:
        """The gradient at a point, from that of the weights [D + 1, K]."""
        columns = (gradient * self.scale).T
        if self.factors is not None:
            columns = (self.factors[1] @ columns[:, :, None])[:, :, 0]
        return columns.ravel()


def _coordinates(z: Array, inner: Floats, penalties: Floats) -> _Coordinates:
    """Those for the weights `inner` [D + 1, K].

    On principal axes the curvature is diagonal while all classes are equally likely. Later it is
    not: of few features, the matrix of each class takes less time than the steps that it saves.
    """
    from scipy.linalg.blas import sgemm, ssyrk

    width, patches = z.shape
    classes = inner.shape[1] if width <= NARROW and inner.any() else 0
    summed = np.zeros((width, inner.shape[1]), dtype=np.float32)
    matrices = np.zeros((classes, width, width), dtype=np.float32)
    shares = softmax(inner.T.astype(np.float32) @ z, axis=0)
    shares *= 1 - shares
    for part in pieces(patches):
        of_part, rows = np.ascontiguousarray(shares[:, part]), z[:, part]
        sgemm(1, of_part.T, np.square(rows).T, beta=1, c=summed.T, trans_a=1, overwrite_c=1)
        for matrix, weight in zip(matrices, of_part, strict=False):
            weighted = rows * np.sqrt(weight)
            ssyrk(1, weighted.T, beta=1, c=matrix.T, trans=1, lower=1, overwrite_c=1)
    curvature = np.asarray(summed / patches + 1e-12, dtype=np.float64)  # away from 0
    scale = 1 / np.sqrt(curvature + penalties)
    if not classes:
        return _Coordinates(scale, None)
    sides = scale.T[:, :, None] * scale.T[:, None] / patches
    alike = np.triu(matrices).swapaxes(1, 2) * sides
    alike[:, range(width), range(width)] = 1 + ROUNDING
    lower = np.linalg.cholesky(alike)  # which reads the lower half
    return _Coordinates(scale, (lower, np.linalg.inv(lower)))


def _objective(
    flat: Floats, z: Array, target: Ints, coordinates: _Coordinates, penalties: Floats
) -> tuple[float, Floats]:
    """Mean log-loss plus penalty of a point, and its gradient.

    `z` is [D + 1, n] and `target`, the number of each patch's class, [n].
    """
    inner, n = coordinates.weights(flat), z.shape[1]
    true = target, np.arange(n)
    shares = inner.T.astype(z.dtype) @ z
    shares -= shares.max(axis=0)
    right = shares[true].sum(dtype=np.float64)
    np.exp(shares, out=shares)
    total = shares.sum(axis=0)
    loss = float(np.log(total).sum(dtype=np.float64) - right) / n
    shares /= total
    shares[true] -= 1
    gradient = (z @ shares.T) / n + penalties * inner
    penalty = 0.5 * float((penalties * np.square(inner)).sum())
    return loss + penalty, coordinates.slope(gradient)
