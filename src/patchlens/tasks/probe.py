"""The linear probe: multinomial logistic regression with L2, C chosen by folds grouped by image.

The objective is scikit-learn's: Σ log-loss / n + ‖W‖² / (2·C·n), intercepts unpenalised, raw
features (nothing is standardised behind the user's back). Patch features are so ill-conditioned
that L-BFGS on them takes hundreds of iterations, so the same objective is minimised in other
coordinates: features are centred (the free intercepts take the mean up) and rotated to their
principal axes, and every weight is scaled by the root of its curvature (Jacobi); of few features,
those of a class by all of its curvatures. The optimum is the same, an order of magnitude sooner; a
test holds it against scikit-learn.
"""

import os
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice, pairwise
from typing import NamedTuple, TypeVar

import numpy as np
import psutil
from scipy.special import softmax
from threadpoolctl import threadpool_limits

from patchlens.arrays import Array, Bools, Floats, Ints
from patchlens.errors import FitError
from patchlens.features.device import Where
from patchlens.features.variants import Transform
from patchlens.processes import cores
from patchlens.settings.classifiers import Linear

T = TypeVar("T")
TOLERANCE = 1e-4  # largest gradient entry, in coordinates where every weight has unit curvature
MEMORY = 20  # gradient pairs that L-BFGS keeps
ALIKE = 0.8  # a sample this much smaller than another is fitted in its batch on a device
PIECE = 1920  # rows that are copied at once
NARROW = 129  # features and intercept, of which all curvatures of a class are used
ROUNDING = 1e-5  # of these, in float32


def _as_they_are(x: Array) -> Array:
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


@dataclass(frozen=True)
class Probe:
    """A fitted probe.

    Attributes:
        model: the weights for features as they are.
        classes: number of classes C, those that the support never showed included.
        c: the inverse regularisation that the folds chose (or the default).
        at_edge: whether `c` is the first or the last of several that were tried.
    """

    model: Weights
    classes: int
    c: float
    at_edge: bool

    def scores(self, x: Array) -> Array:
        """Class probabilities [n, C]; a class that the support never showed has 0."""
        out = np.zeros((len(x), self.classes), dtype=np.float32)
        out[:, self.model.labels] = softmax(self.model.logits(x), axis=1)
        return out


class Sample(NamedTuple):
    """What a probe is fitted on.

    Attributes:
        x: features [n, D].
        y: class ids [n], at least two different ones.
        groups: the support image of each patch [n]; folds never split an image.
        c: the values of C to choose from.
    """

    x: Array
    y: Ints
    groups: Ints
    c: Sequence[float]

    @property
    def alone(self) -> bool:
        """Whether there is nothing to choose, or nothing to choose it by."""
        return len(self.c) == 1 or len(np.unique(self.groups)) == 1

    def kept(self, folds: int) -> Bools:
        """The patches that each fold fits on [folds, n]; none in folds beyond its images."""
        kept = np.zeros((folds, len(self.y)), dtype=bool)
        images = len(np.unique(self.groups))
        for row, (train, _) in enumerate(grouped_folds(self.groups, min(folds, images))):
            kept[row, train] = True
        return kept


def fit_probe(
    x: Array,
    y: Ints,
    groups: Ints,
    classes: int,
    settings: Linear,
    transform: Transform = _as_they_are,
    device: Where = "cpu",
    torch: bool = False,
) -> Probe:
    """Fit the probe on labelled patches.

    One fit on all patches needs little more memory than its features.

    Args:
        x: features [n, D].
        y: class ids [n], at least two different ones.
        groups: the support image of each patch [n]; folds never split an image.
        classes: number of classes C.
        settings: values of C, number of folds, iterations.
        transform: of the features, some rows at a time.
        device: where to fit.
        torch: fit in torch on a CPU too, as on a GPU.

    Raises:
        FitError: L-BFGS did not converge within `max_iter` iterations.
    """
    if torch or device != "cpu":
        sample = Sample(transform(x), y, groups, settings.c)
        return fit_probes([sample], classes, settings, device)[0]
    images = len(np.unique(groups))
    # One BLAS thread a fit: folds run side by side, and the result has the same bits either way.
    with threadpool_limits(limits=1, user_api="blas"):
        if images == 1 or len(settings.c) == 1:
            c, at_edge = (settings.c[0] if len(settings.c) == 1 else settings.default_c), False
        else:
            x, transform = transform(x), _as_they_are
            c = _choose_c(x, y, groups, min(settings.folds, images), settings)
            at_edge = c in (settings.c[0], settings.c[-1])
        (model,) = path(x, y, [c], settings.max_iter, transform)
    return Probe(model, classes, c, at_edge)


def fit_probes(
    samples: Sequence[Sample], classes: int, settings: Linear, device: Where
) -> list[Probe]:
    """The same in torch, with samples of about one size in one batch.

    Args:
        samples: all of them fit into the memory of the device together (`in_batches`).
        classes: number of classes C.
        settings: number of folds, iterations, and the C of a sample of one image.
        device: where to fit; a CPU gives what a GPU does.

    Raises:
        FitError: L-BFGS did not converge within `max_iter` iterations.
    """
    found: dict[int, Probe] = {}
    for batch in _alike(samples):
        fitted = _fit_batch([samples[i] for i in batch], classes, settings, device)
        found |= dict(zip(batch, fitted, strict=True))
    return [found[i] for i in range(len(samples))]


def _alike(samples: Sequence[Sample]) -> list[list[int]]:
    """Numbers of samples; in each list, those with as much to choose and of about one size."""
    batches: list[list[int]] = []
    for i in sorted(range(len(samples)), key=lambda i: samples[i].x.size, reverse=True):
        for batch in batches:
            first, one = samples[batch[0]], samples[i]
            shapes = zip(one.x.shape, first.x.shape, strict=True)
            close = all(ALIKE <= own / other <= 1 / ALIKE for own, other in shapes)
            if close and one.alone == first.alone and (one.alone or one.c == first.c):
                batch.append(i)
                break
        else:
            batches.append([i])
    return batches


def _fit_batch(
    samples: Sequence[Sample], classes: int, settings: Linear, device: Where
) -> Iterator[Probe]:
    from patchlens.tasks.probe_on_device import Fits  # imports torch

    chosen = [one.c[0] if len(one.c) == 1 else settings.default_c for one in samples]
    data, values = [(one.x, one.y) for one in samples], samples[0].c
    edges: tuple[float, ...] = ()
    if not samples[0].alone:
        folds, hits = Fits(data, [one.kept(settings.folds) for one in samples], device), []
        for value in values:
            folds.fit([value] * len(samples), settings.max_iter)
            hits.append(folds.hits())
        chosen = [values[i] for i in np.argmax(hits, axis=0)]
        edges = values[0], values[-1]
        del folds  # before the next is made
    whole = Fits(data, [np.ones((1, len(one.y)), dtype=bool) for one in samples], device)
    whole.fit(chosen, settings.max_iter)
    for c, labels, (weights, intercepts) in zip(chosen, whole.labels, whole.weights(), strict=True):
        yield Probe(Weights(weights, intercepts, labels), classes, c, c in edges)


def path(
    x: Array,
    y: Ints,
    values: list[float],
    max_iter: int,
    transform: Transform = _as_they_are,
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


def _choose_c(x: Array, y: Ints, groups: Ints, folds: int, settings: Linear) -> float:
    """The C with the most correct held-out patches; equal ones go to the smaller C."""
    splits = list(grouped_folds(groups, folds))
    with ThreadPoolExecutor(min(folds, side_by_side(4 * x.nbytes))) as pool:
        hits = pool.map(lambda s: _held_out_hits(x, y, s[0], s[1], settings), splits)
        return settings.c[int(np.sum(list(hits), axis=0).argmax())]


def side_by_side(each: int) -> int:
    """How many fits of so many bytes cores and memory allow at once; results do not depend on it.

    The cores are those of OMP_NUM_THREADS, which `patchlens repro` gives its processes, or all.
    """
    given = os.environ.get("OMP_NUM_THREADS", "")
    threads = int(given) if given.isdigit() else cores()
    return max(1, min(threads, _free("cpu") // max(1, each)))


def in_batches(waiting: Iterable[T], x: Array, fits: int, device: Where) -> Iterator[list[T]]:
    """What waits for fits on a device, as much at a time as memory holds.

    Args:
        waiting: one for each sample.
        x: the features of the largest sample [n, D].
        fits: of a sample at a time, times the classes: the numbers that each patch gets.
        device: where they are fitted.
    """
    each = 4 * x.nbytes + 5 * 4 * len(x) * fits  # as given, centred, turned, squared; and scores
    rest = iter(waiting)
    while some := list(islice(rest, max(1, _free(device) // each))):
        yield some


def _free(device: Where) -> int:
    """Free bytes of memory; on a GPU, where arrays lie twice for a while, the lesser of both."""
    free: int = psutil.virtual_memory().available
    if device == "cuda":
        import torch

        free = min(free, torch.cuda.mem_get_info()[0])
    return free


def grouped_folds(groups: Ints, folds: int) -> Iterator[tuple[Ints, Ints]]:
    """The samples to fit on and those held out, of each of at most as many folds as groups.

    As scikit-learn's GroupKFold, which takes 2 s to import: groups go, the largest first, to the
    fold that is the smallest so far.
    """
    _, group, counts = np.unique(groups, return_inverse=True, return_counts=True)
    held, sizes = np.empty(len(counts), dtype=np.int64), np.zeros(folds)
    for largest in np.argsort(counts, kind="stable")[::-1]:
        held[largest] = sizes.argmin()
        sizes[held[largest]] += counts[largest]
    fold = held[group]
    for i in range(folds):
        yield np.flatnonzero(fold != i), np.flatnonzero(fold == i)


def _held_out_hits(x: Array, y: Ints, train: Ints, test: Ints, settings: Linear) -> list[int]:
    """Correct held-out patches of one fold for each C."""
    if len(np.unique(y[train])) == 1:
        return [int((y[test] == y[train[0]]).sum())] * len(settings.c)
    models = path(x[train], y[train], settings.c, settings.max_iter)
    return [int((m.labels[m.logits(x[test]).argmax(axis=1)] == y[test]).sum()) for m in models]
