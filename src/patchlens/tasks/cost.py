"""What a task will cost in a cell, from the numbers that it runs with."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from patchlens.features.cell import IMAGES
from patchlens.features.variants import VARIANTS, FitData, draws, fit, pruned_count
from patchlens.names import DatasetName
from patchlens.settings.classifiers import Knn
from patchlens.settings.features import VariantName
from patchlens.tasks import approximate

if TYPE_CHECKING:
    from patchlens.settings.load import Settings

PROBE_STEPS = 100  # of L-BFGS in one fit of a linear probe: 6 to 425, the more the larger C ...
SPARED = 0.5  # ... and such a part of them where it uses all curvatures of few features
EXPONENTIAL = 24  # dimensions whose products take as long as all else that a step does with a score
SELECTED = 128  # dimensions whose products take as long as finding the nearest among them
READ = 2.0  # pictures that are opened in the time that reading the objects of an image takes
SLOW = 32  # dimensions, below which faiss takes another, slower way
STEP = 4e6  # FLOP that take as long as what a step does beside the patches


def search_work(pairs: float, width: float, sets: int = 1) -> float:
    """FLOP of an exact search: a product for each pair of patches, and the choice of the nearest.

    `sets` is the number of nested sets of dimensions that have nearest ones of their own.
    """
    return 2.0 * pairs * ((width if width >= SLOW else SELECTED) + sets * SELECTED)


def probe_work(patches: float, width: float, classes: int) -> float:
    """FLOP of one fit of a linear probe; a step is two products of patches, width and classes."""
    from patchlens.tasks.logistic import NARROW  # imports scipy

    steps = PROBE_STEPS * (SPARED if width < NARROW else 1)
    return steps * (4.0 * patches * classes * (width + EXPONENTIAL) + STEP)


@dataclass(frozen=True)
class Planned:
    """A cell before it runs.

    Attributes:
        settings: all of params.yaml.
        dataset: its name.
        patches: of an image.
        width: of a feature, D.
        layers: that are extracted, the headline first.
        support: support images, of all seeds together.
        query: query images.
        pools: groups or classes from each of which support images are drawn.
        classes: number of classes C.
        pixels: of a mask of the query.
        grid: patch rows and columns.
        reader: what reads the dataset's files, such as `davis`.
    """

    settings: "Settings"
    dataset: DatasetName
    patches: int
    width: int
    layers: Sequence[int]
    support: int
    query: int
    pools: int
    classes: int
    pixels: int
    grid: tuple[int, int]
    reader: str

    def held(self, images: int) -> float:
        """Bytes of the features of so many images in memory, which are float32."""
        return 4.0 * images * self.patches * self.width

    @property
    def chunk(self) -> float:
        """Bytes of the images that a task has in memory at a time: as read, turned, of length 1."""
        return 3 * self.held(min(IMAGES, self.query))

    def share(self, variant: VariantName) -> float:
        """The share of the dimensions that a variant has."""
        if "m" not in VARIANTS[variant].settings:
            return 1.0
        m = min(pruned_count(self.settings.prune.m, self.width), self.width - 1)  # else refused
        none = np.zeros(self.width)
        data = FitData(none, none, np.arange(self.width), m, lambda: [])
        turn = fit(variant, data, self.settings.prune, seed=0, draw=0)
        return float(turn(np.zeros((1, self.width), np.float32)).shape[1] / self.width)

    @property
    def fits(self) -> int:
        """Fits of all variants where there are no seeds."""
        return sum(draws(name, self.settings.prune) for name in self.settings.variants)

    @property
    def searched(self) -> float:
        """The same, each as its share of the dimensions."""
        prune = self.settings.prune
        return sum(draws(name, prune) * self.share(name) for name in self.settings.variants)

    def transforms(self, images: int) -> float:
        """Feature values of so many images that all variants are applied to."""
        return float(self.fits) * images * self.patches * self.width

    def search(self, *, bank: int, queries: int) -> float:
        """FLOP of an exact search over all dimensions."""
        return search_work(float(bank) * queries, self.width)

    def neighbours(self, knn: Knn, *, bank: int, queries: int) -> float:
        """FLOP of T1's search of a bank; with an index, also to build it and to measure recall."""
        if knn.exact:
            return self.search(bank=bank, queries=queries)
        found = self.search(bank=bank, queries=knn.recall_queries)
        lists = approximate.lists_of(knn, bank)
        if knn.index == "ivf":
            learned = 25 * min(knn.train, 256 * lists, bank)  # rounds of k-means
            met = lists + bank * min(knn.nprobe, lists) // lists
            found += self.search(bank=lists, queries=learned + bank)
        else:  # a graph of faiss meets the links of 40 candidates for each patch that it adds
            hnsw = knn.index == "hnsw"
            met = min(bank, knn.ef_search * knn.links) if hnsw else bank
            found += self.search(bank=min(bank, 40 * knn.links), queries=bank) if hnsw else 0
        return found + self.search(bank=met, queries=queries)

    def stored(self, knn: Knn, *, bank: int) -> float:
        """Bytes of the index of a bank: its codes, its row numbers or the links of its graph."""
        if knn.exact:
            return 0.0
        code = {"fp32": 4, "fp16": 2, "sq8": 1}[knn.storage] * self.width
        return float(bank * (code + {"exact": 0, "ivf": 8, "hnsw": 8 * knn.links + 16}[knn.index]))

    def choosing(self, *, images: int, folds: int, most: int) -> float:
        """FLOP of choosing m within a support set: every patch is searched for in other folds.

        `most` is the largest number of patches that take part.
        """
        patches = min(images * self.patches, most)
        return self.search(bank=patches * (folds - 1) // folds, queries=patches)

    def maps(self, *, images: int) -> float:
        """Pixels × classes of the class maps of so many images."""
        return float(images) * self.pixels * self.classes

    def probe(self, *, images: int, choices: int, folds: int, share: float = 1) -> float:
        """FLOP of a linear probe: every C on the folds, then one C on all.

        Args:
            images: whose patches it is fitted on.
            choices: values of C.
            folds: of the cross-validation.
            share: of the dimensions that the features have.
        """
        return self.passes(1 + choices * (folds - 1) * (choices > 1), images=images, share=share)

    def passes(self, count: float, *, images: int, share: float = 1) -> float:
        """FLOP of so many fits of a linear probe on so many images."""
        return count * probe_work(images * self.patches, share * self.width, self.classes)


@dataclass(frozen=True)
class Cost:
    """What a task costs in a cell.

    Attributes:
        knn: FLOP of neighbour searches.
        probe: FLOP of linear probes.
        maps: pixels × classes that are upsampled and compared.
        transform: feature values that fitted variants are applied to, and pooled.
        links: frames whose objects are linked, over all fits and thresholds; as long take the list
            of a query of T3, and a tenth of the scores of a frame of T4.
        read: labels of images that are read and spread over patches, as pictures that are opened.
        copies: images that are extracted beside those of the dataset, one layer each.
        memory: bytes of the arrays at their most; that of several tasks is the largest.
        stored: bytes of the indexes that are stored.
    """

    knn: float = 0.0
    probe: float = 0.0
    maps: float = 0.0
    transform: float = 0.0
    links: float = 0.0
    read: float = 0.0
    copies: int = 0
    memory: float = 0.0
    stored: float = 0.0

    def __add__(self, other: "Cost") -> "Cost":
        return Cost(
            self.knn + other.knn,
            self.probe + other.probe,
            self.maps + other.maps,
            self.transform + other.transform,
            self.links + other.links,
            self.read + other.read,
            self.copies + other.copies,
            max(self.memory, other.memory),
            self.stored + other.stored,
        )
