"""Stage index: build the index of a dataset from its folder."""

from dataclasses import replace
from pathlib import Path

from patchlens import paths
from patchlens.datasets.below import check_links
from patchlens.datasets.build import build
from patchlens.datasets.layout import Layout
from patchlens.datasets.readers import read
from patchlens.files import whole_folder
from patchlens.names import DatasetName
from patchlens.progress import log
from patchlens.settings.datasets import Collected, Dataset
from patchlens.settings.sources import MARK


def run(dataset: DatasetName, settings: Dataset) -> None:
    """Read, check and index a dataset; choose its support and query images."""
    root = paths.images(dataset, settings)
    layout = replace(layout_of(root, settings), official=not (root / MARK).is_file())
    with whole_folder(paths.index(dataset)) as folder:
        images = build(dataset, layout, root, settings.support, settings.query, folder)
    counts = ", ".join(f"{split} {n}" for split, n in images["split"].value_counts().items())
    log.info("%s: %d images (%s)", dataset, len(images), counts)


def layout_of(root: Path, settings: Dataset) -> Layout:
    """What a dataset in `root` is, with the limits of its settings.

    Raises:
        SourceError: it is not there, or not whole.
        DataError: a file contradicts another, or a link leads out of `root`.
    """
    if not isinstance(settings, Collected):
        return read(settings.kind, root)
    if settings.root is not None and not settings.follow_links:
        check_links(root)
    layout = read(settings.kind, root)
    terms = replace(layout.terms, max_megapixels=settings.max_megapixels)
    return replace(layout, terms=terms)
