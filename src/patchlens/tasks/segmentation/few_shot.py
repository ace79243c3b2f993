"""The data of few-shot tasks: a few labelled support images, and query images to score."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from patchlens.arrays import Array, Ints, Labels
from patchlens.datasets.layout import IGNORE
from patchlens.errors import FitError
from patchlens.features.cell import IMAGES
from patchlens.features.variants import FitData, Transform
from patchlens.tasks.bank import COPIES, Turned


@dataclass(frozen=True)
class Mapped:
    """The features [n, D] of some patches of images, read from their file when they are asked for.

    Attributes:
        images: rows of the images -> their patch features [n, h, w, D].
        places: image · h · w + patch of each, ascending [n].
        each: patches of an image.
    """

    images: Callable[[range], Array]
    places: Ints
    each: int

    def __len__(self) -> int:
        return len(self.places)

    def __getitem__(self, part: slice | Ints) -> Array:
        """Some of them, by a slice or by their numbers in ascending order."""
        image, patch = np.divmod(self.places[part], self.each)
        width = self.images(range(1)).shape[-1]
        found = np.empty((len(image), width), dtype=np.float32)
        for one in np.unique(image):
            here = slice(*np.searchsorted(image, [one, one + 1]))
            found[here] = self.images(range(one, one + 1)).reshape(self.each, width)[patch[here]]
        return found


@dataclass(frozen=True)
class Labelled:
    """Labelled patches.

    Attributes:
        x: features [n, D]: an array, or `Mapped` or `Turned` where they stay in their file.
        y: class ids [n].
        groups: the support image of each [n].
    """

    x: Any
    y: Ints
    groups: Ints

    @property
    def width(self) -> int:
        """D."""
        return int(self.x[:1].shape[1])

    def in_memory(self, what: str) -> "Labelled":
        """The same, if its features are in memory.

        Raises:
            FitError: they are too large, and `what` needs them there.
        """
        if isinstance(self.x, np.ndarray):
            return self
        raise FitError(
            f"limits.memory_gb: too little for {what}, which holds {len(self.y)} patches of "
            f"{self.width} dimensions in memory; raise it, or leave {what} out"
        )

    def turned(self, transform: Transform) -> "Labelled":
        """The same patches after a transform."""
        in_file = not isinstance(self.x, np.ndarray)
        x = Turned(self.x, transform) if in_file else transform(self.x)
        return Labelled(x, self.y, self.groups)


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

    def sample(self, count: int, layer: int, seed: int) -> Array:
        """The features [n, D] of at most `count` patches, a seeded draw."""
        each = self.labels[0].size
        total = len(self.labels) * each
        drawn = np.random.default_rng(seed).choice(total, min(count, total), replace=False)
        return Mapped(lambda rows: self.features(rows, layer), np.sort(drawn), each)[:]

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
        part: (number of shots, layer, rows of the images) -> features of these images alone.
        memory: bytes that the features of all images may take; beyond them, those in a file stay
            there. None is without a limit.
    """

    seed: int
    features: Callable[[int, int], Array]
    labels: Callable[[int], Labels]
    fit_data: FitData
    part: Callable[[int, int, range], Array] | None = None
    memory: float | None = None

    def labelled(self, shots: int, layer: int) -> Labelled:
        """The patches that have a label.

        Raises:
            FitError: no patch has a label.
        """
        labels = self.labels(shots)
        keep = (labels != IGNORE).reshape(-1)
        if not keep.any():
            raise FitError(
                f"the support images of seed {self.seed} have no labelled patch; use other seeds "
                "or more support images"
            )
        if self.in_file(shots, layer):
            assert self.part is not None
            x: Any = Mapped(partial(self.part, shots, layer), np.flatnonzero(keep), labels[0].size)
        else:
            features = self.features(shots, layer)
            x = features.reshape(-1, features.shape[-1])[keep]
        return Labelled(
            x,
            labels.reshape(-1)[keep].astype(np.int64),
            np.repeat(np.arange(len(labels)), labels[0].size)[keep],
        )

    def held(self, width: int) -> int | None:
        """The most patches of a bank to be in memory at once; None is without a limit."""
        return None if self.memory is None else int(self.memory / (COPIES * 4 * width))

    def in_file(self, shots: int, layer: int) -> bool:
        """Whether the features are too large for the memory, and stay in their file."""
        if self.memory is None or self.part is None:
            return False
        one = self.part(shots, layer, range(1))
        return COPIES * one.nbytes * len(self.labels(shots)) > self.memory
