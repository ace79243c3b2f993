"""Settings of the sweep over m, the number of dropped or kept dimensions."""

from typing import Annotated, Literal

from pydantic import PlainValidator

from patchlens.names import DatasetName
from patchlens.settings.base import Several, Some, Strict, all_or_count

Head = Literal["knn", "linear", "retrieval"]
Rival = Literal["l2", "center", "zscore", "pca_drop_top", "pca_whiten"]


class Sweep(Strict):
    """Scores as a function of m for `prune`, `keep_top` and `prune_random`, beside the rivals.

    `heads` are scored; retrieval needs a dataset with objects. k-NN and the linear probe score
    `images` of the query images (the first in hash order) or all; retrieval always scores all. The
    values of m are `prune.choices`; k, distance, shots, labels and the probe are those of
    `segmentation`.
    """

    datasets: Several[DatasetName]
    images: Annotated[Literal["all"] | int, PlainValidator(all_or_count)]
    heads: Some[Head]
    rivals: Several[Rival]
