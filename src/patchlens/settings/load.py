"""Reads `params.yaml`; each mistake becomes one line that names the key and what is allowed."""

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, TypeVar

from patchlens.errors import SettingsError
from patchlens.names import DatasetName, ModelName, nearest
from patchlens.settings import base
from patchlens.settings.base import Filled, Several, Strict
from patchlens.settings.datasets import Collected, Dataset, Fetch, Kinds, Minicity
from patchlens.settings.features import Device, Features, Prune
from patchlens.settings.identification import Identification
from patchlens.settings.models import Model
from patchlens.settings.retrieval import Retrieval
from patchlens.settings.segmentation import Segmentation, Uncertainty
from patchlens.settings.sweep import Sweep
from patchlens.settings.tracking import Tracking
from patchlens.settings.validated import refuse, validated

K = TypeVar("K", bound=str)
T = TypeVar("T")
# What a dataset must have to serve a task. T2 takes any images, and the sweep those of T1.
NEEDS = {
    "segmentation": "class masks",
    "retrieval": "recurring objects",
    "tracking": "tracks",
}


class Extract(Strict):
    """The datasets whose features are extracted, for every model: those of all tasks."""

    datasets: Several[DatasetName]


class Settings(Strict):
    """All of `params.yaml`."""

    device: Device
    fetch: Fetch
    datasets: Annotated[dict[base.DatasetName, Dataset], Filled]
    models: Annotated[dict[base.ModelName, Model], Filled]
    extract: Extract
    features: Features
    prune: Prune
    segmentation: Segmentation
    sweep: Sweep
    identification: Identification
    retrieval: Retrieval
    tracking: Tracking
    uncertainty: Uncertainty

    def tasks(self) -> dict[str, list[DatasetName]]:
        """Every task with its datasets."""
        tasks = ("segmentation", "sweep", "identification", "retrieval", "tracking")
        return {task: getattr(self, task).datasets for task in tasks}

    def cells(self) -> dict[str, list[DatasetName]]:
        """Every stage that writes cells, with its datasets; metric names begin with the stage."""
        more = {"extract": self.extract.datasets, "variance": self.segmentation.datasets}
        return self.tasks() | more

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


def load(path: Path, kinds: Kinds) -> Settings:
    """Read and validate `path`.

    Args:
        path: the settings.
        kinds: all kinds of datasets, with the tasks that can run on each.

    Raises:
        SettingsError: one line per mistake in the file.
    """
    missing = "run this in the folder that contains params.yaml"
    settings: Settings = validated(path, Settings, missing=missing, context=kinds)
    refuse(path, _cross_checks(settings, kinds))
    return settings


def _named(items: dict[K, T], name: K, what: str) -> T:
    if name not in items:
        raise SettingsError(f"unknown {what} '{name}'; {nearest(name, items)}")
    return items[name]


def _cross_checks(settings: Settings, kinds: Kinds) -> Iterable[str]:
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
    for where, names in tasks.items():
        for i, name in enumerate(names):
            if name in settings.datasets and name not in settings.extract.datasets:
                yield (
                    f"{where}[{i}]: '{name}' is not in extract.datasets, so it would have no "
                    "features; add it there"
                )
    for task, what in NEEDS.items():
        for i, name in enumerate(settings.tasks()[task]):
            if name not in settings.datasets:
                continue
            kind = settings.datasets[name].kind
            if task not in kinds[kind]:
                others = sorted(other for other, tasks in kinds.items() if task in tasks)
                yield (
                    f"{task}.datasets[{i}]: '{name}' has no {what} (kind {kind}); kinds with them: "
                    f"{', '.join(others)}"
                )
    for i, name in enumerate(settings.sweep.datasets):
        if name in settings.datasets and name not in settings.segmentation.datasets:
            yield (
                f"sweep.datasets[{i}]: '{name}' is not in segmentation.datasets, whose support "
                "sets and masks the sweep needs; add it there"
            )
        elif (
            "retrieval" in settings.sweep.heads
            and name in settings.datasets
            and "retrieval" not in kinds[settings.datasets[name].kind]
        ):
            yield (
                f"sweep.heads: 'retrieval' needs {NEEDS['retrieval']}, which '{name}' in "
                "sweep.datasets does not have; remove one of the two"
            )
    if settings.sweep.datasets and "linear" in settings.sweep.heads:
        yield from _probed(settings)
    for i, name in enumerate(settings.extract.datasets):
        if name in settings.datasets and settings.datasets[name].query is None:
            yield (
                f"extract.datasets[{i}]: datasets.{name}.query is null, so nothing would be "
                "scored; give a query"
            )
    for name, dataset in settings.datasets.items():
        yield from _in_the_right_list(settings.fetch, name, dataset)
        yield from _disjoint(name, dataset)
        if name in settings.segmentation.datasets:
            yield from _serves_segmentation(settings, name, dataset)
        view = dataset.view
        if view.patches is not None and view.mode == "whole":
            grid = (view.patches[0], view.patches[1])
            if name in settings.identification.datasets and (
                problem := settings.identification.too_coarse(grid)
            ):
                yield f"{problem}, or enlarge datasets.{name}.view.patches"


def _probed(settings: Settings) -> Iterable[str]:
    """The linear probe of the sweep uses the C that segmentation chose."""
    if "linear" not in settings.segmentation.heads:
        yield "sweep.heads: 'linear' needs 'linear' in segmentation.heads, which chooses its C"
    for name in ("raw", *settings.sweep.rivals):
        if name not in settings.segmentation.variants:
            yield (
                f"sweep.heads: 'linear' needs '{name}' in segmentation.variants, where its C is "
                "chosen; add it there"
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
    """Every image of the support would also be a query."""
    support, query = dataset.support, dataset.query
    if support is None or query is None or query.images != "all" or query.sequences is not None:
        return
    if set(support.split.split("+")) <= set(query.split.split("+")):
        yield (
            f"datasets.{name}.query.split: '{query.split}' with images: all contains the images "
            f"of support.split '{support.split}'; support and query must not share images"
        )


def _serves_segmentation(settings: Settings, name: DatasetName, dataset: Dataset) -> Iterable[str]:
    segmentation = settings.segmentation
    if dataset.support is None:
        yield f"datasets.{name}: is in segmentation.datasets, so it needs 'support' and 'query'"
    elif len(dataset.support.seeds) < 2:
        yield f"datasets.{name}.support.seeds: segmentation needs at least two, for ± over seeds"
    elif dataset.support.images == "all":  # never with two seeds; for the type checker
        return
    elif dataset.support.images < (needed := max(segmentation.shots, *segmentation.shots_sweep, 0)):
        yield (
            f"datasets.{name}.support.images: {dataset.support.images} is less than the "
            f"{needed} that segmentation.shots and shots_sweep require"
        )
    elif dataset.support.per == "total":
        if settings.prune.select == "auto" and segmentation.shots == 1:
            yield (
                "prune.select: auto needs at least 2 support images to hold out in turn; increase "
                "segmentation.shots or set prune.select: fixed"
            )
        view = dataset.view
        if view.patches is not None and view.mode == "whole":
            patches = view.patches[0] * view.patches[1]
            if problem := segmentation.too_many_neighbours(patches):
                yield f"{problem}, or enlarge datasets.{name}.view.patches"
