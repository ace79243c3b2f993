"""The data of few-shot tasks: a few labelled support images, and query images to score."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from patchlens.arrays import Array, Ints, Labels
from patchlens.datasets.layout import IGNORE
from patchlens.errors import FitError
from patchlens.features.cell import IMAGES
from patchlens.features.variants import FitData


@dataclass(frozen=True)
class Labelled:
    """Labelled patches: features [n, D], class ids [n], and the support image of each [n]."""

    x: Array
    y: Ints
    groups: Ints


@dataclass(frozen=True)
class Query:
    """The images that are scored.

    Attributes:
        features: (rows of the query set, layer) -> patch features [n, h, w, D].
        labels: patch labels [N, h, w], `IGNORE` where a patch does not count.
        mask: row of the query set -> class ids [H, W] at the original resolution.
        classes: number of classes C.
    """

    features: Callable[[range, int], Array]
    labels: Labels
    mask: Callable[[int], Labels]
    classes: int

    def chunks(self) -> Iterator[range]:
        """The rows, some at a time."""
        total = len(self.labels)
        for start in range(0, total, IMAGES):
            yield range(start, min(start + IMAGES, total))


@dataclass(frozen=True)
class Support:
    """The labelled images of one seed.

    Attributes:
        seed: the support seed.
        features: (number of shots, layer) -> patch features [n, h, w, D].
        labels: number of shots -> patch labels [n, h, w].
        fit_data: what the variants of the headline layer are fitted on.
    """

    seed: int
    features: Callable[[int, int], Array]
    labels: Callable[[int], Labels]
    fit_data: FitData

    def labelled(self, shots: int, layer: int) -> Labelled:
        """The patches that have a label.

        Raises:
            FitError: no patch has a label.
        """
        features, labels = self.features(shots, layer), self.labels(shots)
        keep = (labels != IGNORE).reshape(-1)
        if not keep.any():
            raise FitError(
                f"the support images of seed {self.seed} have no labelled patch; use other seeds "
                "or more support images"
            )
        return Labelled(
            features.reshape(-1, features.shape[-1])[keep],
            labels.reshape(-1)[keep].astype(np.int64),
            np.repeat(np.arange(len(labels)), labels[0].size)[keep],
        )
