"""Settings of feature extraction and of the feature variants."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from patchlens.settings.base import Positive, Strict

Share = Annotated[float, Field(gt=0, lt=1)]
Device = Literal["auto", "cpu", "cuda"]
VariantName = Literal[
    "raw",
    "center",
    "l2",
    "zscore",
    "prune",
    "keep_top",
    "prune_random",
    "pca_drop_top",
    "pca_whiten",
]


class Features(Strict):
    """What is extracted. Layers are indices of blocks, negative ones count from the last.

    `layer` is the headline, `layer_sweep` the others that `raw` is also scored at. `norm` applies
    the model's final norm to the tokens of every layer.
    """

    layer: int
    layer_sweep: list[int]
    norm: bool
    dtype: Literal["float16", "float32"]
    batch_size: Positive


class Prune(Strict):
    """How variants are fitted.

    `m` is the share of the width that is pruned (or kept on top). `select: fixed` takes it as it
    is; `select: auto` chooses it for each support seed among 0 and `choices`, by folds grouped by
    image within the support set (this uses the support's labels). The sweep stage scores all
    `choices`.
    `fit_on: support` ranks dimensions on each seed's unlabelled support patches;
    `fit_on: dataset` on all extracted images, as the authors' scripts do (this sees the query).
    `random_draws` of prune_random are the least number over all support seeds: with five seeds,
    three mean one draw each, five in all; T2 to T4 have no seeds and take three.
    """

    m: Annotated[float, Field(ge=0, lt=1)]
    select: Literal["fixed", "auto"]
    choices: Annotated[list[Share], Field(min_length=1)]
    fit_on: Literal["support", "dataset"]
    random_draws: Positive
    pca_drop: Positive

    @model_validator(mode="after")
    def _ascending(self) -> "Prune":
        if self.choices != sorted(set(self.choices)):
            raise ValueError("'choices' must be ascending without repeats")
        return self
