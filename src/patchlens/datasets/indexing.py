"""Stage index: build the index of a dataset from its folder."""

from dataclasses import replace
from pathlib import Path

from patchlens import paths
from patchlens.datasets.below import check_links
from patchlens.datasets.build import build
from patchlens.datasets.layout import Layout
from patchlens.datasets.readers import read
from patchlens.datasets.support import first
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


def _chosen(layout: Layout, settings: Dataset) -> Layout:
    """The layout with only the sequences that the settings choose, if they can be read alone."""
    wanted: dict[str, set[str]] = {}
    for part in (settings.support, settings.query):
        splits = part.split.split("+") if part is not None and layout.only is not None else []
        names = {name for split in splits for name in layout.sequences.get(split, ())}
        chosen = names if part is None or not part.sequences else first(names, part.sequences)
        for split in [split for split in splits if split in layout.sequences]:
            wanted.setdefault(split, set()).update(chosen & set(layout.sequences[split]))
    if not wanted or layout.only is None:  # an unknown split is an error where images are chosen
        return layout
    return replace(layout, images=layout.only(wanted))


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
    layout = _chosen(read(settings.kind, root), settings)
    terms = replace(layout.terms, max_megapixels=settings.max_megapixels)
    return replace(layout, terms=terms)
