"""Reads `params.yaml`; each mistake becomes one line that names the key and what is allowed."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import Field, create_model

from patchlens.errors import SettingsError
from patchlens.names import DatasetName, ModelName, nearest
from patchlens.settings import base
from patchlens.settings.base import Filled, Section, Several, Strict, brief
from patchlens.settings.datasets import Collected, Dataset, Fetch, Kinds, Minicity, pictured
from patchlens.settings.features import Device, Features, Prune, VariantName
from patchlens.settings.models import Model
from patchlens.settings.sources import Sources
from patchlens.settings.uncertainty import Limits, Uncertainty
from patchlens.settings.validated import conforming, loaded, refuse

K = TypeVar("K", bound=str)
T = TypeVar("T")
S = TypeVar("S", bound=Section)
SHARED = "segmentation"  # the section that holds what all tasks share


class Extract(Strict):
    """The datasets whose features are extracted, for every model: those of all tasks."""

    datasets: Several[DatasetName]


class Settings(Strict):
    """All of `params.yaml`; `load` adds a field for the section of each task."""

    device: Device
    fetch: Fetch
    datasets: Annotated[dict[base.DatasetName, Dataset], Filled]
    models: Annotated[dict[base.ModelName, Model], Filled]
    extract: Extract
    features: Features
    prune: Prune
    uncertainty: Uncertainty
    sources: Sources = Field(default={})
    limits: Limits = Limits()

    def section(self, kind: type[S]) -> S:
        """The section of a task, by its class."""
        [found] = [section for section in self.sections().values() if isinstance(section, kind)]
        return found

    def sections(self) -> dict[str, Section]:
        """Every task with its section."""
        return {name: value for name, value in self if isinstance(value, Section)}

    def tasks(self) -> dict[str, list[DatasetName]]:
        """Every task that has a section, with its datasets."""
        return {task: section.datasets for task, section in self.sections().items()}

    def grid(self, name: DatasetName) -> tuple[int, int] | None:
        """Patch rows and columns of a dataset's images for every model; None if it depends."""
        view = self.datasets[name].view if name in self.datasets else None
        if view is None or view.patches is None or view.mode != "whole":
            return None
        return view.patches[0], view.patches[1]

    def features_of(self, name: DatasetName) -> Features:
        """What is extracted of a dataset: other layers only where something reads them."""
        if reads_layers(name, vars(self.dataset(name)), getattr(self, SHARED).datasets):
            return self.features
        return self.features.model_copy(update={"layer_sweep": []})

    @property
    def variants(self) -> list[VariantName]:
        """The feature variants that all tasks score."""
        variants: list[VariantName] = getattr(self, SHARED).variants
        return variants

    @property
    def shots(self) -> int:
        """The number of support images that define the support set of a seed."""
        shots: int = getattr(self, SHARED).shots
        return shots

    def dataset(self, name: DatasetName) -> Dataset:
        """Settings of the dataset `name`, or an error with the closest name."""
        return _named(self.datasets, name, "dataset")

    def cell(self, *, dataset: DatasetName, model: ModelName) -> Dataset:
        """Settings of the dataset of a cell, whose model must also exist."""
        self.model(model)
        return self.dataset(dataset)

    def made(self, name: DatasetName) -> Minicity:
        """Settings of a dataset that the pipeline renders."""
        made = {n: d for n, d in self.datasets.items() if isinstance(d, Minicity)}
        return _named(made, name, "made dataset")

    def downloaded(self, name: DatasetName) -> Collected:
        """Settings of a dataset that the fetch stage downloads or unpacks."""
        return _named(self._collected(rooted=False), name, "downloaded dataset")

    def placed(self, name: DatasetName) -> Collected:
        """Settings of a dataset that the user placed."""
        return _named(self._collected(rooted=True), name, "placed dataset")

    def _collected(self, *, rooted: bool) -> dict[DatasetName, Collected]:
        return {
            name: dataset
            for name, dataset in self.datasets.items()
            if isinstance(dataset, Collected) and (dataset.root is not None) == rooted
        }

    def model(self, name: ModelName) -> Model:
        """Settings of the model `name`, or an error with the closest name."""
        return _named(self.models, name, "model")


@dataclass(frozen=True)
class Known:
    """What settings may name, from the tables of the rooms above.

    Attributes:
        kinds: all kinds of datasets, with the tasks that can run on each.
        sections: task -> the class of its section, for every task that has one.
        variants: the feature variants.
    """

    kinds: Kinds
    sections: Mapping[str, type[Section]]
    variants: Collection[VariantName]


def load(path: Path, known: Known) -> Settings:
    """Read and validate `path`.

    Args:
        path: the settings.
        known: what they may name.

    Raises:
        SettingsError: one line per mistake in the file.
    """
    missing = "run this in the folder that contains params.yaml"
    return parse(loaded(path, missing=missing), path, known)


def parse(content: Any, where: Path, known: Known) -> Settings:
    """Validate settings that were read from `where`; see `load`."""
    kind = with_sections(known.sections)
    settings: Settings = conforming(content, kind, where, context=known.kinds)
    refuse(where, _cross_checks(settings, known))
    return settings


def reads_layers(name: str, dataset: Mapping[str, Any], shared: Collection[str]) -> bool:
    """Whether anything reads the layers of `features.layer_sweep`.

    T1, the choice and the variance study do, and the page of features, which has pictures.

    Args:
        name: of a dataset.
        dataset: its section in params.yaml.
        shared: the datasets of T1, where the choice and the study run too.
    """
    return name in shared or pictured(dataset)


def with_sections(sections: Mapping[str, type[Section]]) -> type[Settings]:
    """The settings with a field for the section of each task."""
    return _with_sections(tuple(sections.items()))


@cache
def _with_sections(sections: tuple[tuple[str, type[Section]], ...]) -> type[Settings]:
    fields: dict[str, Any] = {name: (section, ...) for name, section in sections}
    return create_model("Settings", __base__=Settings, **fields)


def _named(items: dict[K, T], name: K, what: str) -> T:
    if name not in items:
        raise SettingsError(f"unknown {what} '{name}'; {nearest(name, items)}")
    return items[name]


def _cross_checks(settings: Settings, known: Known) -> Iterable[str]:
    """Mistakes that no single section can detect: unknown names, sizes that do not fit."""
    tasks = {f"{name}.datasets": names for name, names in settings.tasks().items()}
    lists = {
        "fetch.made": settings.fetch.made,
        "fetch.downloaded": settings.fetch.downloaded,
        "fetch.placed": settings.fetch.placed,
        "extract.datasets": settings.extract.datasets,
        **tasks,
    }
    for where, names in lists.items():
        for i, name in enumerate(names):
            if name not in settings.datasets:
                yield f"{where}[{i}]: unknown dataset '{name}'; {nearest(name, settings.datasets)}"
    for i, variant in enumerate(settings.variants):
        if variant not in known.variants:
            where = f"{SHARED}.variants[{i}]"
            yield f"{where}: '{brief(variant)}' is unknown; {nearest(variant, known.variants)}"
    for where, names in tasks.items():
        for i, name in enumerate(names):
            if name in settings.datasets and name not in settings.extract.datasets:
                yield (
                    f"{where}[{i}]: '{name}' is not in extract.datasets, so it would have no "
                    "features; add it there"
                )
    for task, section in settings.sections().items():
        if section.needs:
            yield from _unserved(task, section, settings, known.kinds)
        for key, other in section.borrows().items():
            yield from _cannot_borrow(f"{task}.{key}", other, section, settings, known.kinds)
    for i, name in enumerate(settings.extract.datasets):
        if name in settings.datasets and settings.datasets[name].query is None:
            yield (
                f"extract.datasets[{i}]: datasets.{name}.query is null, so nothing would be "
                "scored; give a query"
            )
    for name, dataset in settings.datasets.items():
        yield from _in_the_right_list(settings.fetch, name, dataset)
        yield from _disjoint(name, dataset)
    for section in settings.sections().values():
        yield from section.check(settings)


def _unserved(task: str, section: Section, settings: Settings, kinds: Kinds) -> Iterable[str]:
    """Datasets of a task that lack what it needs."""
    for i, name in enumerate(section.datasets):
        if name in settings.datasets and task not in kinds[kind := settings.datasets[name].kind]:
            others = sorted(other for other, tasks in kinds.items() if task in tasks)
            yield (
                f"{task}.datasets[{i}]: '{name}' has no {section.needs} (kind {kind}); kinds with "
                f"them: {', '.join(others)}"
            )


def _cannot_borrow(
    where: str, other: str, section: Section, settings: Settings, kinds: Kinds
) -> Iterable[str]:
    """Datasets of a task that lack what it borrows from another one."""
    for name in section.datasets:
        if name in settings.datasets and other not in kinds[settings.datasets[name].kind]:
            yield (
                f"{where}: '{other}' needs {settings.sections()[other].needs}, which '{name}' in "
                f"{where.partition('.')[0]}.datasets does not have; remove one of the two"
            )


def _in_the_right_list(fetch: Fetch, name: DatasetName, dataset: Dataset) -> Iterable[str]:
    if isinstance(dataset, Minicity):
        right, why = "made", "the pipeline renders it"
    elif dataset.root is None:
        right, why = "downloaded", "it has no root"
    else:
        right, why = "placed", "it has a root"
    wrong = [key for key in Fetch.model_fields if key != right and name in getattr(fetch, key)]
    if name not in getattr(fetch, right):
        yield f"fetch.{right}: must list '{name}': {why}"
    for key in wrong:
        yield f"fetch.{key}: must not list '{name}': {why} and so belongs in fetch.{right}"


def _disjoint(name: DatasetName, dataset: Dataset) -> Iterable[str]:
    """Every image of the support would also be a query, or with folds one would not."""
    support, query = dataset.support, dataset.query
    if support is None or query is None:
        return
    if support.folds is not None:
        if (query.split, query.images, query.sequences) != (support.split, "all", None):
            yield (
                f"datasets.{name}.query: with support.folds, the same images are the query; write "
                f"split: {support.split} and images: all"
            )
        return
    if query.images != "all" or query.sequences is not None:
        return
    if set(support.split.split("+")) <= set(query.split.split("+")):
        yield (
            f"datasets.{name}.query.split: '{query.split}' with images: all contains the images "
            f"of support.split '{support.split}'; support and query must not share images"
        )
