"""Confusion matrices and the scores computed from them."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from patchlens.arrays import Floats
from patchlens.datasets.layout import IGNORE
from patchlens.tasks.resample import divide

Counts = NDArray[np.int32]


@dataclass(frozen=True)
class ImageCounts:
    """Confusion counts of each image, those above 0 only: of 150 × 150 pairs few ever occur.

    Attributes:
        image: number of the image of each count [M], ascending.
        true, predicted: its classes [M].
        count: how many patches or pixels [M].
        images: number of images N.
        classes: number of classes C.
    """

    image: NDArray[np.int32]
    true: NDArray[np.int16]
    predicted: NDArray[np.int16]
    count: NDArray[np.int32]
    images: int
    classes: int

    @classmethod
    def of(cls, matrices: Iterable[Counts], classes: int) -> "ImageCounts":
        """From one matrix [C, C] per image, which is not kept."""
        parts = []
        for matrix in matrices:
            true, predicted = np.nonzero(matrix)
            parts.append(
                cls(
                    np.zeros(len(true), dtype=np.int32),
                    true.astype(np.int16),
                    predicted.astype(np.int16),
                    matrix[true, predicted].astype(np.int32),
                    1,
                    classes,
                )
            )
        return cls.joined(parts)

    @classmethod
    def joined(cls, parts: Sequence["ImageCounts"]) -> "ImageCounts":
        """Those of the images of all parts, in order."""
        starts = np.cumsum([0, *(part.images for part in parts)], dtype=np.int32)
        return cls(
            np.concatenate([p.image + s for p, s in zip(parts, starts[:-1], strict=True)]),
            np.concatenate([p.true for p in parts]),
            np.concatenate([p.predicted for p in parts]),
            np.concatenate([p.count for p in parts]),
            int(starts[-1]),
            parts[0].classes,
        )

    def placed(self, rows: NDArray[np.integer]) -> "ImageCounts":
        """The same counts with image i as image `rows[i]`; `rows` [N] is a permutation."""
        image = rows[self.image].astype(np.int32)
        order = np.argsort(image, kind="stable")
        return ImageCounts(
            image[order],
            self.true[order],
            self.predicted[order],
            self.count[order],
            self.images,
            self.classes,
        )

    def dense(self) -> NDArray[np.int64]:
        """All counts [N, C, C]; large where there are many classes."""
        out = np.zeros((self.images, self.classes, self.classes), dtype=np.int64)
        np.add.at(out, (self.image, self.true, self.predicted), self.count)
        return out

    def total(self) -> NDArray[np.int64]:
        """The counts of all images together [C, C]."""
        out = np.zeros((self.classes, self.classes), dtype=np.int64)
        np.add.at(out, (self.true, self.predicted), self.count)
        return out


def confusion(truth: NDArray[np.uint8], predicted: NDArray[np.integer], classes: int) -> Counts:
    """Counts [C, C], rows = true class, columns = predicted class; ignored pixels are left out."""
    pairs = truth.ravel().astype(np.int64)
    pairs *= classes
    pairs += predicted.ravel()
    # Ignored ones are counted in a row of their own: to pick the others first takes longer.
    counts = np.bincount(pairs, minlength=(IGNORE + 1) * classes).reshape(-1, classes)
    return counts[:classes].astype(np.int32)


def iou(counts: NDArray[np.integer]) -> Floats:
    """Intersection over union [..., C] of confusion matrices [..., C, C]; NaN if the union is 0."""
    hits, true, predicted = margins(counts)
    return divide(hits, true + predicted - hits)


def f1(counts: NDArray[np.integer]) -> Floats:
    """F1 = 2·TP / (2·TP + FP + FN) [..., C]; NaN for a class neither present nor predicted."""
    hits, true, predicted = margins(counts)
    return divide(2 * hits, true + predicted)


def accuracy(counts: NDArray[np.integer]) -> Floats:
    """Share of hits [...]."""
    hits, true, _ = margins(counts)
    return divide(hits.sum(axis=-1), true.sum(axis=-1))


def mean_iou(counts: NDArray[np.integer], present: NDArray[np.bool_]) -> Floats:
    """Mean of the IoU over the classes that are present in the query's ground truth [...].

    A class of these whose union is empty (in a bootstrap resample) leaves the mean.
    """
    return np.asarray(np.nanmean(iou(counts)[..., present], axis=-1))


def margins(counts: NDArray[np.integer]) -> tuple[Floats, Floats, Floats]:
    """Hits, true and predicted counts of each class [..., C]."""
    counts = counts.astype(np.float64)
    hits = np.diagonal(counts, axis1=-2, axis2=-1)
    return hits, counts.sum(axis=-1), counts.sum(axis=-2)
