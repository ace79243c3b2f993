"""Settings of the classifiers of patches: k nearest neighbours and a linear probe."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from patchlens.settings.base import Distance, Positive, Strict


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

    c: Annotated[list[Annotated[float, Field(gt=0)]], Field(min_length=1)]
    default_c: Annotated[float, Field(gt=0)]
    folds: Annotated[int, Field(ge=2)]
    max_iter: Positive

    @model_validator(mode="after")
    def _ascending(self) -> "Linear":
        if self.c != sorted(set(self.c)):
            raise ValueError("'c' must be ascending without repeats")
        return self
