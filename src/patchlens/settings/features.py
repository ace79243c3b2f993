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
    """The features to extract. Layers are block indices; negative ones count from the last block.

    `layer` is the headline layer; `raw` is also scored at those in `layer_sweep`. `norm` applies
    the model's final norm to the tokens of every layer.
    """

    layer: int
    layer_sweep: list[int]
    norm: bool
    dtype: Literal["float16", "float32"]
    batch_size: Positive


class Prune(Strict):
    """How variants are fitted.

    `m` is the share of dimensions to prune (or to keep, for `keep_top`). `select: fixed` uses `m`;
    `select: auto` chooses it for each support seed among 0 and `choices`, by folds grouped by image
    within the support set (this uses the labels of the support). The sweep stage scores all
    `choices`.
    `fit_on: support` ranks dimensions on the unlabelled support patches of each seed;
    `fit_on: dataset` on all extracted images, as in the authors' scripts (this uses query images).
    `random_draws` is the minimum number of draws of prune_random over all support seeds: 3 with
    five seeds means one draw per seed, five in total; T2 to T4 have no seeds and use three draws.
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
