"""Stage degrade: patch features of degraded copies of some query images, once for all variants."""

import shutil
from functools import lru_cache

from PIL import Image

from patchlens import paths
from patchlens.features.cell import Cell
from patchlens.features.extract import ImageSource
from patchlens.features.extraction import open_extraction
from patchlens.progress import log
from patchlens.tasks.identification.copies import copies
from patchlens.tasks.identification.settings import Identification


def run(cell: Cell) -> None:
    """Write data/degraded/<dataset>/<model>.safetensors: the headline layer of every copy."""
    asked = cell.settings.section(Identification)
    features = cell.settings.features.model_copy(update={"layer_sweep": []})
    opened = open_extraction(cell, features)
    index = cell.index
    wanted = {copy.copy_id: copy for copy in copies(index.query["image_id"], asked)}

    @lru_cache(maxsize=1)  # the copies of an image follow one another
    def clean(image_id: str) -> Image.Image:
        return index.image(image_id)

    def read(copy_id: str) -> Image.Image:
        copy = wanted[copy_id]
        return copy.of(clean(copy.image_id), asked.seed)

    sources = list(dict.fromkeys(copy.image_id for copy in wanted.values()))
    work = opened.work("degrade", sources, asked.seed)
    source, header = ImageSource(list(wanted), read), opened.header("degraded", list(wanted))
    opened.extractor.run(
        source, header, work, paths.degraded(dataset=cell.dataset, model=cell.model)
    )
    shutil.rmtree(work)
    log.info("%s: %d copies of %d images", cell, len(wanted), len(sources))
