"""Settings of T1, few-shot semantic segmentation, and of the intervals."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from patchlens.names import DatasetName
from patchlens.settings.base import Distance, Positive, Strict
from patchlens.settings.features import VariantName

NonEmpty = Field(min_length=1)


class Knn(Strict):
    """How neighbours are found and how they vote."""

    distance: Distance
    vote: Literal["majority", "softmax"]
    temperature: Annotated[float, Field(gt=0)]

    @model_validator(mode="after")
    def _softmax_needs_cosine(self) -> "Knn":
        if self.vote == "softmax" and self.distance != "cosine":
            raise ValueError("vote: softmax is defined for distance: cosine only")
        return self


class Linear(Strict):
    """The linear probe: `c` is chosen with `folds` grouped by image.

    A support of one image uses `default_c`.
    """

    c: Annotated[list[Annotated[float, Field(gt=0)]], NonEmpty]
    default_c: Annotated[float, Field(gt=0)]
    folds: Annotated[int, Field(ge=2)]
    max_iter: Positive

    @model_validator(mode="after")
    def _ascending(self) -> "Linear":
        if self.c != sorted(set(self.c)):
            raise ValueError("'c' must be ascending without repeats")
        return self


class Segmentation(Strict):
    """T1. `k` and `shots` are the headline; the sweeps are written to CSV files.

    `shots: 8` means 8 support images in total, per group or per class, according to `support.per`
    of the dataset.
    """

    datasets: list[DatasetName]
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


class Uncertainty(Strict):
    """The bootstrap: `resamples` of query units for intervals, `claim_resamples` for verdicts."""

    resamples: Annotated[int, Field(ge=100)]
    claim_resamples: Annotated[int, Field(ge=10_000)]
    seed: Annotated[int, Field(ge=0)]
