"""Stage fetch: download a dataset from its source, or unpack it from the user's archives."""

from collections.abc import Mapping
from pathlib import Path

from patchlens import paths
from patchlens.datasets.catalogue import find
from patchlens.datasets.obtain import obtain
from patchlens.names import DatasetName
from patchlens.settings.datasets import Collected
from patchlens.settings.sources import Elsewhere


def run(
    dataset: DatasetName, settings: Collected, sources: Mapping[str, Elsewhere] | None = None
) -> None:
    """Make data/raw/<dataset>, completely or not at all."""
    obtain(
        dataset,
        find(settings.kind),
        paths.raw(dataset),
        paths.WORK / "fetch" / settings.kind,
        kind=settings.kind,
        archives=None if settings.archives is None else Path(settings.archives),
        sources=sources,
    )
