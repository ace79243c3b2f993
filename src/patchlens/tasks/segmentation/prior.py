"""The prediction if features carry no information: the class shares of the support."""

from collections.abc import Callable

import numpy as np

from patchlens.arrays import Array, Ints
from patchlens.settings.classifiers import Knn


def knn_says_nothing(width: int, settings: Knn) -> bool:
    """Whether features cannot rank neighbours: no dimension, or the cosine of one, a sign."""
    return width == 0 or (width == 1 and settings.distance == "cosine")


def linear_says_nothing(width: int, y: Ints) -> bool:
    """Whether there is nothing to fit: no dimension, or labels of one class."""
    return width == 0 or len(np.unique(y)) == 1


def prior(y: Ints, classes: int, *, one_hot: bool) -> Callable[[int], tuple[Array, Ints]]:
    """The same answer for every patch, from the labels `y` [n] of the support.

    Returns:
        A function from a number of patches n to class scores [n, C] and winners [n]. The scores are
        the class shares, or with `one_hot` the commonest class alone.
    """
    counts = np.bincount(y, minlength=classes).astype(np.float32)
    winner = int(counts.argmax())
    shares = np.eye(classes, dtype=np.float32)[winner] if one_hot else counts / counts.sum()
    return lambda n: (np.tile(shares, (n, 1)), np.full(n, winner))
