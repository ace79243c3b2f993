"""Stage explorer: the data of the interactive pages: neighbours of patches, sheets, videos, maps.

It covers only datasets that the pipeline makes: we may not publish images of other datasets.
"""

from typing import TYPE_CHECKING

from patchlens import paths
from patchlens.datasets.index import Index
from patchlens.files import whole_folder, write_json
from patchlens.progress import log
from patchlens.settings.datasets import Minicity
from patchlens.stages import (
    explorer_answers,
    explorer_dimensions,
    explorer_patches,
    explorer_videos,
)
from patchlens.stages.explorer_files import Pictures

if TYPE_CHECKING:
    from patchlens.settings.load import Settings


def run(settings: "Settings") -> None:
    """Write data/explorer/: one folder per dataset, and `datasets.json`, which lists their parts.

    Each part is a JSON file: `patches`, `dimensions`, `retrieval`, `identification`, `tracks`. It
    is absent if its task does not run on the dataset.
    """
    variants = [v for v in explorer_patches.VARIANTS if v in settings.segmentation.variants]
    parts: dict[str, list[str]] = {}
    with whole_folder(paths.EXPLORER) as out:
        for dataset, own in settings.datasets.items():
            if not isinstance(own, Minicity):
                continue
            folder = out / dataset
            pictures = Pictures(Index.of(dataset, own), folder)
            if dataset in settings.segmentation.datasets:
                explorer_patches.write(dataset, settings, pictures)
                explorer_dimensions.write(dataset, list(settings.models), pictures)
            if dataset in settings.retrieval.datasets:
                explorer_answers.write_retrieval(dataset, settings, variants, pictures)
            if dataset in settings.identification.datasets:
                explorer_answers.write_identification(dataset, settings, variants, pictures)
            if dataset in settings.tracking.datasets:
                explorer_videos.write(dataset, settings, variants, pictures)
            parts[dataset] = sorted(path.stem for path in folder.glob("*.json"))
        write_json(parts, out / "datasets.json")
    log.info("explorer: %d datasets", len(parts))
