"""A cell: one model on one dataset, with its files, opened when they are first used."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from patchlens import paths
from patchlens.arrays import Array
from patchlens.datasets.index import Index
from patchlens.features.moments import Moments, Ranked, rank_by_variance
from patchlens.features.store import FeatureFile
from patchlens.features.variants import FitData, Transform, draws, fit, pruned_count
from patchlens.names import DatasetName, ModelName
from patchlens.protocol import PROTOCOL_VERSION, versions
from patchlens.settings.datasets import Dataset
from patchlens.settings.features import VariantName

if TYPE_CHECKING:
    from patchlens.settings.load import Settings

IMAGES = 32  # in memory at a time
ReadImages = Callable[[range], Array]  # rows of some images -> their features [n, h, w, D]


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One model on one dataset.

    Attributes:
        dataset: its name.
        model: its name.
        settings: all of params.yaml.
    """

    dataset: DatasetName
    model: ModelName
    settings: "Settings"

    def __str__(self) -> str:
        return f"{self.model} × {self.dataset}"

    @property
    def own(self) -> Dataset:
        """The settings of the dataset."""
        return self.settings.dataset(self.dataset)

    @property
    def folder(self) -> Path:
        """The folder of its metrics."""
        return paths.cell(dataset=self.dataset, model=self.model)

    @cached_property
    def index(self) -> Index:
        """The index of the dataset."""
        return Index.of(self.dataset, self.own)

    @cached_property
    def query(self) -> FeatureFile:
        """Features of the query images."""
        return FeatureFile(self._features / "query.safetensors")

    @cached_property
    def support(self) -> FeatureFile | None:
        """Features of the support images; None if the dataset has no support."""
        if self.own.support is None:
            return None
        if self.own.support.folds is not None:
            return self.query  # the same images, in turn
        return FeatureFile(self._features / "support.safetensors")

    @property
    def files(self) -> list[FeatureFile]:
        """The feature files of all extracted images: the support if it has its own, the query."""
        beside = self.support is not None and self.support is not self.query
        return [self.support, self.query] if beside and self.support else [self.query]

    @cached_property
    def degraded(self) -> FeatureFile:
        """Features of degraded copies of some query images."""
        return FeatureFile(paths.degraded(dataset=self.dataset, model=self.model))

    @property
    def tracks(self) -> Path:
        """The folder of its tracks."""
        return paths.tracks(dataset=self.dataset, model=self.model)

    @property
    def knn(self) -> Path:
        """The folder of the indexes of its banks."""
        return paths.knn(dataset=self.dataset, model=self.model)

    @property
    def _features(self) -> Path:
        return paths.features(dataset=self.dataset, model=self.model)

    @property
    def layer(self) -> int:
        """The headline layer."""
        return self.query.header.layers[0]

    def moments(self) -> tuple[Moments, list[str]]:
        """Moments of every extracted image, and the ids of these."""
        return Moments.read(paths.moments(dataset=self.dataset, model=self.model))

    def ranked(self) -> Ranked:
        """The ranking of dimensions of every support seed."""
        return Ranked.read(paths.moments(dataset=self.dataset, model=self.model))

    def read_query(self, ids: Sequence[str]) -> ReadImages:
        """A function from rows of `ids` to their headline features [n, h, w, D]."""
        return lambda rows: self.query.images(ids[rows.start : rows.stop], self.layer)

    def about_features(self) -> dict[str, Any]:
        """The facts about its features that a reader needs to compare numbers."""
        return {"protocol_version": PROTOCOL_VERSION, **self.query.header.protocol(), **versions()}

    def protocol(self) -> dict[str, Any]:
        """`about_features` with the facts about its query; a task adds its own settings."""
        own = self.own
        assert own.query is not None
        return self.about_features() | {
            "split_query": own.query.split,
            "grid_rule": own.view.grid,
            "query_images": len(self.query.header.image_ids),
        }

    def fit(self, variants: Sequence[VariantName] | None = None) -> "Fitted":
        """Fit variants without labels and seeds, as T2 to T4 do; see `fit_data`.

        Args:
            variants: those to fit; by default, those that all tasks score.
        """
        prune, (data, fitted_on) = self.settings.prune, self.fit_data()
        transforms = {
            variant: [
                fit(variant, data, prune, seed=0, draw=draw)
                for draw in range(draws(variant, prune))
            ]
            for variant in (self.settings.variants if variants is None else variants)
        }
        return Fitted(self, transforms, fitted_on, data.m)

    def fit_data(self) -> tuple[FitData, str]:
        """The data that variants are fitted on in tasks without seeds, and a word for its images.

        These are all extracted support images (`support`); with `fit_on: dataset`, also those of
        the query (`dataset`); if the dataset has no support, or its folds make the query the
        support, only those of the query (`transductive`).
        """
        prune = self.settings.prune
        if self.support is None or self.support is self.query:
            fitted_on, files = "transductive", [self.query]
        elif prune.fit_on == "dataset":
            fitted_on, files = "dataset", self.files
        else:
            fitted_on, files = "support", [self.support]
        moments, ids = self.moments()
        wanted = {image_id for file in files for image_id in file.header.image_ids}
        mean, variance = moments.mean_and_variance([r for r, i in enumerate(ids) if i in wanted])

        def patches() -> Iterator[Array]:
            for file in files:
                yield from file.patches(IMAGES)

        m = pruned_count(prune.m, self.query.header.width)
        return FitData(mean, variance, rank_by_variance(variance), m, patches), fitted_on


@dataclass(frozen=True)
class Fitted:
    """The variants of a cell.

    Attributes:
        cell: the cell.
        transforms: variant -> its transforms, one per draw (`prune_random` has several), from patch
            features [n, D] to [n, D'], where D' may be 0.
        on: `support`, `dataset`, or `transductive` (on the query if there is no support).
        m: the number of dimensions that `prune` drops.
    """

    cell: Cell
    transforms: dict[VariantName, list[Transform]]
    on: str
    m: int

    def protocol(self) -> dict[str, Any]:
        """The protocol of the cell, with the facts about its variants."""
        own, prune = self.cell.own, self.cell.settings.prune
        return self.cell.protocol() | {
            "split_fit": "none" if own.support is None else own.support.split,
            "fit": self.on,
            "prune_m": prune.m,
            "prune_m_used": self.m,
            "random_draws": prune.random_draws,
            "pca_drop": prune.pca_drop,
        }
