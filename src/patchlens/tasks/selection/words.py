"""The words of the nested choice."""

from collections.abc import Mapping
from functools import partial
from typing import Any

import pandas as pd

from patchlens.display import grid
from patchlens.features.variants import VARIANTS
from patchlens.tasks.selection.metrics import HEAD
from patchlens.tasks.words import Words


def caption(rows: pd.DataFrame) -> str:
    """The protocol of one dataset's rows in words; values that differ between rows are listed."""
    of = partial(grid.values, rows)
    return (
        f"Protocol {of('protocol_version')}. {grid.view(rows)} "
        f"Layer, variant and head are chosen for every model by {of('inner_folds')} inner folds "
        f"over the support images of a set, of {of('candidates')} candidates (each C of the probe "
        "is one); the choice is scored on images that it has not seen. The score is therefore "
        "that of the whole procedure, and not the best of many. Pixel mIoU from one confusion "
        "matrix over all query images. Interval: 95 % bootstrap over "
        f"{of('query_units')} units ({of('query_unit')}), conditional on the folds."
        f"{grid.ceilings(rows)} " + grid.libraries(rows)
    )


def recommended(row: Mapping[Any, Any]) -> str:
    """The setting of a row in words."""
    head = "k-NN" if row["chosen_head"] == "knn" else f"linear probe (C = {row['chosen_c']:g})"
    return f"layer {row['chosen_layer']}, variant {row['chosen_variant']}, {head}"


HEADS = {
    "knn": "k-NN gives a patch the class of the labelled patches that are most like it",
    "linear": "A linear probe is one linear classifier of patches; C says how freely it fits",
}


def explained(row: Mapping[Any, Any]) -> str:
    """What the words of `recommended` mean."""
    layer, variant = row["chosen_layer"], row["chosen_variant"]
    return (
        f"Layer {layer} is block {layer} of the network, counted from 0. Variant {variant}: "
        f"{VARIANTS[variant].title.lower()}. {HEADS[row['chosen_head']]}."
    )


WORDS = Words(
    title="T1 choice",
    about="the choice of layer, variant and head by nested folds",
    caption=caption,
    heads={HEAD: "chosen by inner folds"},
    question="Which layer, variant and head should be used, and how good is that choice?",
    need="Choose a model with its layer, variant and head",
    overview=((HEAD, "pixel_miou"),),
    columns={"inner_miou": "patch mIoU on the inner folds"},
    shares=frozenset({"inner_miou"}),
    recommends=recommended,
    explains=explained,
)
