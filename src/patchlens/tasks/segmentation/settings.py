"""Settings of T1, few-shot semantic segmentation."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import model_validator

from patchlens.names import DatasetName
from patchlens.settings.base import Section, Several, Some, Within
from patchlens.settings.classifiers import Knn, Linear
from patchlens.settings.features import VariantName

if TYPE_CHECKING:
    from patchlens.settings.load import Settings

Neighbours = Annotated[int, Within(1, 100_000)]
Shots = Annotated[int, Within(1, 100_000)]


class Segmentation(Section):
    """T1. `k` and `shots` are the headline; the sweeps are written to CSV files.

    `shots: 8` means 8 support images in total, per group or per class, according to `support.per`
    of the dataset.
    """

    needs: ClassVar[str] = "class masks"
    variants: Some[VariantName]
    heads: Some[Literal["knn", "linear"]]
    k: Neighbours
    k_sweep: Several[Neighbours]
    shots: Shots
    shots_sweep: Several[Shots]
    label: Literal["majority", "nearest"]
    knn: Knn
    linear: Linear

    def scores(self, head: str) -> bool:
        """Whether a head is listed; the floor needs no place in the list."""
        return head in (*self.heads, "majority")

    def too_many_neighbours(self, patches: int) -> str | None:
        """Why a memory bank with `patches` per shot has too few for a k; None if it has enough."""
        if "knn" not in self.heads:
            return None
        asked = {"k": self.k} | {f"k_sweep[{i}]": k for i, k in enumerate(self.k_sweep)}
        banks = [(key, k, self.shots) for key, k in asked.items()]
        banks += [("k", self.k, shots) for shots in self.shots_sweep]
        for key, k, shots in banks:
            if k > shots * patches:
                images = "1 support image" if shots == 1 else f"{shots} support images"
                return (
                    f"segmentation.{key}: {k} exceeds the {shots * patches} patches of {images}; "
                    "reduce it"
                )
        return None

    @model_validator(mode="after")
    def _raw_is_the_reference(self) -> "Segmentation":
        if "raw" not in self.variants:
            raise ValueError("'variants' must contain 'raw', the reference of all others")
        return self

    def check(self, settings: "Settings") -> Iterable[str]:
        """A dataset needs a support of two seeds or more, with as many images as the shots ask."""
        needed = max(self.shots, *self.shots_sweep, 0)
        for name in self.datasets:
            if (own := settings.datasets.get(name)) is None:
                continue
            where, support = f"datasets.{name}", own.support
            if support is None:
                yield f"{where}: is in segmentation.datasets, so it needs 'support' and 'query'"
            elif len(support.seeds) < 2 and support.folds is None:
                yield f"{where}.support.seeds: segmentation needs at least two, for ± over seeds"
            elif support.images == "all":  # never with two seeds
                continue
            elif support.images < needed:
                yield (
                    f"{where}.support.images: {support.images} is less than the {needed} that "
                    "segmentation.shots and shots_sweep require"
                )
            elif support.per == "total":
                yield from self._of_a_total(settings, name)

    def _of_a_total(self, settings: "Settings", name: DatasetName) -> Iterable[str]:
        """What depends on the number of patches of a support set, where that is known."""
        if settings.prune.select == "auto" and self.shots == 1:
            yield (
                "prune.select: auto needs at least 2 support images to hold out in turn; increase "
                "segmentation.shots or set prune.select: fixed"
            )
        grid = settings.grid(name)
        if grid is not None and (problem := self.too_many_neighbours(grid[0] * grid[1])):
            yield f"{problem}, or enlarge datasets.{name}.view.patches"


SECTION = Segmentation
