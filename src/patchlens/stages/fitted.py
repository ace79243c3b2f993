"""The inputs of T2 to T4: features of one model on one dataset, and variants fitted on them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from patchlens import paths
from patchlens.datasets.index import Index
from patchlens.features.moments import Moments, rank_by_variance
from patchlens.features.store import FeatureFile
from patchlens.features.variants import FitData, Transform, draws, fit, pruned_count
from patchlens.names import DatasetName, ModelName
from patchlens.protocol import PROTOCOL_VERSION, versions
from patchlens.settings.features import Prune, VariantName

if TYPE_CHECKING:
    from patchlens.settings.load import Settings

Array = NDArray[np.float32]
CHUNK = 32  # images in memory at a time


@dataclass(frozen=True)
class Fitted:
    """Features and fitted variants.

    Attributes:
        index: the dataset.
        support: features of the support images; None if the dataset has no support.
        query: features of the query images.
        transforms: variant -> its transforms, one per draw (`prune_random` has several), from patch
            features [n, D] to [n, D'], where D' may be 0.
        fitted_on: `support`, `dataset`, or `transductive` (on the query if there is no support).
        m: the number of dimensions that `prune` drops.
    """

    index: Index
    support: FeatureFile | None
    query: FeatureFile
    transforms: dict[VariantName, list[Transform]]
    fitted_on: str
    m: int

    @property
    def layer(self) -> int:
        """The headline layer."""
        return self.query.header.layers[0]


def open_fitted(
    *,
    dataset: DatasetName,
    model: ModelName,
    settings: "Settings",
    variants: Sequence[VariantName] | None = None,
) -> Fitted:
    """Open the features of a model on a dataset and fit variants, without labels.

    Args:
        dataset: its name.
        model: its name.
        settings: all settings.
        variants: those to fit; by default, those of `segmentation.variants`.
    """
    own, prune = settings.dataset(dataset), settings.prune
    folder = paths.features(dataset=dataset, model=model)
    query = FeatureFile(folder / "query.safetensors")
    support = None if own.support is None else FeatureFile(folder / "support.safetensors")
    data, fitted_on = fit_data(support, query, prune, dataset=dataset, model=model)
    transforms = {
        variant: [
            fit(variant, data, prune, seed=0, draw=draw) for draw in range(draws(variant, prune))
        ]
        for variant in (settings.segmentation.variants if variants is None else variants)
    }
    return Fitted(Index.of(dataset, own), support, query, transforms, fitted_on, data.m)


def fit_data(
    support: FeatureFile | None,
    query: FeatureFile,
    prune: Prune,
    *,
    dataset: DatasetName,
    model: ModelName,
) -> tuple[FitData, str]:
    """The data that variants are fitted on in tasks without seeds, and a word for its images.

    These are all extracted support images (`support`); with `fit_on: dataset`, also those of the
    query (`dataset`); if the dataset has no support, only those of the query (`transductive`).
    """
    if support is None:
        fitted_on, files = "transductive", [query]
    elif prune.fit_on == "dataset":
        fitted_on, files = "dataset", [support, query]
    else:
        fitted_on, files = "support", [support]
    moments, ids = Moments.read(paths.moments(dataset=dataset, model=model))
    wanted = {image_id for file in files for image_id in file.header.image_ids}
    mean, variance = moments.mean_and_variance([r for r, i in enumerate(ids) if i in wanted])

    def patches() -> Iterator[Array]:
        for file in files:
            yield from file.patches(CHUNK)

    m = pruned_count(prune.m, query.header.width)
    return FitData(mean, variance, rank_by_variance(variance), m, patches), fitted_on


def protocol(fitted: Fitted, *, dataset: DatasetName, settings: "Settings") -> dict[str, Any]:
    """The facts that a reader needs about a cell of T2, T3 or T4; the stage adds its settings."""
    header, own, prune = fitted.query.header, settings.dataset(dataset), settings.prune
    assert own.query is not None
    return {
        "protocol_version": PROTOCOL_VERSION,
        **header.protocol(),
        "split_fit": "none" if own.support is None else own.support.split,
        "split_query": own.query.split,
        "grid_rule": own.view.grid,
        "fit": fitted.fitted_on,
        "prune_m": prune.m,
        "prune_m_used": fitted.m,
        "random_draws": prune.random_draws,
        "pca_drop": prune.pca_drop,
        "query_images": len(header.image_ids),
        **versions(),
    }
