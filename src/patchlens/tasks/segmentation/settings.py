"""Settings of T1, few-shot semantic segmentation."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import Field, model_validator

from patchlens.settings.base import Positive, Section
from patchlens.settings.classifiers import Knn, Linear
from patchlens.settings.features import VariantName

if TYPE_CHECKING:
    from patchlens.settings.load import Settings

NonEmpty = Field(min_length=1)


class Segmentation(Section):
    """T1. `k` and `shots` are the headline; the sweeps are written to CSV files.

    `shots: 8` means 8 support images in total, per group or per class, according to `support.per`
    of the dataset.
    """

    needs: ClassVar[str] = "class masks"
    variants: Annotated[list[VariantName], NonEmpty]
    heads: Annotated[list[Literal["knn", "linear"]], NonEmpty]
    k: Positive
    k_sweep: list[Positive]
    shots: Positive
    shots_sweep: list[Positive]
    label: Literal["majority", "nearest"]
    knn: Knn
    linear: Linear

    @model_validator(mode="after")
    def _raw_is_the_reference(self) -> "Segmentation":
        if "raw" not in self.variants:
            raise ValueError("'variants' must contain 'raw', the reference of all others")
        if len(set(self.variants)) != len(self.variants) or len(set(self.heads)) != len(self.heads):
            raise ValueError("'variants' and 'heads' must not contain repeats")
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
            elif len(support.seeds) < 2:
                yield f"{where}.support.seeds: segmentation needs at least two, for ± over seeds"
            elif support.images != "all" and support.images < needed:  # "all": never with two seeds
                yield (
                    f"{where}.support.images: {support.images} is less than the {needed} that "
                    "segmentation.shots and shots_sweep require"
                )


SECTION = Segmentation
