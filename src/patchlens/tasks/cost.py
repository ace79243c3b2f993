"""What a task will cost in a cell, from the numbers that it runs with."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from patchlens.names import DatasetName

if TYPE_CHECKING:
    from patchlens.settings.load import Settings

PROBE_STEPS = 200  # L-BFGS iterations of one fit of a linear probe in the search for C
FINAL = 2  # times as many of the fit that is scored, which has a tighter tolerance


@dataclass(frozen=True)
class Planned:
    """A cell before it runs.

    Attributes:
        settings: all of params.yaml.
        dataset: its name.
        patches: of an image.
        width: of a feature, D.
        layers: that are extracted, the headline first.
        query: query images.
        pools: groups or classes from each of which support images are drawn.
        classes: number of classes C.
        pixels: of a mask of the query.
    """

    settings: "Settings"
    dataset: DatasetName
    patches: int
    width: int
    layers: Sequence[int]
    query: int
    pools: int
    classes: int
    pixels: int

    def search(self, *, bank: int, queries: int) -> float:
        """FLOP of an exact search: one product of two vectors per pair of patches."""
        return 2.0 * bank * queries * self.width

    def choosing(self, *, images: int, folds: int) -> float:
        """FLOP of choosing m within a support set: every patch is searched for in other folds."""
        patches = images * self.patches
        return self.search(bank=patches * (folds - 1) // folds, queries=patches)

    def maps(self, *, images: int) -> float:
        """Pixels × classes of the class maps of so many images."""
        return float(images) * self.pixels * self.classes

    def probe(self, *, images: int, choices: int, folds: int) -> float:
        """FLOP of a linear probe on one core: every C on the folds, then one C on all.

        Args:
            images: whose patches it is fitted on.
            choices: values of C.
            folds: of the cross-validation; two run side by side, one BLAS thread each.
        """
        passes = FINAL + (choices * (folds - 1) / 2 if choices > 1 else 0)
        return self.passes(passes, images=images)

    def passes(self, count: float, *, images: int) -> float:
        """FLOP of so many fits of a linear probe, each as long as one of the search for C."""
        step = 4.0 * self.width * self.classes  # scores and gradient: two matrix products
        return images * self.patches * count * PROBE_STEPS * step


@dataclass(frozen=True)
class Cost:
    """What a task costs in a cell.

    Attributes:
        knn: FLOP of neighbour searches.
        probe: FLOP of linear probes on one CPU core, also where a GPU would run them.
        maps: pixels × classes that are upsampled and compared.
        copies: images that are extracted beside those of the dataset, one layer each.
    """

    knn: float = 0.0
    probe: float = 0.0
    maps: float = 0.0
    copies: int = 0

    def __add__(self, other: "Cost") -> "Cost":
        return Cost(
            self.knn + other.knn,
            self.probe + other.probe,
            self.maps + other.maps,
            self.copies + other.copies,
        )
