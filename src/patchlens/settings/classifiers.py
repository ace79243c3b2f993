"""Settings of the classifiers of patches: k nearest neighbours and a linear probe."""

from typing import Annotated, Literal

from pydantic import model_validator

from patchlens.settings.base import Distance, Rising, Strict, Within

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
