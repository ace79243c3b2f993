"""Stage explorer: what the pages look into: neighbours of patches, sheets, videos, heat maps.

Only of datasets that the pipeline makes: the images of others are not ours to publish.
"""

from collections.abc import Mapping, Sequence

from patchlens import paths
from patchlens.datasets.index import Index
from patchlens.files import whole_folder, write_json
from patchlens.progress import log
from patchlens.settings.datasets import Dataset, Minicity
from patchlens.settings.features import Device, Prune
from patchlens.settings.identification import Identification
from patchlens.settings.retrieval import Retrieval
from patchlens.settings.segmentation import Segmentation
from patchlens.settings.tracking import Tracking
from patchlens.stages import (
    explorer_answers,
    explorer_dimensions,
    explorer_patches,
    explorer_videos,
)
from patchlens.stages.explorer_files import Pictures


def run(
    models: Sequence[str],
    datasets: Mapping[str, Dataset],
    prune: Prune,
    segmentation: Segmentation,
    identification: Identification,
    retrieval: Retrieval,
    tracking: Tracking,
    device: Device,
) -> None:
    """Write data/explorer/: a folder a dataset, and `datasets.json`, which lists what is in each.

    Each part has a JSON file of its name: `patches`, `dimensions`, `retrieval`, `identification`,
    `tracks`; a task that does not run on a dataset has none.
    """
    variants = [v for v in explorer_patches.VARIANTS if v in segmentation.variants]
    parts: dict[str, list[str]] = {}
    with whole_folder(paths.EXPLORER) as out:
        for name, dataset in datasets.items():
            if not isinstance(dataset, Minicity):
                continue
            folder = out / name
            pictures = Pictures(Index(paths.index(name), paths.images(name, dataset)), folder)
            if name in segmentation.datasets:
                explorer_patches.write(name, models, prune, segmentation, device, pictures)
                explorer_dimensions.write(name, models, pictures)
            if name in retrieval.datasets:
                explorer_answers.write_retrieval(
                    name, models, dataset, variants, prune, retrieval, pictures
                )
            if name in identification.datasets:
                explorer_answers.write_identification(
                    name, models, dataset, variants, prune, identification, device, pictures
                )
            if name in tracking.datasets:
                explorer_videos.write(name, dataset.kind, models, variants, pictures)
            parts[name] = sorted(path.stem for path in folder.glob("*.json"))
        write_json(parts, out / "datasets.json")
    log.info("explorer: %d datasets", len(parts))
