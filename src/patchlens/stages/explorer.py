"""Stage explorer: what the pages look into: neighbours of patches, sheets, videos, heat maps.

Only of datasets that the pipeline makes: the images of others are not ours to publish.
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
    """Write data/explorer/: a folder a dataset, and `datasets.json`, which lists what is in each.

    Each part has a JSON file of its name: `patches`, `dimensions`, `retrieval`, `identification`,
    `tracks`; a task that does not run on a dataset has none.
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
