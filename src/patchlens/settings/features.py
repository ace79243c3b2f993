"""Settings of feature extraction and of the feature variants."""

from typing import Annotated, Literal

from patchlens.settings.base import Layer, Rising, Several, Strict, Within

Share = Annotated[float, Within(0.0001, 0.9999)]
Device = Literal["auto", "cpu", "cuda", "mps"]
Precision = Literal["fp32", "tf32", "bf16", "fp16"]
VariantName = str  # a key of `features.variants.VARIANTS`; `load` checks it


class Features(Strict):
    """The features to extract. Layers are block indices; negative ones count from the last block.

    `layer` is the headline layer; `raw` is also scored at those in `layer_sweep`. `norm` applies
    the model's final norm to the tokens of every layer. `precision` is that of the matrix products
    of the forward pass, `dtype` that of the stored features.
    """

    layer: Layer
    layer_sweep: Several[Layer]
    norm: bool
    dtype: Literal["float16", "float32"]
    batch_size: Annotated[int, Within(1, 4096)]
    precision: Precision = "fp32"


class Prune(Strict):
    """How variants are fitted.

    `m` is the share of dimensions to prune (or to keep, for `keep_top` and `keep_random`).
    `select: fixed` uses `m`; `select: auto` chooses it for each support seed among 0 and `choices`,
    by folds grouped by image within the support set (this uses the labels of the support). The
    sweep stage scores all `choices`.
    `fit_on: support` ranks dimensions on the unlabelled support patches of each seed;
    `fit_on: dataset` on all extracted images, as in the authors' scripts (this uses query images).
    `random_draws` is the minimum number of draws of prune_random and keep_random over all support
    seeds: 3 with five seeds means one draw per seed, five in total; T2 to T4 have no seeds and use
    three draws.
    """

    m: Annotated[float, Within(0, 0.9999)]
    select: Literal["fixed", "auto"]
    choices: Rising[Share]
    fit_on: Literal["support", "dataset"]
    random_draws: Annotated[int, Within(1, 1000)]
    pca_drop: Annotated[int, Within(1, 8192)]
