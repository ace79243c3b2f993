"""Stage degrade: patch features of degraded copies of some query images, once for all variants."""

import shutil
from functools import lru_cache

from PIL import Image

from patchlens import paths
from patchlens.datasets.degrade import copies
from patchlens.features.extract import Source
from patchlens.progress import log
from patchlens.settings.datasets import Dataset
from patchlens.settings.features import Device, Features
from patchlens.settings.identification import Identification
from patchlens.stages.extraction import open_extraction


def run(
    name: str,
    model: str,
    dataset: Dataset,
    features: Features,
    settings: Identification,
    device: Device,
) -> None:
    """Write data/degraded/<dataset>/<model>.safetensors: the headline layer of every copy."""
    headline = features.model_copy(update={"layer_sweep": []})
    opened = open_extraction(name, model, dataset, headline, device)
    index = opened.index
    wanted = {copy.copy_id: copy for copy in copies(index.query["image_id"], settings)}

    @lru_cache(maxsize=1)  # the copies of an image follow one another
    def clean(image_id: str) -> Image.Image:
        return index.image(image_id)

    def read(copy_id: str) -> Image.Image:
        copy = wanted[copy_id]
        return copy.of(clean(copy.image_id), settings.seed)

    sources = list(dict.fromkeys(copy.image_id for copy in wanted.values()))
    work = opened.work("degrade", sources, settings.seed)
    source, header = Source(list(wanted), read), opened.header("degraded", list(wanted))
    opened.extractor.run(source, header, work, paths.degraded(name, model))
    shutil.rmtree(work)
    log.info("%s × %s: %d copies of %d images", model, name, len(wanted), len(sources))
