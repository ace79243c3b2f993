"""The inputs of the few-shot stages: features, labels and moments of one model on one dataset."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from patchlens import paths
from patchlens.datasets.index import Index
from patchlens.datasets.layout import IGNORE
from patchlens.errors import SettingsError
from patchlens.features.moments import Ranked
from patchlens.features.store import FeatureFile
from patchlens.features.variants import FitData, draws, pruned_count, pruned_counts
from patchlens.names import DatasetName, ModelName
from patchlens.protocol import PROTOCOL_VERSION, versions
from patchlens.settings.features import Prune
from patchlens.settings.segmentation import Segmentation
from patchlens.tasks.few_shot import CHUNK, Labelled, Query, Support
from patchlens.tasks.labels import patch_labels
from patchlens.tasks.select import choose_m

if TYPE_CHECKING:
    from patchlens.settings.load import Settings

Array = NDArray[np.float32]
Labels = NDArray[np.uint8]


@dataclass(frozen=True)
class Inputs:
    """The inputs of T1 and the sweep for one model on one dataset.

    Attributes:
        masks: image id -> class ids at the original resolution, of all support and query images.
        labels: image id -> patch labels [h, w], of the same images.
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

    def query_set(self, ids: list[str]) -> Query:
        """The images `ids`, to be scored."""
        return Query(
            features=lambda rows, layer: self.query.images(ids[rows.start : rows.stop], layer),
            labels=np.stack([self.labels[i] for i in ids]),
            mask=lambda row: self.masks[ids[row]],
            classes=len(self.index.classes),
        )

    def all_patches(self, *, with_query: bool) -> Iterator[Array]:
        """Headline patches [n, D] of all extracted support images, and optionally of the query."""
        for file in [self.support, self.query] if with_query else [self.support]:
            yield from file.patches(CHUNK)


def open_inputs(*, dataset: DatasetName, model: ModelName, settings: "Settings") -> Inputs:
    """Open the features of a model on a dataset and read the masks of their images.

    Raises:
        SettingsError: an image has no mask.
    """
    index = Index.of(dataset, settings.dataset(dataset))
    folder = paths.features(dataset=dataset, model=model)
    support = FeatureFile(folder / "support.safetensors")
    query = FeatureFile(folder / "query.safetensors")
    ids = [*support.header.image_ids, *query.header.image_ids]
    if index.images.loc[ids, "mask"].isna().any():
        raise SettingsError(
            f"params.yaml: segmentation.datasets: the splits that datasets.{dataset} uses have no "
            "class masks; remove it from the list, or choose splits with masks"
        )
    # Decoded once, because every seed and variant scores the same masks.
    masks = {i: index.mask(i) for i in ids}
    grid, classes, rule = query.header.grid, len(index.classes), settings.segmentation.label
    labels = {i: patch_labels(m, grid, classes, rule) for i, m in masks.items()}
    ranked = Ranked.read(paths.moments(dataset=dataset, model=model))
    return Inputs(index, support, query, ranked, masks, labels)


def support_sets(
    inputs: Inputs, prune: Prune, segmentation: Segmentation, device: torch.device
) -> list[Support]:
    """The support of every seed, with the number m of dimensions that `prune.select` gives.

    Raises:
        FitError: m cannot be chosen within a support set.
    """
    shots = segmentation.shots
    supports = [support_set(inputs, row, prune, shots) for row in range(len(inputs.ranked.seeds))]
    if prune.select == "fixed":
        return supports
    chosen = []
    for support in supports:
        known = support.labelled(shots, inputs.layer)
        m = selected_m(inputs, known, prune, segmentation, device)
        chosen.append(replace(support, fit_data=replace(support.fit_data, m=m)))
    return chosen


def support_set(inputs: Inputs, row: int, prune: Prune, headline_shots: int) -> Support:
    """The support of one seed, with the data to fit variants on; m is that of `prune.m`."""
    seed, index = inputs.ranked.seeds[row], inputs.index

    def features(shots: int, layer: int) -> Array:
        return inputs.support.images(index.support_ids(seed, shots), layer)

    def patches() -> Iterable[Array]:
        if prune.fit_on == "dataset":
            return inputs.all_patches(with_query=True)
        found = features(headline_shots, inputs.layer)
        return [found.reshape(-1, found.shape[-1])]

    return Support(
        seed=seed,
        features=features,
        labels=lambda shots: np.stack([inputs.labels[i] for i in index.support_ids(seed, shots)]),
        fit_data=FitData(
            inputs.ranked.mean[row],
            inputs.ranked.variance[row],
            inputs.ranked.ranking[row],
            pruned_count(prune.m, inputs.query.header.width),
            patches,
        ),
    )


def selected_m(
    inputs: Inputs,
    known: Labelled,
    prune: Prune,
    segmentation: Segmentation,
    device: torch.device,
) -> int:
    """The number of dimensions to prune, chosen on a support set; 0 is among the choices."""
    return choose_m(
        known,
        len(inputs.index.classes),
        [0, *pruned_counts(prune, inputs.query.header.width)],
        k=segmentation.k,
        knn=segmentation.knn,
        folds=segmentation.linear.folds,
        device=device,
    )


def protocol(inputs: Inputs, *, dataset: DatasetName, settings: "Settings") -> dict[str, Any]:
    """The facts that a reader needs to compare the numbers of a cell."""
    header, index = inputs.query.header, inputs.index
    own, prune, segmentation = settings.dataset(dataset), settings.prune, settings.segmentation
    shots, (support, query) = segmentation.shots, own.few_shot()
    banks = [
        sum(int((inputs.labels[i] != IGNORE).sum()) for i in index.support_ids(seed, shots))
        for seed in index.seeds
    ]
    scored = [inputs.labels[i] for i in header.image_ids]
    return {
        "protocol_version": PROTOCOL_VERSION,
        **header.protocol(),
        "split_support": support.split,
        "split_query": query.split,
        "grid_rule": own.view.grid,
        "label": segmentation.label,
        "distance": segmentation.knn.distance,
        "vote": segmentation.knn.vote,
        "k": segmentation.k,
        "shots": shots,
        "shots_per": support.per,
        "seeds": len(index.seeds),
        "fit_on": prune.fit_on,
        "random_draws": draws("prune_random", prune, len(index.seeds)) * len(index.seeds),
        "pca_drop": prune.pca_drop,
        "query_images": len(scored),
        "query_units": int(index.query["unit"].nunique()),
        "query_unit": query.unit,
        "query_patches": int(sum((labels != IGNORE).sum() for labels in scored)),
        "classes": len(index.classes),
        **versions(),
        "bank_patches": round(float(np.mean(banks)), 1),
        "bank_mb": round(float(np.mean(banks)) * header.width * 4 / 1e6, 2),
    }
