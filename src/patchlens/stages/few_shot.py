"""What the few-shot stages read: features, labels and moments of one model on one dataset."""

from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray

from patchlens import paths
from patchlens.datasets.index import Index
from patchlens.datasets.layout import IGNORE
from patchlens.features.moments import Ranked
from patchlens.features.store import FeatureFile
from patchlens.features.variants import FitData, pruned_count
from patchlens.settings.features import Prune
from patchlens.settings.segmentation import Segmentation
from patchlens.tasks.labels import patch_labels
from patchlens.tasks.segmentation import Query, Support
from patchlens.tasks.select import choose_m

Array = NDArray[np.float32]
Labels = NDArray[np.uint8]
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Inputs:
    """What T1 and the sweep read of one model on one dataset.

    Attributes:
        masks: class ids at the original resolution, of every support and query image by id.
        labels: patch labels [h, w] of the same images.
    """

    index: Index
    support: FeatureFile
    query: FeatureFile
    ranked: Ranked
    masks: dict[str, Labels]
    labels: dict[str, Labels]

    @property
    def layer(self) -> int:
        """The headline layer."""
        return self.query.header.layers[0]

    def query_set(self) -> Query:
        """The scored images."""
        ids = self.query.header.image_ids
        return Query(
            features=lambda rows, layer: self.query.images(ids[rows.start : rows.stop], layer),
            labels=np.stack([self.labels[i] for i in ids]),
            mask=lambda row: self.masks[ids[row]],
            classes=len(self.index.classes),
        )

    def labelled(self, seed: int, shots: int) -> tuple[Array, Ints, Ints]:
        """Labelled support patches at the headline layer: features [n, D], classes, images [n]."""
        ids = self.index.support_ids(seed, shots)
        labels = np.stack([self.labels[i] for i in ids])
        keep = (labels != IGNORE).ravel()
        features = self.support.images(ids, self.layer)
        groups = np.repeat(np.arange(len(ids)), labels[0].size)
        x = features.reshape(-1, features.shape[-1])
        return x[keep], labels.ravel()[keep].astype(np.int64), groups[keep]

    def all_patches(self, *, with_query: bool) -> Array:
        """Headline patches [n, D] of every extracted support image, or of the query as well."""
        files = [self.support, self.query] if with_query else [self.support]
        found = np.concatenate([f.images(f.header.image_ids, self.layer) for f in files])
        return found.reshape(-1, found.shape[-1])


def open_inputs(index: Index, name: str, model: str, segmentation: Segmentation) -> Inputs:
    """Open the features of `model` on the dataset `name` and read the masks of their images."""
    folder = paths.features(name, model)
    support = FeatureFile(folder / "support.safetensors")
    query = FeatureFile(folder / "query.safetensors")
    # Decoded once: every seed and variant scores the same masks.
    masks = {i: index.mask(i) for i in [*support.header.image_ids, *query.header.image_ids]}
    grid, classes = query.header.grid, len(index.classes)
    labels = {i: patch_labels(m, grid, classes, segmentation.label) for i, m in masks.items()}
    return Inputs(index, support, query, Ranked.read(paths.moments(name, model)), masks, labels)


def support_set(
    inputs: Inputs, row: int, prune: Prune, segmentation: Segmentation, m: int
) -> Support:
    """The support of one seed, with what the variants are fitted on; `m` as in `FitData`."""
    seed, index = inputs.ranked.seeds[row], inputs.index

    def features(shots: int, layer: int) -> Array:
        return inputs.support.images(index.support_ids(seed, shots), layer)

    def patches() -> Array:
        if prune.fit_on == "dataset":
            return inputs.all_patches(with_query=True)
        found = features(segmentation.shots, inputs.layer)
        return found.reshape(-1, found.shape[-1])

    return Support(
        seed=seed,
        features=features,
        labels=lambda shots: np.stack([inputs.labels[i] for i in index.support_ids(seed, shots)]),
        fit_data=FitData(
            inputs.ranked.mean[row],
            inputs.ranked.variance[row],
            inputs.ranked.ranking[row],
            m,
            patches,
        ),
    )


def headline_m(
    inputs: Inputs, seed: int, prune: Prune, segmentation: Segmentation, device: torch.device
) -> int:
    """How many dimensions `prune` drops for the support of a seed, as `prune.select` says."""
    if prune.select == "auto":
        return selected_m(inputs, seed, prune, segmentation, device)
    return pruned_count(prune.m, inputs.query.header.width)


def counts_of(prune: Prune, width: int) -> list[int]:
    """The numbers of dimensions that `prune.choices` mean: distinct, ascending, in 1..D−1."""
    return sorted({pruned_count(m, width) for m in prune.choices} - {0, width})


def selected_m(
    inputs: Inputs, seed: int, prune: Prune, segmentation: Segmentation, device: torch.device
) -> int:
    """The number of dimensions that the support set of a seed chooses to prune."""
    choose = partial(
        choose_m,
        k=segmentation.k,
        knn=segmentation.knn,
        folds=segmentation.linear.folds,
        device=device,
    )
    counts = [0, *counts_of(prune, inputs.query.header.width)]
    return choose(*inputs.labelled(seed, segmentation.shots), len(inputs.index.classes), counts)
