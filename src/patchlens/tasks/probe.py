"""The linear probe: logistic regression on patches, C chosen by folds grouped by image."""

import os
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from typing import NamedTuple, TypeVar

import numpy as np
import psutil
from scipy.special import softmax
from threadpoolctl import threadpool_limits

from patchlens.arrays import Array, Bools, Ints
from patchlens.features.device import Where
from patchlens.features.variants import Transform
from patchlens.processes import cores
from patchlens.settings.classifiers import Linear
from patchlens.tasks.logistic import Weights, as_they_are, path

T = TypeVar("T")
ALIKE = 0.8  # a sample this much smaller than another is fitted in its batch on a device


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
    def images(self) -> int:
        """How many images the patches come from."""
        return len(np.unique(self.groups))

    @property
    def alone(self) -> bool:
        """Whether there is nothing to choose, or nothing to choose it by."""
        return len(self.c) == 1 or self.images == 1

    def only(self, settings: Linear) -> float:
        """The C of a sample with nothing to choose."""
        return self.c[0] if len(self.c) == 1 else settings.default_c

    def kept(self, folds: int) -> Bools:
        """The patches that each fold fits on [folds, n]; none in folds beyond its images."""
        kept = np.zeros((folds, len(self.y)), dtype=bool)
        for row, (train, _) in enumerate(grouped_folds(self.groups, min(folds, self.images))):
            kept[row, train] = True
        return kept


def fit_probe(
    x: Array,
    y: Ints,
    groups: Ints,
    classes: int,
    settings: Linear,
    transform: Transform = as_they_are,
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
    sample = Sample(x, y, groups, settings.c)
    if torch or device != "cpu":
        return fit_probes([sample._replace(x=transform(x))], classes, settings, device)[0]
    # One BLAS thread a fit: folds run side by side, and the result has the same bits either way.
    with threadpool_limits(limits=1, user_api="blas"):
        if sample.alone:
            c, at_edge = sample.only(settings), False
        else:
            x, transform = transform(x), as_they_are
            c = _choose_c(x, y, groups, min(settings.folds, sample.images), settings)
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

    chosen = [one.only(settings) for one in samples]
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
