"""Stage index: build the index of a dataset from its folder."""

from dataclasses import replace

from patchlens import paths
from patchlens.datasets.below import check_links
from patchlens.datasets.build import build
from patchlens.datasets.readers import read
from patchlens.files import whole_folder
from patchlens.names import DatasetName
from patchlens.progress import log
from patchlens.settings.datasets import Collected, Dataset


def run(dataset: DatasetName, settings: Dataset) -> None:
    """Read, check and index a dataset; choose its support and query images."""
    root = paths.images(dataset, settings)
    if isinstance(settings, Collected) and settings.root is not None and not settings.follow_links:
        check_links(root)
    layout = read(settings.kind, root)
    if isinstance(settings, Collected):
        terms = replace(layout.terms, max_megapixels=settings.max_megapixels)
        layout = replace(layout, terms=terms)
    with whole_folder(paths.index(dataset)) as folder:
        images = build(dataset, layout, root, settings.support, settings.query, folder)
    counts = ", ".join(f"{split} {n}" for split, n in images["split"].value_counts().items())
    log.info("%s: %d images (%s)", dataset, len(images), counts)
