"""Stage index: a dataset's folder becomes its index."""

from patchlens import paths
from patchlens.datasets.build import build
from patchlens.datasets.readers import read
from patchlens.files import whole_folder
from patchlens.progress import log
from patchlens.settings.datasets import Dataset


def run(name: str, dataset: Dataset) -> None:
    """Read, check and index a dataset; choose its support and query images."""
    root = paths.images(name, dataset)
    layout = read(dataset.kind, root)
    with whole_folder(paths.index(name)) as folder:
        images = build(name, layout, root, dataset.support, dataset.query, folder)
    counts = ", ".join(f"{split} {n}" for split, n in images["split"].value_counts().items())
    log.info("%s: %d images (%s)", name, len(images), counts)
