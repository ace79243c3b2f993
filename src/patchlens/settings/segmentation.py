"""Settings of T1, few-shot semantic segmentation, and of the intervals."""

from typing import Annotated, Literal

from pydantic import model_validator

from patchlens.names import DatasetName
from patchlens.settings.base import Distance, Rising, Seed, Several, Some, Strict, Within
from patchlens.settings.features import VariantName

Neighbours = Annotated[int, Within(1, 100_000)]
Shots = Annotated[int, Within(1, 100_000)]
C = Annotated[float, Within(1e-9, 1e9)]


class Knn(Strict):
    """How neighbours are found and how they vote."""

    distance: Distance
    vote: Literal["majority", "softmax"]
    temperature: Annotated[float, Within(0.001, 1000)]

    @model_validator(mode="after")
    def _softmax_needs_cosine(self) -> "Knn":
        if self.vote == "softmax" and self.distance != "cosine":
            raise ValueError("vote: softmax is defined for distance: cosine only")
        return self


class Linear(Strict):
    """The linear probe: `c` is chosen with `folds` grouped by image.

    A support of one image uses `default_c`.
    """

    c: Rising[C]
    default_c: C
    folds: Annotated[int, Within(2, 100)]
    max_iter: Annotated[int, Within(1, 1_000_000)]


class Segmentation(Strict):
    """T1. `k` and `shots` are the headline; the sweeps are written to CSV files.

    `shots: 8` means 8 support images in total, per group or per class, according to `support.per`
    of the dataset.
    """

    datasets: Several[DatasetName]
    variants: Some[VariantName]
    heads: Some[Literal["knn", "linear"]]
    k: Neighbours
    k_sweep: Several[Neighbours]
    shots: Shots
    shots_sweep: Several[Shots]
    label: Literal["majority", "nearest"]
    knn: Knn
    linear: Linear

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


class Uncertainty(Strict):
    """The bootstrap: `resamples` of query units for intervals, `claim_resamples` for verdicts."""

    resamples: Annotated[int, Within(100, 1_000_000)]
    claim_resamples: Annotated[int, Within(10_000, 1_000_000)]
    seed: Seed
