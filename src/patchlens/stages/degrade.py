"""Stage degrade: patch features of degraded copies of some query images, once for all variants."""

import shutil
from functools import lru_cache
from typing import TYPE_CHECKING

from PIL import Image

from patchlens import paths
from patchlens.datasets.degrade import copies
from patchlens.features.extract import Source
from patchlens.names import DatasetName, ModelName
from patchlens.progress import log
from patchlens.stages.extraction import open_extraction

if TYPE_CHECKING:
    from patchlens.settings.load import Settings


def run(*, dataset: DatasetName, model: ModelName, settings: "Settings") -> None:
    """Write data/degraded/<dataset>/<model>.safetensors: the headline layer of every copy."""
    asked = settings.identification
    opened = open_extraction(
        dataset=dataset,
        model=model,
        settings=settings.dataset(dataset),
        features=settings.features.model_copy(update={"layer_sweep": []}),
        device=settings.device,
    )
    index = opened.index
    wanted = {copy.copy_id: copy for copy in copies(index.query["image_id"], asked)}

    @lru_cache(maxsize=1)  # the copies of an image follow one another
    def clean(image_id: str) -> Image.Image:
        return index.image(image_id)

    def read(copy_id: str) -> Image.Image:
        copy = wanted[copy_id]
        return copy.of(clean(copy.image_id), asked.seed)

    sources = list(dict.fromkeys(copy.image_id for copy in wanted.values()))
    work = opened.work("degrade", sources, asked.seed)
    source, header = Source(list(wanted), read), opened.header("degraded", list(wanted))
    opened.extractor.run(source, header, work, paths.degraded(dataset=dataset, model=model))
    shutil.rmtree(work)
    log.info("%s × %s: %d copies of %d images", model, dataset, len(wanted), len(sources))
