"""The inputs of T1 and the sweep: features, labels and rankings of a cell."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np

from patchlens.arrays import Array, Labels
from patchlens.datasets.layout import IGNORE
from patchlens.errors import SettingsError
from patchlens.features.cell import IMAGES, Cell
from patchlens.features.device import resolve
from patchlens.features.moments import Ranked
from patchlens.features.store import FeatureFile
from patchlens.features.variants import FitData, draws, pruned_count, pruned_counts
from patchlens.tasks.segmentation.few_shot import Labelled, Query, Support
from patchlens.tasks.segmentation.labels import patch_labels
from patchlens.tasks.segmentation.select import choose_m, sampled
from patchlens.tasks.segmentation.settings import Segmentation

HELD = 1 << 26  # bytes of masks in memory


@dataclass(frozen=True)
class Inputs:
    """The inputs of T1 and the sweep.

    Attributes:
        cell: one model on one dataset.
        support: features of its support images.
        ranked: the ranking of dimensions of every support seed.
        mask: image id -> class ids at the original resolution, read when it is asked for.
        labels: image id -> patch labels [h, w], of the same images.
    """

    cell: Cell
    support: FeatureFile
    ranked: Ranked
    mask: Callable[[str], Labels]
    labels: dict[str, Labels]

    @property
    def segmentation(self) -> Segmentation:
        """The settings of T1."""
        return self.cell.settings.section(Segmentation)

    def query_set(self, ids: list[str]) -> Query:
        """The images `ids`, to be scored."""
        return Query(
            features=lambda rows, layer: self.cell.query.images(ids[rows.start : rows.stop], layer),
            labels=np.stack([self.labels[i] for i in ids]),
            mask=lambda row: self.mask(ids[row]),
            classes=len(self.cell.index.classes),
        )

    def all_patches(self, *, with_query: bool) -> Iterator[Array]:
        """Headline patches [n, D] of all extracted support images, and optionally of the query."""
        for file in self.cell.files if with_query else [self.support]:
            yield from file.patches(IMAGES)


def open_inputs(cell: Cell) -> Inputs:
    """Open the features of a cell and read the masks of their images.

    Raises:
        SettingsError: the dataset has no support, or an image has no mask.
    """
    index, query, support = cell.index, cell.query.header, cell.support
    assert support is not None  # else the settings are refused
    ids = list(dict.fromkeys([*support.header.image_ids, *query.image_ids]))
    if index.images.loc[ids, "mask"].isna().any():
        raise SettingsError(
            f"params.yaml: segmentation.datasets: the splits that datasets.{cell.dataset} uses "
            "have no class masks; remove it from the list, or choose splits with masks"
        )
    # Every seed and variant scores the same masks: those of a small dataset are decoded once.
    held = HELD // index.mask(ids[0]).nbytes
    mask = lru_cache(maxsize=max(1, held))(index.mask)
    rule = cell.settings.section(Segmentation).label
    labels = {i: patch_labels(mask(i), query.grid, len(index.classes), rule) for i in ids}
    return Inputs(cell, support, cell.ranked(), mask, labels)


def support_sets(inputs: Inputs) -> list[Support]:
    """The support of every seed, with the number m of dimensions that `prune.select` gives.

    Raises:
        FitError: m cannot be chosen within a support set.
    """
    supports = [support_set(inputs, row) for row in range(len(inputs.ranked.seeds))]
    if inputs.cell.settings.prune.select == "fixed":
        return supports
    chosen = []
    for support in supports:
        known = support.labelled(inputs.segmentation.shots, inputs.cell.layer)
        m = selected_m(inputs, known, support.seed)
        chosen.append(replace(support, fit_data=replace(support.fit_data, m=m)))
    return chosen


def support_set(inputs: Inputs, row: int) -> Support:
    """The support of one seed, with the data to fit variants on; m is that of `prune.m`."""
    cell, prune, index = inputs.cell, inputs.cell.settings.prune, inputs.cell.index
    seed = inputs.ranked.seeds[row]

    def features(shots: int, layer: int) -> Array:
        return inputs.support.images(index.support_ids(seed, shots), layer)

    def part(shots: int, layer: int, rows: range) -> Array:
        ids = index.support_ids(seed, shots)[rows.start : rows.stop]
        return inputs.support.images(ids, layer)

    def patches() -> Iterable[Array]:
        if prune.fit_on == "dataset":
            yield from inputs.all_patches(with_query=True)
            return
        shots = inputs.segmentation.shots
        images = len(index.support_ids(seed, shots))
        step = IMAGES if support.in_file(shots, cell.layer) else images
        for start in range(0, images, step):
            found = part(shots, cell.layer, range(start, start + step))
            yield found.reshape(-1, found.shape[-1])

    support = Support(
        seed=seed,
        features=features,
        labels=lambda shots: np.stack([inputs.labels[i] for i in index.support_ids(seed, shots)]),
        fit_data=FitData(
            inputs.ranked.mean[row],
            inputs.ranked.variance[row],
            inputs.ranked.ranking[row],
            pruned_count(prune.m, cell.query.header.width),
            patches,
        ),
        part=part,
        memory=cell.settings.limits.bank,
    )
    return support


def selected_m(inputs: Inputs, known: Labelled, seed: int) -> int:
    """The number of dimensions to prune, chosen on a support set; 0 is among the choices."""
    cell, segmentation = inputs.cell, inputs.segmentation
    return choose_m(
        sampled(known, segmentation.knn.select_patches, seed),
        len(cell.index.classes),
        [0, *pruned_counts(cell.settings.prune, cell.query.header.width)],
        k=segmentation.k,
        knn=segmentation.knn,
        folds=segmentation.linear.folds,
        device=resolve(cell.settings.device),
    )


def protocol(inputs: Inputs) -> dict[str, Any]:
    """The facts that a reader needs to compare the numbers of a cell."""
    cell, prune, segmentation = inputs.cell, inputs.cell.settings.prune, inputs.segmentation
    header, index = cell.query.header, cell.index
    shots, (support, query) = segmentation.shots, cell.own.few_shot()
    banks = [
        sum(int((inputs.labels[i] != IGNORE).sum()) for i in index.support_ids(seed, shots))
        for seed in index.seeds
    ]
    scored = [inputs.labels[i] for i in header.image_ids]
    seen = [i for i in header.image_ids if (inputs.mask(i) != IGNORE).any()]
    return (
        cell.protocol()
        | {
            "split_support": support.split,
            "label": segmentation.label,
            "distance": segmentation.knn.distance,
            "vote": segmentation.knn.vote,
            "k": segmentation.k,
            "shots": shots,
            "shots_per": support.per,
            "seeds": len(set(index.repetitions.values())),
            "fit_on": prune.fit_on,
            "random_draws": draws("prune_random", prune, len(index.seeds)) * len(index.seeds),
            "pca_drop": prune.pca_drop,
            "query_units": int(
                index.query.loc[index.query["image_id"].isin(seen), "unit"].nunique()
            ),
            "query_unit": query.unit,
            "query_patches": int(sum((labels != IGNORE).sum() for labels in scored)),
            "classes": len(index.classes),
            "bank_patches": round(float(np.mean(banks)), 1),
            "bank_mb": round(float(np.mean(banks)) * header.width * 4 / 1e6, 2),
        }
        | ({} if support.folds is None else {"folds": len(index.seeds) // len(support.seeds)})
    )
